//! A line of GNU parallel with `--pipe`, as it is typed here.
//!
//! The obvious answer is a sentence with the name of the verb. But then each option has to be looked up: what is a number of
//! records there is a size here, and `M` is another number. So the line itself is given, if all of its options have a
//! counterpart, and the sentence otherwise.

use crate::cli::shellwords::{self, Typed, is_in};
use std::ffi::OsString;

/// The names of the option itself.
const PIPES: &str = "--pipe --spreadstdin --pipepart --pipe-part";

/// What means nothing here, or is so in any case.
const WITHOUT_EFFECT: &str = "-k --keep-order --keeporder -q --quote -u --ungroup --group --lb --line-buffer --linebuffer \
     --will-cite --gnu --plain --compress --round-robin --roundrobin --round";

/// What the options ask for.
#[derive(Default)]
struct Asked {
    files: Vec<String>,
    block: Option<String>,
    start: Option<String>,
    end: Option<String>,
    /// So many records for each command.
    records: Option<String>,
    /// So many lines are a record.
    lines: Option<String>,
    others: Vec<String>,
}

/// The line to type, if there is one.
pub(super) fn line(argv: &[OsString]) -> Option<String> {
    let (program, words) = argv.split_first()?;
    let words: Vec<&str> = words.get(1..)?.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    words.iter().any(|word| is_in(PIPES, word)).then_some(())?;
    let mut asked = Asked::default();
    let mut rest = words.as_slice();
    while let [option, tail @ ..] = rest
        && option.starts_with('-')
    {
        rest = asked.take(option, tail)?;
    }
    let end = rest.iter().position(|word| word.starts_with(":::")).unwrap_or(rest.len());
    let (command, after) = rest.split_at(end);
    if let [how, files @ ..] = after {
        (*how == "::::").then(|| asked.files.extend(files.iter().map(|file| file.to_string())))?;
    }
    let mut before = vec![program.clone(), "pipe".into()];
    before.extend(asked.options()?.into_iter().map(OsString::from));
    let command: Vec<OsString> = command.iter().map(OsString::from).collect();
    (!command.is_empty())
        .then(|| shellwords::complete(Typed { before: &before, command: &command, after: &[], dashes: true }))
}

impl Asked {
    /// Takes an option, and returns the words after it and its value.
    fn take<'a>(&mut self, option: &'a str, tail: &'a [&'a str]) -> Option<&'a [&'a str]> {
        if is_in(PIPES, option) || is_in(WITHOUT_EFFECT, option) {
            return Some(tail);
        }
        // `-kN1`: letters without a value, then one with it.
        if let Some(letters) = option.strip_prefix("-k").filter(|letters| !letters.is_empty()) {
            return self.valued(&format!("-{}", &letters[..1]), &letters[1..], tail);
        }
        match (option.strip_prefix("--"), option.split_once('=')) {
            (Some(_), Some((name, value))) => self.valued(name, value, tail),
            (Some(_), None) => self.valued(option, "", tail),
            (None, _) => self.valued(option.get(..2)?, option.get(2..)?, tail),
        }
    }

    /// Takes an option with its value, which is in the same word or the next one.
    fn valued<'a>(&mut self, name: &str, within: &str, tail: &'a [&'a str]) -> Option<&'a [&'a str]> {
        let (value, tail) = match within {
            "" => tail.split_first().map(|(value, tail)| (value.to_string(), tail))?,
            within => (within.to_string(), tail),
        };
        match name {
            "-a" | "--arg-file" | "--argfile" => self.files.push(value),
            "--block" | "--block-size" | "--blocksize" => self.block = size(&value),
            "--recend" => self.end = Some(value),
            "--recstart" => self.start = Some(value),
            "-N" | "-n" | "--max-args" | "--max-replace-args" => self.records = Some(value),
            "-L" | "--max-lines" => self.lines = Some(value),
            "--header" if value == ":" => self.others.push("--header".into()),
            "--header" if value.parse::<u64>().is_ok() => self.others.push(format!("--header={value}")),
            "-j" | "-P" | "--jobs" | "--max-procs" => self.others.extend(["-j".into(), value]),
            _ => return None,
        }
        Some(tail)
    }

    /// The options of `pipe`. A number of records is a number of lines, or one record: a block of one byte.
    fn options(self) -> Option<Vec<String>> {
        let mut options = if self.files.is_empty() { vec!["-".to_string()] } else { self.files };
        let (mut block, mut lines) = (self.block, self.lines);
        match self.records.as_deref() {
            None => {}
            Some("1") => block = Some("1".into()),
            Some(_) if self.start.is_some() || self.end.is_some() || lines.is_some() => return None,
            Some(number) => (block, lines) = (Some("1".into()), Some(number.into())),
        }
        let is_cut_anywhere = self.end.as_deref() == Some("");
        let end = self.end.filter(|end| !end.is_empty());
        for (name, value) in [
            ("--block", block),
            ("--record-lines", lines),
            ("--record-end", end),
            ("--record-start", self.start),
        ] {
            options.extend(value.into_iter().flat_map(|value| [name.to_string(), value]));
        }
        if is_cut_anywhere {
            options.extend(["--fixed".to_string(), "1".to_string()]);
        }
        options.extend(self.others);
        Some(options)
    }
}

/// `K`, `M` and so on are powers of 1024 there. A negative size is a share of the file.
fn size(text: &str) -> Option<String> {
    let is_binary = text.ends_with(['K', 'M', 'G', 'T']);
    (!text.starts_with('-')).then(|| if is_binary { format!("{text}iB") } else { text.to_string() })
}
