//! Names that people know from other programs, and what they are called here.
//!
//! The obvious helper is the parser's: it offers what is spelled alike. For `--resume` that is `--results`,
//! and for `list` it is `digest`; a user who follows such advice is worse off than before. What users of
//! `parallel`, `xargs`, `grep`, `wc` and `sha256sum` type is known, so here it stands, with a sentence each.
//! The parser guesses only where this table has nothing.

mod parallel;

use crate::cli::parse::without_hyphens;
use bivouac::{Error, Result};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::path::Path;

/// Options: the verbs for which the sentence is meant (none: all), the names, the sentence.
const OPTIONS: &[(&[&str], &[&str], &str)] = &[
    (
        &[],
        &["--resume", "--resume-failed", "-c", "--continue", "--succ-cmd-file"],
        "a job goes on whenever the same line is typed again; items that failed: --retry-failed",
    ),
    (&[], &["--citation"], "there is no notice to be silenced; leave it away"),
    (&["pipe"], &["--will-cite", "--gnu", "--plain", "--group"], "it has no meaning here; leave it away"),
    (&["count", "grep", "digest", "pipe"], &["--nice"], "start bivouac itself with nice or ionice"),
    (&["each", "pipe"], &["--max-jobs-per-host"], "that is -j N here"),
    (
        &["each"],
        &["-x", "--exit"],
        "a command that is too long fails as an item; -X and -m take as many items as fit",
    ),
    (
        &["each"],
        &["--quote", "--escape", "-Q", "--escape-symbols"],
        "every item and every word is one word already; leave it away",
    ),
    (&["each"], &["--ungroup-output"], "that is -u"),
    (
        &["each"],
        &["--record-env"],
        "commands have the whole environment; leave it away. Exported functions: --shell=bash",
    ),
    (
        &[],
        &[
            "-S",
            "--sshlogin",
            "--sshloginfile",
            "--slf",
            "--onall",
            "--nonall",
            "--transfer",
            "--return",
            "--trc",
        ],
        "this runs on one machine; several are what GNU parallel is for",
    ),
    (
        &["each", "pipe"],
        &["--noswap"],
        "--memfree SIZE starts no command while memory is short, and --memsuspend SIZE lets some stand still",
    ),
    (
        &["count", "grep", "digest"],
        &["--load", "--memfree", "--memsuspend", "--noswap", "--delay", "--rate", "--joblog"],
        "that is about commands; -j N runs fewer tasks, and --limit-rate reads fewer bytes",
    ),
    (&["each"], &["--progress-bar"], "that is --progress always"),
    (&["each"], &["--term-seq"], "an abort sends SIGTERM, and SIGKILL after --kill-after DURATION"),
    (&["each"], &["--jobs-file", "--profile", "-J"], "settings stand in a file for --config"),
    (&["pipe"], &["--recstart"], "that is --record-start"),
    (&["pipe"], &["--recend"], "that is --record-end"),
    (
        &["pipe"],
        &["--pipe", "--pipepart", "--spreadstdin", "-a"],
        "that is what this verb does: bivouac pipe FILE… -- COMMAND",
    ),
    (&["pipe"], &["-k", "--keep-order"], "the output is always in the order of the input; leave it away"),
    (&["pipe"], &["-n", "-N", "--max-args"], "chunks are cut by size: --block SIZE"),
    (
        &["pipe"],
        &["--tag", "-u", "--ungroup", "--line-buffer", "--lb"],
        "the output is that of COMMAND < FILE, in order and whole",
    ),
    (
        &["grep"],
        &["-R", "--dereference-recursive"],
        "-r searches the files below a directory, and follows no links; others: find -L DIR -type f -print0 | xargs -0",
    ),
    (
        &["grep"],
        &["--include", "--exclude", "--exclude-dir", "--exclude-from"],
        "choose the files with find: find DIR -name '*.c' -print0 | xargs -0 bivouac grep PATTERN",
    ),
    (&["grep"], &["-b", "--byte-offset"], "-n prints where a line is"),
    (&["grep"], &["-T", "--initial-tab"], "… | sed 's/:/:\\t/'"),
    (&["grep"], &["-z", "--null-data"], "records are lines here; bivouac pipe -0 FILE -- grep -z PATTERN"),
    (
        &["grep"],
        &["-U", "--binary", "-u", "--unix-byte-offsets"],
        "every file is read as it is; leave it away",
    ),
    (
        &["grep"],
        &["-d", "--directories", "-D", "--devices"],
        "-r searches below directories; others are named",
    ),
    (
        &["grep"],
        &["--binary-files"],
        "-a prints lines that are not text on a terminal; elsewhere they are printed",
    ),
    (&["grep"], &["--label"], "standard input is called (standard input); -h prints no names"),
    (&["grep"], &["--no-ignore-case"], "that is the default; leave -i away"),
    (
        &["grep"],
        &["--group-separator", "--no-group-separator"],
        "groups are parted by --; … | grep -v '^--$'",
    ),
    (
        &["grep"],
        &["--exclude-standard", "--hidden", "-g", "--glob"],
        "that is ripgrep; choose the files with find",
    ),
    (
        &["grep"],
        &["-G", "--basic-regexp"],
        "patterns are extended ones always: + ? | ( ) { } have their meaning without a backslash, and \\+ is a plus",
    ),
    (&["digest"], &["-b", "--binary", "-t", "--text"], "every file is read as it is; leave it away"),
    (&["digest"], &["-a"], "that is --algorithm blake3 or sha256"),
];

