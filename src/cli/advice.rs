//! Names that people know from other programs, and what they are called here.
//!
//! The obvious helper is the parser's: it offers what is spelled alike. For `--resume` that is `--results`,
//! and for `list` it is `digest`; a user who follows such advice is worse off than before. The names of `parallel`, `xargs`,
//! `grep`, `wc` and `sha256sum` are known, so this table has them, with a sentence each. The parser guesses only names that
//! are not in the table.

mod piped;

use crate::cli::args::wants_value;
use crate::cli::parse::without_hyphens;
use crate::cli::shellwords::is_in;
use crate::jobs::quote;
use crate::jobs::text::with_short_words;
use bivouac::{Error, Result};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Options, a row each: the verbs for which the sentence is meant, the names, the sentence. The rows for `each` at the
/// end are of GNU parallel and `xargs`: the parser would offer `--ssh` for `--shuf`, and `--embed` for `--seed`.
const OPTIONS: &str = r#"
all | --resume --resume-failed -c --continue --succ-cmd-file | the same line goes on; items that failed: --retry-failed
all | --citation | there is no notice to be silenced; leave it out
pipe | --will-cite --gnu --plain --group | it has no meaning here; leave it out
count grep digest pipe | --nice | start bivouac itself with nice or ionice
count | --debug | there is nothing to tell: -j N counts with N threads
each | --keep-going | the other items run in any case; --halt now,fail=1 ends at a failure
each pipe | --max-jobs-per-host | that is -j N here
each | -x --exit | a command that is too long fails; -X and -m take as many items as fit
each | --quote --escape -Q --escape-symbols | every item and every word is one word already; leave it out
each | --ungroup-output | that is -u
each | --record-env | commands have all of the environment; exported functions: --shell=bash
all | -S --sshlogin --sshloginfile --slf --onall --nonall --transfer --return --trc | no command starts on another host; --shard K/N on each, or GNU parallel
each pipe | --noswap | --memfree SIZE starts none while memory is short; --memsuspend SIZE
count grep digest | --load --memfree --memsuspend --noswap --delay --rate --joblog | that is about commands; -j N runs fewer tasks, --limit-rate reads less
each | --progress-bar | that is --progress always
each | --term-seq | an abort sends SIGTERM, and SIGKILL after --kill-after DURATION
each | --jobs-file --profile -J | type its options in the line; settings stand in a file for --config
pipe | --recstart | that is --record-start
pipe | --recend | that is --record-end
pipe | --pipe --pipepart --spreadstdin -a | that is what this verb does: bivouac pipe FILE… -- COMMAND
pipe | -k --keep-order | the output is always in the order of the input; leave it out
pipe | -n -N -L --max-args --max-lines | chunks are cut by size: --block SIZE; N lines: --record-lines N --block 1
pipe | --tag -u --ungroup --line-buffer --lb | the output is that of COMMAND < FILE, in order and whole
grep | -R --dereference-recursive | -r follows no links; others: find -L DIR -type f -print0 | xargs -0
grep | --exclude-from | that is --exclude GLOB, for each line of the file
grep | -b --byte-offset | -n prints where a line is
grep | -T --initial-tab | … | sed 's/:/:\t/'
grep | -z --null-data | that is --format nul; -z of ripgrep is --decompress
grep | --compress | that is pipe: bivouac pipe --ok-codes 0,1 FILE -o OUT.zst -- grep PATTERN
count digest | --compress | what is printed is short: … | gzip
count grep | --csv --header --record-start --record-lines | that is --format csv, fasta, fastq or others
grep | --search-zip | that is --decompress
grep | -d --directories -D --devices | -r searches below directories; others are named
grep | -I | every file is searched, whatever is in it; choose files with find
grep | --binary-files | -a prints lines that are not text on a terminal; elsewhere they are printed
grep | --label | standard input is called (standard input); -h prints no names
grep | --group-separator --no-group-separator | groups are parted by --; … | grep -v '^--$'
grep | --exclude-standard --hidden -g --glob | that is ripgrep; choose the files with find
digest | -b --binary -t --text | every file is read as it is; leave it out
digest | --sha256 --sha-256 --blake3 --b3 | that is --algorithm sha256; without it BLAKE3 is computed
digest | -r -R --recursive | directories are searched in any case; leave it out
digest | -l --length --seek --raw --no-names --keyed --derive-key | hashes are printed whole, with names; b3sum and cut have more
digest | --num-threads --no-mmap | that is -j N; files are read, not mapped
each | --sqlmaster --sqlworker --sqlandworker --sql-master --sql-worker --sql-and-worker | no database is used; `bivouac log --format json` tells what ran
each | --latest-line --ll --tmux --tmuxpane --tmux-pane | --progress full shows what runs in each slot
each | --parens --rpl | no Perl: {/RE/NEW} with --plus, or --shell 'x={}; COMMAND "${x%.gz}"'
each | -U | that is --extensionreplace
each | --max-line-length-allowed --show-limits | `getconf ARG_MAX` tells that; -s SIZE is the limit here
each | --number-of-cpus --number-of-cores --number-of-threads --number-of-sockets | `nproc` tells that
each | --use-cpus-instead-of-cores --use-cores-instead-of-threads --use-sockets-instead-of-threads | -j counts what nproc counts; -j 50% is the half
each | --shellquote --shell-quote | --shell quotes items; for yourself, printf %q of bash
each | --ctag --ctagstring --color-failed --colour-failed | --tag and --tagstring have no colours
each | -M --controlmaster --ssh --ssh-delay --filter-hosts --filter-host --hostgrp --transferfile --transfer-file --transferfiles --tf --cleanup --basefile --bf --rsync-opts --hgrp --hostgroup --hostgroups | no command starts on another host; --shard K/N on each, or GNU parallel
each | --template --tmpl | let the command make its file, with --shell and sed
each | --compress --compress-program --use-compress-program --decompress-program --use-decompress-program | what commands print is not compressed; --results DIR keeps it in files
each | --total-jobs --totaljobs --total | {##} counts the list; leave it out
each | --process-slot-var | commands have it as BIVOUAC_SLOT, from 1, and as {%}
all | -V --version | that is `bivouac --version`
log | --csv | that is --format csv
log | -f --follow -w --watch | that is `bivouac status --watch`
log | -n --tail --lines | --since 10m, or --slowest N; or … | tail -n N
report | --json --csv | that is `bivouac log --format json`, or csv
stop kill | -9 -f --force -s --signal -KILL | `bivouac status` names the process, for kill -9; what is on record stays
clean | -f -r --all | that is --force, which gives up unfinished jobs as well
clean | -n --dry-run | `bivouac list` shows which jobs are finished
digest | --exclude --include | find DIR -name '*.jpg' -print0 | xargs -0 bivouac digest
each | --semaphore --sem --semaphore-timeout --semaphoretimeout --st --semaphore-name --semaphorename --id --fg --bg | there is no semaphore; flock(1) is one
each | --shebang --hashbang --shebang-wrap | put the line into a script of the shell, and the items into a file for -a
each | --skip-first-line | that is --header :
each | --pipe --pipepart --pipe-part --spreadstdin --recstart --recend --regexp --regex --remove-rec-sep --rrs --round-robin --roundrobin --round --block --block-size --block-timeout --bt | that is a verb of its own: `bivouac pipe FILE… -- COMMAND`
each | --fifo --cat | commands of `bivouac pipe` read standard input: /dev/stdin is its name
each | --bin --group-by --groupby --tee | `bivouac pipe` cuts where it reads; sort or split the file before
each | --filter --limit | make the list before, as with grep or awk, and give it with -a
each | --shell-completion | that is `bivouac completions SHELL`
each | -v | -t prints each command before it runs; --verbose says what happens
each | --sql --_parset | the output goes to a file with -o OUT, and what ran is in `bivouac log`
each | --cf --color-fail --colour-fail | failures are named at the end; `bivouac log --failed` lists them
each | --outputasfiles | that is --files
each | --immediate-output | that is --line-buffer
each | -D --record-delimiter | that is -d DELIM
each | --nrecords | that is -n N
each | --infile | that is -a FILE
each | --records-join-sep | -m puts blanks between items; others with --shell and tr
each | --propagate-exit-status --propexitstatus | the code is 1 if an item failed; `bivouac log` has each command's
each | --cleanup-time | that is --kill-after DURATION
each | -T --trim-records | --trim lr takes the blanks around an item away
each | --stop-on-error | that is --halt WHEN, such as --halt now,fail=1
each | --tty --pty --open-tty | commands run side by side, and none of them has the terminal
each | --unsafe | items are always quoted; where each is a command line: --shell {}
each | --no-keep-order --nok --no-k | leave -k away
each | -e | -E END ends the items; to end at the first failure: --halt now,fail=1
each | --field-delimiter | that is -C REGEX
each | --out-file | that is -o OUT
each | --retry-interval | that is --retry-delay DURATION
each | --assign | a variable of the shell is one: --shell 'p={.}; COMMAND "$p"'
each | --no-kill-exes --no-stop-exes | a command is stopped and ended with its whole process group
each | --print-retry-output | of several attempts only the output of the last one is printed; leave it out
each | --parset --session --embed --minversion --combineexec --tollef --bibtex | it has no meaning here; leave it out
"#;

/// Verbs, in the same way.
const VERBS: &str = r#"
verb | start run exec | a job begins with its verb: count, grep, digest, pipe or each
verb | parallel xargs map foreach for rush | that is `bivouac each COMMAND ::: ITEM…`
verb | wc | that is `bivouac count FILE…`
verb | sum cksum md5sum sha1sum sha512sum shasum | there are BLAKE3 and SHA-256: bivouac digest [-a sha256] PATH…
verb | sha256sum b3sum hash checksum verify check | that is `bivouac digest PATH…`, and `bivouac digest --check LIST`
verb | sort | that is `bivouac pipe FILE… -o OUT --merge 'sort -m' -- sort`
verb | sed awk perl tr cut jq | that is `bivouac pipe FILE… -o OUT -- COMMAND`
verb | find | that is `find DIR -type f -print0 | bivouac each -0 COMMAND`
verb | filter split | that is `bivouac pipe FILE… -o OUT -- COMMAND`
verb | watch wait tail follow | that is `bivouac status --watch [STATE]`, which ends with the job
verb | show info | that is `bivouac status [STATE]`
verb | jobs | that is `bivouac list`
verb | fg bg | that is `bivouac resume [STATE]`
verb | restart retry again | type the line of the job again: it goes on. `bivouac status` shows that line
verb | rm remove delete purge | that is `bivouac clean [STATE]`
verb | logs joblog history | that is `bivouac log [STATE]`
verb | suspend | that is `bivouac pause [STATE]`
verb | abort cancel quit | that is `bivouac stop [STATE]`; a second SIGTERM aborts
verb | save | that is `bivouac checkpoint [STATE]`
verb | configure settings | that is `bivouac config`, for a file that --config names
"#;

/// The rows of a table: the verbs, the names, the sentence.
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    table.lines().filter_map(|row| {
        let (verbs, rest) = row.split_once(" | ")?;
        let (names, sentence) = rest.split_once(" | ")?;
        Some((verbs, names, sentence))
    })
}

