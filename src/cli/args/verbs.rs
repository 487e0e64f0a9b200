//! What is particular to each verb.

use super::common::{CommandArgs, InputArgs, JobArgs, TableArgs};
use super::help;
use crate::cli::parse;
use bivouac::{Error, Result};
use clap::{ArgAction, Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Count lines, words and bytes, as `wc` prints them.
///
/// Gives the numbers of GNU `wc` in the C locale, per file and, with several files, in total.
/// Without -l, -w or -c all three are printed, always in this order.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::COUNT)]
pub(crate) struct CountArgs {
    /// Print the number of lines
    #[arg(short, long, help_heading = "What to count")]
    pub(crate) lines: bool,

    /// Print the number of words
    #[arg(short, long, help_heading = "What to count")]
    pub(crate) words: bool,

    /// Print the number of bytes
    #[arg(short = 'c', long, help_heading = "What to count")]
    pub(crate) bytes: bool,

    /// Write the result to OUT, which appears when it is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out files that cannot be read, and end with 1; needed with an output file only
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_going: bool,

    /// Files to read; `-` is standard input, which cannot be continued
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
}

/// Print the lines that match a pattern, in input order.
///
/// The pattern is a regular expression as Rust's `regex` crate knows it (like `grep -E`, with \d and
/// \b, without backreferences), over bytes. The short options mean what they mean to `grep`, all but
/// -q, which here keeps quiet about the run and not about the lines; the output file therefore has no
/// short one.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(
    after_long_help = help::GREP,
    disable_help_flag = true,
    override_usage = "bivouac grep [OPTIONS] PATTERN FILE...\n       bivouac grep [OPTIONS] -e PATTERN... FILE..."
)]
pub(crate) struct GrepArgs {
    /// A pattern; may be given several times, a line then matches if one of them does
    #[arg(
        short = 'e',
        long = "regexp",
        value_name = "PATTERN",
        allow_hyphen_values = true,
        help_heading = "What to find"
    )]
    pub(crate) patterns: Vec<OsString>,

    /// Patterns are plain text, not regular expressions
    #[arg(short = 'F', long, help_heading = "What to find")]
    pub(crate) fixed_strings: bool,

    /// Upper and lower case are the same
    #[arg(short, long, help_heading = "What to find")]
    pub(crate) ignore_case: bool,

    /// Print the lines that do not match
    #[arg(short = 'v', long, help_heading = "What to find")]
    pub(crate) invert_match: bool,

    /// Print only the number of matching lines of each file
    #[arg(short, long, help_heading = "Output")]
    pub(crate) count: bool,

    /// Print only the parts that match, each on a line of its own
    #[arg(short = 'o', long, help_heading = "Output")]
    pub(crate) only_matching: bool,

    /// Print the number of each line in front of it
    #[arg(short = 'n', long, help_heading = "Output")]
    pub(crate) line_number: bool,

    /// Print the file name in front of each line, as is done with several files
    #[arg(short = 'H', long, overrides_with = "no_filename", help_heading = "Output")]
    pub(crate) with_filename: bool,

    /// Print no file names
    #[arg(short = 'h', long, overrides_with = "with_filename", help_heading = "Output")]
    pub(crate) no_filename: bool,

    /// Write the result to OUT, which appears when it is complete
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out files that cannot be read, and end with 2; needed with an output file only
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_going: bool,

    /// What to find, and where; with -e all of these are files. `-` is standard input, which cannot be continued
    #[arg(required = true, value_name = "PATTERN FILE")]
    words: Vec<OsString>,

    /// The files among the words; see [`GrepArgs::sort`]
    #[arg(skip)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,

    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = "Options")]
    help: Option<bool>,
}

