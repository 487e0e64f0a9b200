//! The options of `each`, and the words after them: a command, and where its items come from.
//!
//! Users of GNU `parallel` type `each [OPTIONS] COMMAND… ::: ITEM…`. Everything from the first word of the
//! command on belongs to the command, even a word that looks like one of our options. So clap takes those
//! words as they are, and they are sorted here.

use super::common::{CommandArgs, JobArgs, ShowProgress};
use super::help;
use super::items::ItemArgs;
use super::parallel::ParallelArgs;
use crate::cli::complete;
use crate::cli::parse::{self, HaltWhen};
use bivouac::input::{Column, Given};
use clap::Args;
use clap_complete::ArgValueCompleter;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Run a command for each item of a list, several at a time.
///
/// Items follow `:::`, or come from files (-a) or standard input, one on each line. `{}` in COMMAND stands
/// for the item; without it the item is appended to COMMAND. After a stop, a kill or a power cut, run the
/// same line again: ended commands are not started again (except some of the last second before a SIGKILL or
/// a power cut), interrupted ones run once more, and new items of the list come last. No shell is used unless --shell asks for one.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(
    after_long_help = help::EACH,
    override_usage = "bivouac each [OPTIONS] COMMAND... [::: ITEM...]\n       bivouac each [OPTIONS] -a FILE COMMAND...\n       ... | bivouac each [OPTIONS] COMMAND..."
)]
pub(crate) struct EachArgs {
    /// Take items from the lines of FILE; several files give all combinations
    #[arg(short = 'a', long = "arg-file", value_name = "FILE", help_heading = "Items")]
    arg_files: Vec<PathBuf>,

