//! Commands that need their whole input, and here get chunks of it.
//!
//! `pipe` is right for a filter that treats each record by itself. `sort` does not, and that cannot be seen from
//! outside: it reads, prints, exits with 0, and the output is one sorted stretch for each chunk. The well-known
//! ones are listed here, and get a warning. They are not refused, since one result for each chunk may be
//! wanted (`uniq`, before another `uniq`), and `--merge` may make one of them.

use crate::cli::shellwords::is_in;
use crate::jobs::quote;
use std::ffi::OsString;
use std::path::Path;

const WHOLES: &str = "sort uniq wc head tail nl tac shuf cksum sum md5sum sha1sum sha224sum sha256sum sha384sum \
     sha512sum b2sum b3sum split csplit column pr tsort datamash";

/// The warning, if the command is one of those.
pub(crate) fn warning(has_shell: bool, command: &[OsString]) -> Option<String> {
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let commands: Vec<Vec<String>> = match (has_shell, words.as_slice()) {
        (true, [text]) => {
            let words = shlex::split(&text.replace('|', " | ").replace(';', " ; "))?;
            let between = |word: &String| ["|", "||", "&&", ";", "&"].contains(&word.as_str());
            words.split(between).map(<[String]>::to_vec).collect()
        }
        _ => vec![words],
    };
    let found = commands.iter().find(|words| looks_at_all(words))?;
    let shown: Vec<OsString> = found.iter().map(OsString::from).collect();
    Some(format!(
        "warning: `{}` depends on its whole input, and runs once for each chunk\n  \
         combine its outputs (--merge COMMAND), or give a large --block; -q hides this",
        quote::shortened(&shown),
    ))
}

fn looks_at_all(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let any = |options: &[&str]| arguments.iter().any(|word| options.contains(&word.as_str()));
    let script = || arguments.iter().find(|word| !word.starts_with('-'));
    match program.as_ref() {
        "awk" | "gawk" | "mawk" | "nawk" => arguments.iter().any(|word| {
            let is_word = |name: &str| {
                word.match_indices(name).any(|(at, _)| {
                    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    !word[..at].ends_with(is_part) && !word[at + name.len()..].starts_with(is_part)
                })
            };
            is_word("NR") || is_word("FNR") || is_word("END") || word.contains("seen[")
        }),
        "sed" => any(&["-z", "--null-data"]) || script().is_some_and(|script| has_an_address(script)),
        "perl" | "ruby" => arguments
            .iter()
            .any(|word| word.contains("$.") || word.contains("END{") || word.contains("END {")),
        "jq" => any(&["-s", "--slurp", "-n", "--null-input"]),
        "grep" | "egrep" | "fgrep" | "rg" => {
            any(&["-c", "-n", "-m", "--count", "--line-number", "-A", "-B", "-C"])
        }
        "cat" => any(&["-n", "-b", "-s"]),
        "tee" => !arguments.is_empty(),
        program => is_in(WHOLES, program),
    }
}

/// Lines by number, the last one, or several at once.
fn has_an_address(script: &str) -> bool {
    script.split([';', '\n', '{']).any(|command| {
        let command = command.trim_start();
        command.starts_with(|first: char| first.is_ascii_digit() || first == '$')
            || command.contains("$!")
            || is_in("N G", command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warns(has_shell: bool, line: &str) -> bool {
        let words = if has_shell { vec![line.to_string()] } else { shlex::split(line).unwrap() };
        warning(has_shell, &words.into_iter().map(OsString::from).collect::<Vec<_>>()).is_some()
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