impl GrepArgs {
    /// Tells patterns from files. As for `grep`, the first word is the pattern unless there was an
    /// -e, and that is known only when all words have been seen, so clap cannot do it.
    ///
    /// # Errors
    ///
    /// What is missing, in the words of the usage line.
    pub(crate) fn sort(&mut self) -> std::result::Result<(), &'static str> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        if self.patterns.is_empty() {
            self.patterns.extend(words.next());
        }
        self.files = words.map(PathBuf::from).collect();
        if self.files.is_empty() { Err("FILE... (`-` is standard input)") } else { Ok(()) }
    }

    /// The patterns as text.
    ///
    /// # Errors
    ///
    /// One is not UTF-8. A pattern for arbitrary bytes can be written with escapes: `(?-u)\xff`.
    pub(crate) fn patterns(&self) -> Result<Vec<String>> {
        let text = |pattern: &OsString| {
            pattern.to_str().map(str::to_string).ok_or_else(|| {
                Error::usage(pattern.display(), "this pattern is not UTF-8")
                    .advise(r"write bytes as escapes, as in '(?-u)\xff'")
            })
        };
        self.patterns.iter().map(text).collect()
    }
}

/// Print a checksum of every regular file below the paths, or verify such a list.
///
/// Files are listed in a stable order, and lines look as `b3sum` and `sha256sum` print them. With
/// BLAKE3 one huge file is hashed by all workers and can be continued in the middle; with SHA-256
/// each file is one task.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::DIGEST)]
pub(crate) struct DigestArgs {
    /// Which checksum
    #[arg(long, value_enum, default_value_t = Algorithm::Blake3, help_heading = "What to compute")]
    pub(crate) algorithm: Algorithm,

    /// Read checksums from the files, or from standard input, verify them, and name what differs
    #[arg(short = 'c', long, conflicts_with_all = ["verify_inputs", "tag", "zero"], help_heading = "What to compute")]
    pub(crate) check: bool,

    /// With --check: pass over files that do not exist
    #[arg(long, requires = "check", help_heading = "What to compute")]
    pub(crate) ignore_missing: bool,

    /// With --check: print nothing; the exit code tells. (With --quiet only what is as it was is not named.)
    #[arg(long, requires = "check", overrides_with = "warn", help_heading = "What to compute")]
    pub(crate) status: bool,

    /// With --check: end with 1 if a line is improperly formatted; with BLAKE3 that is so anyway
    #[arg(long, requires = "check", help_heading = "What to compute")]
    pub(crate) strict: bool,

    /// With --check: name every line that is improperly formatted
    #[arg(short, long, requires = "check", overrides_with = "status", help_heading = "What to compute")]
    pub(crate) warn: bool,

    /// Write lines of the BSD form: `SHA256 (NAME) = HASH`
    #[arg(long, help_heading = "Output")]
    pub(crate) tag: bool,

    /// End each line with a zero byte, and escape no name
    #[arg(short = 'z', long, help_heading = "Output")]
    pub(crate) zero: bool,

    /// Write the result to OUT, which appears when it is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out files that cannot be read, and end with 1; needed with an output file, or if the machine is in trouble
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_going: bool,

    /// Files and directories; `-` is standard input, which cannot be continued
    /// With --check: lists of checksums
    #[arg(required_unless_present = "check", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
}

/// A checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// As `b3sum` computes it
    Blake3,
    /// As `sha256sum` computes it
    Sha256,
}

