//! Commands that need their whole input, and here get chunks of it.
//!
//! `pipe` is right for a filter that treats each record by itself. `sort` does not, and that cannot be seen from
//! outside: it reads, prints, exits with 0, and the output is one sorted stretch for each chunk. The well-known
//! ones are listed here, and get a warning. They are not refused, since one result for each chunk may be
//! wanted (`uniq`, before another `uniq`), and `--merge` may make one of them.
//!
//! A number of a line depends on the whole input, and its remainder may not: chunks of FASTQ have whole records of four
//! lines, so in each of them `NR % 4` is what it is in the whole file.

use crate::cli::shellwords::is_in;
use crate::jobs::quote;
use std::ffi::OsString;
use std::path::Path;

const WHOLES: &str = "sort uniq wc head tail nl tac shuf cksum sum md5sum sha1sum sha224sum sha256sum sha384sum \
     sha512sum b2sum b3sum split csplit column pr tsort datamash";

/// The warning, if the command is one of those. A record has so many `lines`.
pub(crate) fn warning(has_shell: bool, command: &[OsString], lines: u64) -> Option<String> {
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let commands: Vec<Vec<String>> = match (has_shell, words.as_slice()) {
        (true, [text]) => {
            let words = shlex::split(&text.replace('|', " | ").replace(';', " ; "))?;
            let between = |word: &String| ["|", "||", "&&", ";", "&"].contains(&word.as_str());
            words.split(between).map(<[String]>::to_vec).collect()
        }
        _ => vec![words],
    };
    let found = commands.iter().find(|words| looks_at_all(words, lines))?;
    let shown: Vec<OsString> = found.iter().map(OsString::from).collect();
    Some(format!(
        "warning: `{}` depends on its whole input, and runs once for each chunk\n  \
         combine its outputs (--merge COMMAND), or give a large --block; -q hides this",
        quote::shortened(&shown),
    ))
}

fn looks_at_all(words: &[String], lines: u64) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let any = |options: &[&str]| arguments.iter().any(|word| options.contains(&word.as_str()));
    let script = || arguments.iter().find(|word| !word.starts_with('-'));
    match program.as_ref() {
        "awk" | "gawk" | "mawk" | "nawk" => arguments.iter().any(|word| {
            let mut numbers = after_each("NR", word).chain(after_each("FNR", word));
            numbers.any(|after| !is_same_in_chunks(after, lines))
                || after_each("END", word).next().is_some()
                || word.contains("seen[")
        }),
        "sed" => any(&["-z", "--null-data"]) || script().is_some_and(|script| has_an_address(script, lines)),
        "perl" | "ruby" => arguments.iter().any(|word| {
            let mut numbers = word.match_indices("$.").map(|(at, name)| &word[at + name.len()..]);
            numbers.any(|after| !is_same_in_chunks(after, lines))
                || word.contains("END{")
                || word.contains("END {")
        }),
        "jq" => any(&["-s", "--slurp", "-n", "--null-input"]),
        "grep" | "egrep" | "fgrep" | "rg" => {
            any(&["-c", "-n", "-m", "--count", "--line-number", "-A", "-B", "-C"])
        }
        "cat" => any(&["-n", "-b", "-s"]),
        "tee" => !arguments.is_empty(),
        program => is_in(WHOLES, program),
    }
}

/// What stands after each `name` that is a whole word.
fn after_each<'s>(name: &'s str, script: &'s str) -> impl Iterator<Item = &'s str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let places = script.match_indices(name).map(|(at, _)| script.split_at(at));
    let whole = places.map(|(before, here)| (before, &here[name.len()..]));
    whole
        .filter(move |(before, after)| !before.ends_with(is_part) && !after.starts_with(is_part))
        .map(|(_, after)| after)
}