    /// The word before items, in place of `:::`; with a + at its end for `:::+`
    #[arg(
        long,
        alias = "argsep",
        value_name = "WORD",
        default_value = ":::",
        hide_default_value = true,
        allow_hyphen_values = true,
        help_heading = "Items"
    )]
    arg_sep: String,

    /// The word before files of items, in place of `::::`
    #[arg(
        long,
        alias = "argfilesep",
        value_name = "WORD",
        default_value = "::::",
        hide_default_value = true,
        allow_hyphen_values = true,
        help_heading = "Items"
    )]
    arg_file_sep: String,

    /// Items end with a zero byte, as `find -print0` writes them
    #[arg(short = '0', long, overrides_with = "delimiter", help_heading = "Items")]
    null: bool,

    /// Items end with DELIM; \n, \t, \0 and \xHH are escapes [default: \n]
    #[arg(short, long, value_name = "DELIM", value_parser = parse::bytes, allow_hyphen_values = true, help_heading = "Items")]
    delimiter: Option<parse::Bytes>,

    /// Pass N items to each command, fewer to the last one; 0: run COMMAND once for each item, without it
    /// [default: 1]
    #[arg(short = 'n', long = "max-args", value_name = "N", value_parser = parse::whole, allow_hyphen_values = true, help_heading = "Items")]
    max_args: Option<usize>,

    /// Pass as many items to each command as fit (--max-chars), the last ones spread over all slots; repeat a word
    /// with a placeholder for each item
    #[arg(short = 'X', long = "context-replace", help_heading = "Items")]
    pub(crate) fit_in_context: bool,

    /// The same, but put all items into the word with the placeholder, with blanks between them
    #[arg(short = 'm', long = "multiple", help_heading = "Items")]
    pub(crate) fit: bool,

    /// The same as -m, but do not spread the last ones
    #[arg(long = "xargs", overrides_with = "fit", help_heading = "Items")]
    pub(crate) fit_unspread: bool,

    /// Limit a command of several items (-X, -m, --xargs, -n N) to SIZE bytes, and always to what the system
    /// allows [default: 128KiB; with -n: no limit]
    #[arg(short = 's', long, value_name = "SIZE", value_parser = parse::block, allow_hyphen_values = true, help_heading = "Items")]
    pub(crate) max_chars: Option<u64>,

    #[command(flatten)]
    pub(crate) items: ItemArgs,

    #[command(flatten)]
    parallel: ParallelArgs,

    /// Run COMMAND, given as one text, with SHELL: sh, bash, a path, or `auto` for $SHELL [default: sh]. Items
    /// in it are quoted. Without COMMAND, or if COMMAND is {}, each item is such a text
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, default_missing_value = "sh", help_heading = "The command")]
    pub(crate) shell: Option<OsString>,

    /// Stop after so many items of this run: `soon,fail=N` lets running commands finish, `now,fail=N` ends them;
    /// also success=N, done=N, and N% of all items
    #[arg(long, alias = "halt-on-error", value_name = "WHEN", value_parser = parse::halt, add = ArgValueCompleter::new(complete::halts), allow_hyphen_values = true, help_heading = "The command")]
    pub(crate) halt: Option<HaltWhen>,

    /// Run items once more that failed in earlier runs
    #[arg(long, conflicts_with = "output", help_heading = "The command")]
    pub(crate) retry_failed: bool,

    /// Run commands in DIR, which is made if it is missing; placeholders in DIR are filled
    #[arg(long, visible_aliases = ["wd", "cwd"], value_name = "DIR", help_heading = "The command")]
    pub(crate) workdir: Option<String>,

    /// Run bivouac and its commands at this niceness, from -20 to 19
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-20..=19), help_heading = "The command")]
    pub(crate) nice: Option<i32>,

    /// Print each command to standard error before it starts
    #[arg(short = 't', long, alias = "verbose-commands", help_heading = "The command")]
    pub(crate) trace: bool,

    /// Ask on the terminal before each command; one that is not answered with y is left out, and counts as done
    #[arg(short = 'p', long, help_heading = "The command")]
    pub(crate) interactive: bool,

    /// Print the commands and run none
    #[arg(long, aliases = ["dryrun", "dr"], help_heading = "The command")]
    pub(crate) dry_run: bool,

    /// Print results in the order of the items, not in the order in which commands end
    #[arg(short, long, help_heading = "Output")]
    pub(crate) keep_order: bool,

    /// Pass output through as it comes, mixed; a little faster. With --tag the same as --line-buffer
    #[arg(short, long, conflicts_with_all = ["keep_order", "results", "output", "line_buffer"], help_heading = "Output")]
    pub(crate) ungroup: bool,

    /// Print each line when it is complete; lines of several commands mix
    #[arg(long, visible_alias = "lb", aliases = ["line-buffered", "linebuffer", "linebuffered"], conflicts_with_all = ["results", "output"], help_heading = "Output")]
    pub(crate) line_buffer: bool,

    /// Prefix each output line with its item and a tab
    #[arg(long, help_heading = "Output")]
    pub(crate) tag: bool,

    /// Prefix each output line with STR and a tab; placeholders in STR are filled
    #[arg(long, visible_alias = "tag-string", value_name = "STR", value_parser = parse::tag, allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) tagstring: Option<String>,

    /// Print the name of a file with what each command printed: DIR/NUMBER/stdout of --results, or of a new
    /// directory in --tmpdir
    #[arg(long = "files", alias = "output-as-files", conflicts_with_all = ["ungroup", "line_buffer", "output"], help_heading = "Output")]
    pub(crate) prints_names: bool,

    /// Where --files makes its directory [default: $TMPDIR, or /tmp]
    #[arg(long, alias = "tempdir", value_name = "DIR", requires = "prints_names", help_heading = "Output")]
    pub(crate) tmpdir: Option<PathBuf>,

    /// Keep what each command prints in DIR/NUMBER: stdout, stderr, code, item
    #[arg(long, aliases = ["result", "res"], value_name = "DIR", help_heading = "Output")]
    pub(crate) results: Option<PathBuf>,

    /// Write the output of all commands to OUT, exactly once and in the order of the items; OUT appears when
    /// the job is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// The command with its arguments, then the items
    #[arg(trailing_var_arg = true, value_name = "COMMAND", add = ArgValueCompleter::new(complete::commands))]
    words: Vec<OsString>,

    /// How many words were typed
    #[arg(skip)]
    typed: usize,

    /// The words of the command; see [`EachArgs::sort`]
    #[arg(skip)]
    pub(crate) command: Vec<OsString>,

    /// Where items come from
    #[arg(skip)]
    columns: Vec<ItemSource>,

    /// The files among them
    #[arg(skip)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) commands: CommandArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