/// What to say in place of the parser, if there is anything better.
pub(crate) fn on(error: &clap::Error, argv: &[OsString]) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let verb = argv.get(1).and_then(|verb| verb.to_str()).unwrap_or_default();
    let kind = error.kind();
    // `pipe FILE COMMAND -x`: the parser sees an option of its own.
    let lacks_dashes = verb == "pipe"
        && !argv.iter().any(|word| word == "--")
        && argv.get(2).is_some_and(|word| !word.as_bytes().starts_with(b"-"));
    if kind == ErrorKind::InvalidSubcommand {
        let typed = word(ContextKind::InvalidSubcommand)?;
        let known = rows(VERBS).find(|(_, names, _)| is_in(names, typed));
        let advice = match (known, error.get(ContextKind::SuggestedSubcommand)) {
            (Some((.., sentence)), _) => sentence.to_string(),
            (None, Some(ContextValue::Strings(alike))) if !alike.is_empty() => {
                format!("a similar verb: {}", alike.join(", "))
            }
            (None, _) => "`bivouac --help` lists the verbs".to_string(),
        };
        return Some(format!("`{}` is no verb\n  {advice}", with_short_words(typed)));
    }
    if kind == ErrorKind::InvalidValue && word(ContextKind::InvalidValue) == Some("") {
        let name = word(ContextKind::InvalidArg)?;
        let is_typed = argv.iter().any(|word| word.is_empty() || word.as_bytes().ends_with(b"="));
        return is_typed.then(|| {
            let name = name.trim_start_matches('[').trim_end_matches("...").trim_end_matches(']');
            format!("{name}: the value is empty\n  give one; a variable of the shell may have been empty")
        });
    }
    if kind == ErrorKind::UnknownArgument {
        let typed = word(ContextKind::InvalidArg)?;
        // To the parser `-1h` is `-1` and `-h`.
        let is_it = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with(typed));
        if let Some([option, value]) = argv.windows(2).find(|two| is_it(&two[1]))
            && wants_value(verb, option)
        {
            let (option, value) = (option.display(), with_short_words(&quote::argument(value)));
            return Some(format!("{option}: needs a value\n  if that is {value}: {option}={value}"));
        }
        let name = typed.split('=').next().unwrap_or(typed);
        let is_meant = |verbs: &str| verbs == "all" || is_in(verbs, verb);
        let is_it = |known: &str| without_hyphens(known) == without_hyphens(name);
        let known = rows(OPTIONS).find(|(verbs, names, _)| is_meant(verbs) && names.split(' ').any(is_it));
        if let Some(line) = piped::line(argv).filter(|_| known.is_some() && verb == "each") {
            return Some(format!("{name}: that is a verb of its own:\n  {line}"));
        }
        if let Some((.., sentence)) = known {
            return Some(format!("{name}: there is no such option here\n  {sentence}"));
        }
        if verb.starts_with('-') {
            return Some(format!(
                "{name}: stands before the verb\n  options come after it: bivouac VERB {name} …"
            ));
        }
    }
    let is_missing = kind == ErrorKind::MissingRequiredArgument && verb == "pipe";
    let has_dashes = argv.iter().any(|word| word == "--");
    (is_missing || (kind == ErrorKind::UnknownArgument && lacks_dashes)).then(|| {
        match has_dashes {
            true => "COMMAND: is missing\n  nothing follows `--`, or the option before `--` needs a value",
            false => "COMMAND: is missing\n  put `--` in front of it: bivouac pipe FILE… -o OUT -- COMMAND",
        }
        .to_string()
    })
}