/// Whether the number of a line is only divided, as in `NR % 4`, `(NR - 1) % 4`, by what divides the lines of a record.
fn is_same_in_chunks(after: &str, lines: u64) -> bool {
    let after = after.trim_start();
    let after = match after.strip_prefix(['+', '-']) {
        Some(shift) => shift.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').strip_prefix(')'),
        None => Some(after),
    };
    after
        .and_then(|after| after.trim_start().strip_prefix('%'))
        .is_some_and(|by| divides(by.trim_start(), lines))
}

/// Whether the number at the beginning of `text` divides `lines`.
fn divides(text: &str, lines: u64) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().is_ok_and(|by: u64| lines.checked_rem(by) == Some(0))
}

/// Lines by number, the last one, or several at once. `2~4` is every fourth.
fn has_an_address(script: &str, lines: u64) -> bool {
    script.split([';', '\n', '{']).any(|command| {
        let command = command.trim_start();
        let every = command.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix('~');
        let is_divided = every.is_some_and(|every| divides(every, lines) && !every.contains(','));
        command.starts_with(|first: char| first.is_ascii_digit() && !is_divided || first == '$')
            || command.contains("$!")
            || is_in("N G", command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warns(has_shell: bool, line: &str) -> bool {
        warns_of_records(has_shell, line, 1)
    }

    fn warns_of_records(has_shell: bool, line: &str, lines: u64) -> bool {
        let words = if has_shell { vec![line.to_string()] } else { shlex::split(line).unwrap() };
        warning(has_shell, &words.into_iter().map(OsString::from).collect::<Vec<_>>(), lines).is_some()
    }

    #[test]
    fn a_remainder_is_the_same_in_each_chunk_if_it_is_of_the_lines_of_a_record() {
        for line in [
            "awk 'NR % 4'",
            "awk 'NR%4==2'",
            "awk '(NR - 1) % 4 == 1 && FNR % 2'",
            "sed -n 2~4p",
            "sed '2~4s/N/n/;4~4d'",
            "perl -ne 'print if $. % 4 == 2'",
        ] {
            assert!(!warns_of_records(false, line, 4) && warns(false, line), "{line}");
            assert!(!warns_of_records(true, line, 8) && warns_of_records(false, line, 6), "{line}");
        }
        for line in [
            "awk 'NR % 3'",
            "awk 'NR % 40'",
            "awk 'NR % n'",
            "awk 'NR - 1 % 4'",
            "awk 'NR % 0'",
            "awk 'NR % 4 == 2 && NR > 100'",
            "awk 'NR % 4 == 2 {n++} END {print n}'",
            "sed -n 2~8p",
            "sed -n '2~4,10p'",
            "perl -ne 'print if $. % 4 == 2 and $. > 9'",
        ] {
            assert!(warns_of_records(false, line, 4), "{line}");
        }
    }

    #[test]
    fn those_that_everybody_knows_are_warned_of_and_filters_are_not() {
        for line in [
            "tail -n +2",
            "sed 1d",
            "sed -n '$p'",
            "sed -e 2q",
            "/usr/bin/sort -u",
            "uniq -c",
            "wc -l",
            "head",
            "nl",
            "tac",
            "awk 'NR>1'",
            "awk '{n++} END {print n}'",
            "jq -s .",
            "grep -c x",
            "perl -ne 'print if $. > 1'",
            "cat -n",
        ] {
            assert!(warns(false, line), "{line}");
            assert!(warns(true, &format!("tr a b | {line}")), "{line}");
        }
        for line in [
            "tr a-z A-Z",
            "sed s/1/2/",
            "sed '/x/d'",
            "awk '{print $1}'",
            "awk '{print ENDING, NRX}'",
            "jq -c .name",
            "grep x",
            "cut -d, -f1",
            "cat",
            "gzip",
            "rev",
            "./filter",
            "xargs -n1 sort",
        ] {
            assert!(!warns(false, line), "{line}");
        }
        assert!(!warns(true, "cut -d, -f3 | grep -v none"));
    }
}