/// One of several sources of items.
#[derive(Clone, Debug, PartialEq)]
struct ItemSource {
    /// Words, or the names of files.
    words: Vec<OsString>,
    kind: SourceKind,
    linked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceKind {
    Items,
    Files,
}

impl EachArgs {
    /// What `:::` and its relatives mean.
    fn separator(&self, word: &OsStr) -> Option<(SourceKind, bool)> {
        [(&self.arg_sep, SourceKind::Items), (&self.arg_file_sep, SourceKind::Files)].into_iter().find_map(
            |(separator, kind)| match word.as_encoded_bytes().strip_prefix(separator.as_bytes())? {
                b"" => Some((kind, false)),
                b"+" => Some((kind, true)),
                _ => None,
            },
        )
    }

    /// How many words the command and its items have, before they are told apart.
    pub(super) fn number_of_words(&self) -> usize {
        self.words.len()
    }

    /// Tells the command from the items.
    pub(crate) fn sort(&mut self) {
        if self.interactive {
            // It would be drawn over the question.
            self.job.messages.progress = ShowProgress::Never;
        }
        self.typed = self.words.len();
        let mut words = std::mem::take(&mut self.words).into_iter().peekable();
        while let Some(word) = words.next_if(|word| self.separator(word).is_none()) {
            self.command.push(word);
        }
        let files = self.arg_files.iter().map(|file| ItemSource {
            words: vec![file.into()],
            kind: SourceKind::Files,
            linked: false,
        });
        self.columns = files.collect();
        for word in words {
            match (self.separator(&word), self.columns.last_mut()) {
                (Some((kind, linked)), _) => {
                    self.columns.push(ItemSource { words: Vec::new(), kind, linked })
                }
                (None, Some(column)) => column.words.push(word),
                (None, None) => {}
            }
        }
        self.columns = self.columns.drain(..).flat_map(ItemSource::each_file).collect();
        let files = self.columns.iter().filter(|column| column.kind == SourceKind::Files);
        self.files = files.flat_map(|column| &column.words).map(PathBuf::from).collect();
        if self.columns.is_empty() {
            self.files.push(PathBuf::from("-"));
        }
    }

    /// Where items come from: standard input, unless something else was said.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut columns: Vec<Column> = self.columns.iter().map(ItemSource::column).collect();
        if columns.is_empty() {
            columns.push(Column { given: Given::Stdin, linked: false });
        }
        columns
    }