/// Verbs.
const VERBS: &[(&[&str], &str)] = &[
    (&["start", "run", "exec"], "a job begins with its verb: count, grep, digest, pipe or each"),
    (&["parallel", "xargs", "map", "foreach", "for", "rush"], "that is `bivouac each COMMAND ::: ITEM…`"),
    (&["wc"], "that is `bivouac count FILE…`"),
    (
        &["sha256sum", "b3sum", "hash", "checksum", "verify", "check"],
        "that is `bivouac digest PATH…`, and `bivouac digest --check LIST`",
    ),
    (&["filter", "split"], "that is `bivouac pipe FILE… -o OUT -- COMMAND`"),
    (
        &["restart", "retry", "again"],
        "type the line of the job again: it goes on. `bivouac status` shows that line",
    ),
    (&["rm", "remove", "delete", "purge"], "that is `bivouac clean [STATE]`"),
    (&["logs", "joblog", "history"], "that is `bivouac log [STATE]`"),
    (&["suspend"], "that is `bivouac pause [STATE]`"),
    (&["abort", "cancel", "quit"], "that is `bivouac stop [STATE]`; a second SIGTERM aborts"),
    (&["save"], "that is `bivouac checkpoint [STATE]`"),
    (
        &["config", "configure"],
        "settings stand in a file for --config; `bivouac signals` prints what signals mean",
    ),
];

/// What to say in place of the parser, if there is anything better.
pub(crate) fn on(error: &clap::Error, argv: &[OsString]) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let verb = argv.get(1).and_then(|verb| verb.to_str()).unwrap_or_default();
    let kind = error.kind();
    if kind == ErrorKind::InvalidSubcommand {
        let typed = word(ContextKind::InvalidSubcommand)?;
        let (_, sentence) = VERBS.iter().find(|(names, _)| names.contains(&typed))?;
        return Some(format!("`{typed}` is no verb: {sentence}"));
    }
    if kind == ErrorKind::UnknownArgument {
        let typed = word(ContextKind::InvalidArg)?;
        let name = typed.split('=').next().unwrap_or(typed);
        if let (Ok(lines), "grep") = (name.trim_start_matches('-').parse::<u32>(), verb) {
            return Some(format!("{name}: there is no such option here\n  that is -C {lines}"));
        }
        let is_meant = |verbs: &&[&str]| verbs.is_empty() || verbs.contains(&verb);
        let all = OPTIONS
            .iter()
            .filter(|(verbs, ..)| is_meant(verbs))
            .map(|(_, names, sentence)| (names, sentence));
        let of_parallel = parallel::OPTIONS.iter().filter(|_| verb == "each");
        let mut all = all.chain(of_parallel.map(|(names, sentence)| (names, sentence)));
        let found =
            all.find(|(names, _)| names.iter().any(|known| without_hyphens(known) == without_hyphens(name)));
        return found.map(|(_, sentence)| format!("{name}: there is no such option here\n  {sentence}"));
    }
    let lacks_dashes =
        kind == ErrorKind::MissingRequiredArgument && verb == "pipe" && !argv.iter().any(|word| word == "--");
    lacks_dashes.then(|| {
        "COMMAND: is missing\n  put `--` in front of it: bivouac pipe FILE… -o OUT -- COMMAND".to_string()
    })
}