/// Put each chunk of the input through a command, and what it prints in input order.
///
/// The input is cut between records, lines unless said otherwise, and several copies of COMMAND run
/// at once, each with one chunk as its standard input. That gives the bytes of `COMMAND < FILE` for
/// every command that treats each record by itself. A job that was stopped goes on where it was, and a
/// command counts as done only when it ended well and nobody had told it to end.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::PIPE, override_usage = "bivouac pipe [OPTIONS] FILE... -- COMMAND [ARG]...")]
pub(crate) struct PipeArgs {
    /// Files to read; `-` is standard input, which can be continued when it is given again
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The command and its arguments; no shell is involved. {#} is the number of the chunk, from 1, {%} the slot
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,

    /// COMMAND is one text, which is run through SHELL (sh, bash, a path; `auto`: $SHELL) [default: sh]
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, default_missing_value = "sh", help_heading = "The command")]
    pub(crate) shell: Option<OsString>,

    /// Leave out chunks whose command fails, and files that cannot be read; otherwise the first one ends the job
    #[arg(long, help_heading = "The command")]
    pub(crate) keep_going: bool,

    /// How many bytes make a chunk [default: a sixteenth of the input, 1 to 16 MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse::block, allow_hyphen_values = true, help_heading = "Where the input is cut")]
    pub(crate) block: Option<u64>,

    /// A record ends with these bytes; \n, \t, \0 and \xHH are understood [default: \n]
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true, help_heading = "Where the input is cut")]
    pub(crate) record_end: Option<parse::Bytes>,

    /// A record begins with these bytes at the start of a line, as in `>` for FASTA; with --record-end,
    /// behind those bytes
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true, help_heading = "Where the input is cut")]
    pub(crate) record_start: Option<parse::Bytes>,

    /// A record ends with a zero byte
    #[arg(short = '0', long, conflicts_with_all = ["record_end", "record_start", "fixed"], help_heading = "Where the input is cut")]
    pub(crate) null: bool,

    /// Every record has this many bytes
    #[arg(long, value_name = "SIZE", value_parser = parse::block, allow_hyphen_values = true, conflicts_with_all = ["record_end", "record_start"], help_heading = "Where the input is cut")]
    pub(crate) fixed: Option<u64>,

    /// Write the result to OUT, which appears when it is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) commands: CommandArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
}

/// Print what ran, when, and how it ended.
///
/// One line for each attempt of each command that a `pipe` or `each` job has run, those of earlier runs
/// included, in the order in which they ended; what has begun and not ended is `open`. Works while the job
/// is running, too. A state that is removed when
/// its job is finished (one without an output file) takes its log along.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::LOG)]
pub(crate) struct LogArgs {
    /// State directory [default: the only one in the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// How it is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogAs::Text)]
    pub(crate) format: LogAs,

    /// The columns of GNU parallel's --joblog; the same as `--format joblog`
    #[arg(long, conflicts_with = "format")]
    pub(crate) joblog: bool,

    /// Only what failed
    #[arg(long)]
    pub(crate) failed: bool,
}

/// How a log is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogAs {
    /// For people
    Text,
    /// A JSON object on each line
    Json,
    /// A table with a header, as RFC 4180 has it
    Csv,
    /// A table with tabs, as GNU parallel's --joblog has it
    Joblog,
}

/// Remove the state of finished jobs.
///
/// Without STATE: of every finished job whose state is here, below .bivouac or in a directory named
/// like an output with .bivouac behind it. The state of a job that can still be continued is kept
/// and named, and so is one that is in use.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::CLEAN)]
pub(crate) struct CleanArgs {
    /// State directories [default: those of the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) states: Vec<PathBuf>,

    /// Also remove the state of a job that is not finished: it then starts anew
    #[arg(long, requires = "states")]
    pub(crate) force: bool,
}

/// Print what every signal means to a job that is started with these options.
///
/// One row for each signal, with the request and with where the row comes from: the defaults, the
/// configuration file, or --on. A signal that is ignored when bivouac is started (by `nohup`, or in
/// the background of a script) stays ignored.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::SIGNALS)]
pub(crate) struct SignalsArgs {
    #[command(flatten)]
    pub(crate) table: TableArgs,
}

/// Print a script that completes verbs and options in a shell.
///
/// The script goes to standard output, to be put where the shell looks for completions.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual, one page for each verb.
///
/// The directory is made if it does not exist; pages that are there are replaced.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::MAN)]
pub(crate) struct ManArgs {
    /// Where the pages go
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