    /// What a list is made of, without the items: part of what makes one job another.
    pub(crate) fn shape(&self) -> Vec<&'static str> {
        let shape = |column: &ItemSource| match (column.kind, column.linked) {
            (SourceKind::Items, false) => ":::",
            (SourceKind::Items, true) => ":::+",
            (SourceKind::Files, false) => "::::",
            (SourceKind::Files, true) => "::::+",
        };
        self.columns.iter().map(shape).collect()
    }

    /// Whether something stands before each line.
    pub(crate) fn is_tagged(&self) -> bool {
        self.tag || self.tagstring.is_some()
    }

    /// How many items one command takes at most.
    pub(crate) fn per_command(&self) -> usize {
        match (self.items.per_command().or(self.max_args), self.fits()) {
            (None | Some(0), true) => usize::MAX,
            (Some(items), _) => items.max(1),
            (None, false) => 1,
        }
    }

    /// Whether a command gets as many items as fit.
    pub(crate) fn fits(&self) -> bool {
        self.fit || self.fit_in_context || self.fit_unspread
    }

    /// Whether a command of a fixed number of items may get fewer, because of its length.
    pub(crate) fn is_limited(&self) -> bool {
        !self.fits() && self.max_chars.is_some()
    }

    /// Whether a command gets none of the item that it runs for.
    pub(crate) fn takes_none(&self) -> bool {
        !self.fits() && self.items.per_command().or(self.max_args) == Some(0)
    }

    /// The command line in three parts: before the command, the command, after it.
    pub(crate) fn apart<'a>(&self, argv: &'a [OsString]) -> [&'a [OsString]; 3] {
        let (before, words) = argv.split_at(argv.len().saturating_sub(self.typed));
        let (command, after) = words.split_at(self.command.len().min(words.len()));
        [before, command, after]
    }

    /// What ends an item.
    pub(crate) fn delimiter(&self) -> Vec<u8> {
        match (self.null, &self.delimiter) {
            (true, _) => vec![0],
            (false, Some(delimiter)) => delimiter.0.clone(),
            (false, None) => vec![b'\n'],
        }
    }
}

impl ItemSource {
    /// `:::: a b` is as good as `:::: a :::: b`.
    fn each_file(self) -> Vec<ItemSource> {
        match self.kind {
            SourceKind::Items => vec![self],
            SourceKind::Files => {
                let one =
                    |word| ItemSource { words: vec![word], kind: SourceKind::Files, linked: self.linked };
                self.words.into_iter().map(one).collect()
            }
        }
    }

    fn column(&self) -> Column {
        let given = match (self.kind, self.words.first()) {
            (SourceKind::Files, Some(file)) => Given::File(PathBuf::from(file)),
            (SourceKind::Items | SourceKind::Files, _) => Given::Listed(self.words.clone()),
        };
        Column { given, linked: self.linked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, JobVerb, Verb};
    use std::time::Duration;

    fn each(line: &str) -> EachArgs {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let argv = ["bivouac", "each"].into_iter().map(OsString::from).chain(argv);
        let Verb::Job(JobVerb::Each(each)) = Cli::read(&argv.collect::<Vec<_>>()).unwrap().verb else {
            panic!("{line}")
        };
        each
    }

    #[test]
    fn the_command_is_told_from_the_items() {
        for (line, command, shape) in [
            ("-j 3 gzip -9 -k ::: a b", "gzip -9 -k", ":::"),
            ("echo {} ::: a b ::: c", "echo {}", "::: :::"),
            ("echo ::: a :::+ b", "echo", "::: :::+"),
            ("-a f -a g echo -a {1} ::: x", "echo -a {1}", ":::: :::: :::"),
            ("echo :::: f g ::::+ h", "echo", ":::: :::: ::::+"),
            ("echo", "echo", ""),
            ("--shell ::: true false", "", ":::"),
            ("echo -- --tag ::: -x", "echo -- --tag", ":::"),
        ] {
            let each = each(line);
            assert_eq!(each.command.join(OsStr::new(" ")), command, "{line}");
            assert_eq!(each.shape().join(" "), shape, "{line}");
            assert!(!each.tag, "{line}");
        }
    }

    #[test]
    fn options_that_people_know_from_parallel() {
        let each = each("-j50% -k --tag -N2 --halt now,fail=1 --retries 3 --timeout 10 echo ::: a");
        assert!(each.keep_order && each.tag && each.per_command() == 2 && each.commands.retries == 3);
        let halt = bivouac::Halt { on: bivouac::HaltOn::Failed, tasks: 1, now: true };
        assert_eq!(each.halt, Some(HaltWhen::After(halt)));
        assert_eq!(each.commands.timeout, Some(Duration::from_secs(10)));
    }
}