/// A number and its unit as two words, of which the second would be taken for a file.
///
/// # Errors
///
/// [`Kind::Usage`](bivouac::error::Kind::Usage).
pub(crate) fn refuse_lone_units(argv: &[OsString]) -> Result<()> {
    const UNITS: [&str; 23] = [
        "B", "k", "K", "kB", "KB", "KiB", "M", "MB", "MiB", "G", "GB", "GiB", "ms", "s", "sec", "m", "min",
        "h", "MB/s", "MiB/s", "seconds", "minutes", "hours",
    ];
    const OPTIONS: [&str; 9] = [
        "--limit-rate",
        "--grace",
        "--kill-after",
        "--max-runtime",
        "--timeout",
        "--checkpoint-every",
        "--block",
        "--fixed",
        "--max-chars",
    ];
    for window in argv.windows(3) {
        let [option, number, unit] = [0, 1, 2].map(|at| window[at].to_str().unwrap_or_default());
        let is_number =
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if OPTIONS.contains(&option) && is_number && UNITS.contains(&unit) && !Path::new(unit).exists() {
            return Err(Error::usage(option, "the number and its unit are one word")
                .advise(format_args!("{option} {number}{unit}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;

    fn said(line: &str) -> Option<String> {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        on(&Cli::read(&argv).unwrap_err(), &argv)
    }

    #[test]
    fn names_that_people_know_are_answered_with_a_sentence() {
        for (line, says) in [
            ("bivouac each --resume echo", "typed again"),
            ("bivouac each --rpl x echo", "--plus"),
            ("bivouac each --sem echo", "flock"),
            ("bivouac each --resumefailed echo", "typed again"),
            ("bivouac each -e echo", "-E END"),
            ("bivouac each --retry-interval 5 echo", "--retry-delay"),
            ("bivouac each --block 1M echo", "bivouac pipe"),
            ("bivouac each --transferfile x echo", "one machine"),
            ("bivouac grep -R a f", "follows no links"),
            ("bivouac grep -3 a f", "-C 3"),
            ("bivouac start", "begins with its verb"),
            ("bivouac pipe in cat", "put `--`"),
        ] {
            assert!(said(line).is_some_and(|said| said.contains(says)), "{line}: {:?}", said(line));
        }
        assert_eq!(said("bivouac each --frobnicate echo"), None);
    }

    /// What has come to be an option must leave the table.
    #[test]
    fn no_name_of_the_table_is_an_option() {
        use clap::CommandFactory;
        let mut command = Cli::command();
        command.build();
        for verb in command.get_subcommands() {
            let is_meant = |verbs: &[&str]| verbs.contains(&verb.get_name());
            let of_parallel =
                parallel::OPTIONS.iter().filter(|_| verb.get_name() == "each").map(|(names, _)| names);
            let all = OPTIONS.iter().filter(|(verbs, ..)| is_meant(verbs)).map(|(_, names, _)| names);
            for names in all.chain(of_parallel) {
                for name in *names {
                    let is_it = |arg: &clap::Arg| {
                        let mut long = arg.get_long_and_visible_aliases().unwrap_or_default().into_iter();
                        let mut short = arg.get_short_and_visible_aliases().unwrap_or_default().into_iter();
                        long.any(|long| *name == format!("--{long}"))
                            || short.any(|short| *name == format!("-{short}"))
                    };
                    assert!(!verb.get_arguments().any(is_it), "{} {name}", verb.get_name());
                }
            }
        }
        for (names, _) in VERBS {
            assert!(names.iter().all(|name| command.find_subcommand(name).is_none()), "{names:?}");
        }
    }
}