/// A number and its unit as two words, of which the second would be taken for a file.
pub(crate) fn refuse_lone_units(argv: &[OsString]) -> Result<()> {
    const UNITS: &str = "B k K kB KB KiB M MB MiB G GB GiB ms s sec m min h MB/s MiB/s seconds minutes hours";
    const OPTIONS: &str = "--limit-rate --grace --kill-after --max-runtime --timeout --checkpoint-every --block \
         --fixed --max-chars --memfree --memsuspend --delay --retry-delay --spill-limit";
    for window in argv.windows(3) {
        let [option, number, unit] = [0, 1, 2].map(|at| window[at].to_str().unwrap_or_default());
        let is_number =
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_number && is_in(OPTIONS, option) && is_in(UNITS, unit) && !Path::new(unit).exists() {
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
            ("bivouac each --resume echo", "the same line"),
            ("bivouac each --rpl x echo", "--plus"),
            ("bivouac each --sem echo", "flock"),
            ("bivouac each --resumefailed echo", "the same line"),
            ("bivouac each -e echo", "-E END"),
            ("bivouac each --retry-interval 5 echo", "--retry-delay"),
            ("bivouac each --block 1M echo", "bivouac pipe"),
            ("bivouac each --pipe wc", "\n  bivouac pipe - -- wc"),
            ("bivouac each --pipepart -a f --block 3M -j4 wc", "\n  bivouac pipe f --block 3MiB -j 4 -- wc"),
            ("bivouac each --pipe --block=1k wc -l :::: f", "\n  bivouac pipe f --block 1k -- wc -l"),
            ("bivouac each --pipe -N9 wc", "\n  bivouac pipe - --block 1 --record-lines 9 -- wc"),
            ("bivouac each -kN1 --recend , --pipe cat", "\n  bivouac pipe - --block 1 --record-end , -- cat"),
            (
                "bivouac each --pipe -L 4 --header : cat",
                "\n  bivouac pipe - --record-lines 4 --header -- cat",
            ),
            ("bivouac each --pipe --recstart > cat | wc", "--record-start '>' --shell -- 'cat | wc'"),
            ("bivouac each --recend , --pipe --rrs wc", "`bivouac pipe FILE"),
            ("bivouac each --pipe --regexp wc", "`bivouac pipe FILE"),
            ("bivouac each --pipe wc ::: a", "`bivouac pipe FILE"),
            ("bivouac each --pipe", "`bivouac pipe FILE"),
            ("bivouac each --pipe -N 2 --recend , cat", "`bivouac pipe FILE"),
            ("bivouac each --transferfile x echo", "another host"),
            ("bivouac grep -R a f", "follows no links"),
            ("bivouac grep --compress=zstd a f", "-o OUT.zst"),
            ("bivouac grep -I a f", "with find"),
            ("bivouac digest --sha256 f", "--algorithm sha256"),
            ("bivouac digest --version", "bivouac --version"),
            ("bivouac watch", "status --watch"),
            ("bivouac start", "begins with its verb"),
            ("bivouac pipe in cat", "put `--`"),
            ("bivouac pipe in wc -l", "put `--`"),
            ("bivouac --jobs 3 each echo", "bivouac VERB --jobs"),
            ("bivouac each --keep-going echo", "--halt"),
            ("bivouac md5sum in", "bivouac digest"),
            ("bivouac sort in", "--merge 'sort -m' -- sort"),
            ("bivouac sed s/a/b/ in", "bivouac pipe"),
            ("bivouac find .", "-print0 |"),
        ] {
            assert!(said(line).is_some_and(|said| said.contains(says)), "{line}: {:?}", said(line));
        }
        assert_eq!(said("bivouac each --frobnicate echo"), None);
    }

    /// Whatever stands where a value is due, in most cases a number that is negative or an empty variable.
    #[test]
    fn a_value_that_is_wrong_is_answered_with_the_name_of_its_option() {
        use clap::CommandFactory;
        let (command, mut tried, mut unnamed) = (Cli::command(), 0, Vec::new());
        for verb in command.get_subcommands() {
            let takes = |option: &&clap::Arg| {
                let has_default = ["color", "progress"].contains(&option.get_id().as_str());
                let has_value = !option.is_positional() && option.get_action().takes_values();
                has_value && !has_default && !option.is_hide_set()
            };
            let rest = verb.get_positionals().next().map(|_| "x");
            for option in verb.get_arguments().filter(takes) {
                let names = [
                    option.get_long().map(|name| format!("--{name}")),
                    option.get_short().map(|name| format!("-{name}")),
                ];
                let [name, ..] = names.iter().flatten().collect::<Vec<_>>()[..] else { continue };
                for value in ["-1", "-1h", "-x", ""] {
                    let line = match option.is_require_equals_set() {
                        true => vec![format!("{name}={value}")],
                        false => vec![name.clone(), value.to_string()],
                    };
                    let dashes = ["pipe", "slurm"].contains(&verb.get_name()).then_some("--");
                    let words =
                        ["bivouac", verb.get_name()].into_iter().chain(line.iter().map(String::as_str));
                    let argv: Vec<OsString> = words.chain(dashes).chain(rest).map(OsString::from).collect();
                    let Err(error) = Cli::read(&argv) else { continue };
                    let said = on(&error, &argv).unwrap_or_else(|| error.to_string());
                    tried += 1;
                    let is_named = names.iter().flatten().any(|name| said.contains(name.as_str()));
                    unnamed.extend((!is_named).then(|| format!("{argv:?}: {said}")));
                }
            }
        }
        assert_eq!(unnamed.len(), 0, "{}", unnamed.join("\n"));
        assert!(tried > 400, "{tried}");
    }

    /// A sentence is the second line of a message, after two blanks.
    #[test]
    fn no_sentence_of_the_tables_is_longer_than_a_line() {
        for (_, names, sentence) in rows(OPTIONS).chain(rows(VERBS)) {
            assert!(sentence.chars().count() <= 78, "{names}: {sentence}");
        }
        assert!(said("bivouac watch").unwrap().starts_with("`watch` is no verb\n  that is `"));
    }

    /// What has come to be an option must leave the table.
    #[test]
    fn no_name_of_the_table_is_an_option() {
        use clap::CommandFactory;
        let mut command = Cli::command();
        command.build();
        for verb in command.get_subcommands() {
            let all = rows(OPTIONS).filter(|(verbs, ..)| verbs.split(' ').any(|one| one == verb.get_name()));
            for (_, names, _) in all {
                for name in names.split(' ') {
                    let is_it = |arg: &clap::Arg| {
                        let mut long = arg.get_long_and_visible_aliases().unwrap_or_default().into_iter();
                        let mut short = arg.get_short_and_visible_aliases().unwrap_or_default().into_iter();
                        long.any(|long| name == format!("--{long}"))
                            || short.any(|short| name == format!("-{short}"))
                    };
                    assert!(!verb.get_arguments().any(is_it), "{} {name}", verb.get_name());
                }
            }
        }
        for (_, names, _) in rows(VERBS) {
            assert!(names.split(' ').all(|name| command.find_subcommand(name).is_none()), "{names:?}");
        }
    }
}
