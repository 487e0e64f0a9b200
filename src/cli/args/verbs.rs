//! The options of each verb that is not in a file of its own.

use super::common::{CommandArgs, InputArgs, JobArgs, PackedArgs, TableArgs};
use super::found::{Found, Word, paths, words};
use super::help;
use super::names::{NameArgs, Names};
use super::records::RecordArgs;
use crate::cli::conflicts::printed_file;
use crate::cli::{complete, parse};
use crate::jobs::count::Totals;
use crate::jobs::digest::Algorithm;
use crate::jobs::formats::Format;
use crate::jobs::pipe::Asked;
use bivouac::disk::OsDisk;
use bivouac::error::Advice;
use bivouac::input::LeftOut;
use bivouac::state_dir::is_state;
use bivouac::{Error, Result};
use clap::{ArgAction, Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Count lines, words and bytes, as `wc` prints them.
///
/// The numbers are those of GNU `wc`, for each file and, with several files, in total. Without -l, -w, -c, -m
/// and -L it prints lines, words and bytes. Their order is always lines, words, characters, bytes, longest line.
/// Words are those of the C locale; characters are those of UTF-8, whatever the locale is.
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

    /// Print the number of characters of UTF-8
    #[arg(short = 'm', long, help_heading = "What to count")]
    pub(crate) chars: bool,

    /// Print the width of the longest line on a terminal
    #[arg(short = 'L', long, help_heading = "What to count")]
    pub(crate) max_line_length: bool,

    /// Print the number of records in files of this kind, without their headers; with -l, -w and -c those numbers too
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with_all = ["chars", "max_line_length"], help_heading = "What to count")]
    pub(crate) format: Option<Format>,

    /// Read the names of the files from LIST, each ended by a zero byte; `-` is standard input
    #[arg(long, value_name = "LIST", conflicts_with = "files", help_heading = "What to count")]
    files0_from: Option<PathBuf>,

    /// When to print the total; `only`: nothing but it [default: with several files]
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Totals::Several, hide_default_value = true, help_heading = "Output")]
    pub(crate) total: Totals,

    /// Write the result to OUT, which appears when it is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out files that cannot be read, and exit with 1; without --output this is the default
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_going: bool,

    /// Files to read; without any, or with `-`, standard input: to continue a stopped job, give it again
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Standard input was not named
    #[arg(skip)]
    pub(crate) unnamed: bool,

    /// The files that a list names
    #[arg(skip)]
    pub(crate) found: Option<Found>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) packed: PackedArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
}

impl CountArgs {
    /// Where the files are named.
    pub(crate) fn resolve(&mut self, known: Option<Found>) -> Result<()> {
        if let Some(list) = &self.files0_from {
            let typed = words([list]);
            let (files, piped) = match known.filter(|known| known.typed == typed) {
                Some(known) => (paths(known.files), known.is_piped),
                None => (self.listed_files(list)?, is_piped(list)),
            };
            self.files = files;
            let (files, patterns, unlisted) = (words(&self.files), Vec::new(), Vec::new());
            let (with_filename, is_piped) = (false, piped);
            self.found = Some(Found { typed, files, patterns, unlisted, with_filename, is_piped });
        } else if self.files.is_empty() {
            (self.files, self.unnamed) = (vec![PathBuf::from("-")], true);
        }
        Ok(())
    }

    /// An empty name is left out as a file that is not there, and not where such a file would be refused.
    fn listed_files(&self, list: &Path) -> Result<Vec<PathBuf>> {
        let mut text = read_all(list)?;
        if text.pop_if(|last| *last == 0).is_none() && text.is_empty() {
            return Ok(Vec::new());
        }
        let names = text.split(|byte| *byte == 0).map(|name| PathBuf::from(OsStr::from_bytes(name)));
        let names: Vec<PathBuf> = names.collect();
        let is_empty = |name: &PathBuf| name.as_os_str().is_empty();
        if let Some(at) = names.iter().position(is_empty)
            && self.output.is_some()
            && (!self.keep_going || names.iter().all(is_empty))
        {
            return Err(no_name(list, at).advise("end each name with one zero byte").then(Advice::LeaveOut));
        }
        if list == Path::new("-") && names.iter().any(|name| name == Path::new("-")) {
            return Err(Error::usage("-", "standard input is the list of files, and cannot be one of them"));
        }
        Ok(names)
    }

    /// What `wc` says of the name at this place of the list, if it is empty. What is wrong with a list of lines, which is one
    /// name for it.
    pub(crate) fn no_name(&self, left_out: &LeftOut, at: usize) -> Option<Error> {
        let (list, name) = (self.files0_from.as_ref()?, left_out.path.as_os_str());
        if self.files.len() == 1 && name.as_bytes().contains(&b'\n') {
            return Some(
                Error::usage(list.display(), "has lines, and no zero bytes after its names")
                    .advise("tr '\\n' '\\0' <LIST | bivouac count --files0-from -"),
            );
        }
        name.is_empty().then(|| no_name(list, at))
    }
}

fn no_name(list: &Path, at: usize) -> Error {
    Error::usage(format_args!("{}:{}", list.display(), at + 1), "invalid zero-length file name")
}

/// Whether `wc` reads this list name by name, and so does not know the sizes of all files when it prints the first: it is
/// no regular file, or a long one.
fn is_piped(list: &Path) -> bool {
    const LONG: u64 = 10 << 20;
    let facts = match list == Path::new("-") {
        true => io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| File::from(stdin).metadata()),
        false => list.metadata(),
    };
    facts.is_ok_and(|facts| !facts.is_file() || facts.len() > LONG)
}

/// A file, or standard input.
fn read_all(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut text),
        false => File::open(path).and_then(|mut file| file.read_to_end(&mut text)),
    };
    read.map(|_| text).map_err(|e| Error::named(path, "read", &e))
}

/// Print the lines that match a pattern, in input order.
///
/// The pattern is an extended regular expression, over bytes: as `grep -E` reads it, with \d and \b, without
/// backreferences; with -G as plain `grep` reads it. Short options mean what they mean to `grep`, and so does -q,
/// without --output. Since -o is --only-matching, --output has no short form.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(
    after_long_help = help::GREP,
    disable_help_flag = true,
    override_usage = "bivouac grep [OPTIONS] PATTERN [FILE]...\n       bivouac grep [OPTIONS] -e PATTERN... [FILE]..."
)]
pub(crate) struct GrepArgs {
    /// A pattern; repeatable: a line matches if one of them does
    #[arg(
        short = 'e',
        long = "regexp",
        value_name = "PATTERN",
        allow_hyphen_values = true,
        help_heading = "What to find"
    )]
    pub(crate) patterns: Vec<OsString>,

    /// Take the lines of FILE as patterns; `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", help_heading = "What to find")]
    pattern_files: Vec<PathBuf>,

    /// Patterns are extended regular expressions; that is the default
    #[arg(short = 'E', long, overrides_with_all = ["basic_regexp", "fixed_strings", "perl_regexp"], help_heading = "What to find")]
    pub(crate) extended_regexp: bool,

    /// Patterns are basic regular expressions, as without an option for `grep`: `\(` and `\|` are operators, and
    /// ( and | are themselves
    #[arg(short = 'G', long, overrides_with_all = ["extended_regexp", "fixed_strings", "perl_regexp"], help_heading = "What to find")]
    pub(crate) basic_regexp: bool,

    /// Patterns are plain text, not regular expressions
    #[arg(short = 'F', long, overrides_with_all = ["basic_regexp", "extended_regexp", "perl_regexp"], help_heading = "What to find")]
    pub(crate) fixed_strings: bool,

    /// Patterns are those of the Rust crate `regex`: as in Perl, with lazy repetition, without look-around
    #[arg(short = 'P', long, overrides_with_all = ["basic_regexp", "extended_regexp", "fixed_strings"], help_heading = "What to find")]
    pub(crate) perl_regexp: bool,

    /// Ignore the difference between upper and lower case
    #[arg(short, short_alias = 'y', long, overrides_with = "no_ignore_case", help_heading = "What to find")]
    pub(crate) ignore_case: bool,

    /// A match must not be part of a longer word
    #[arg(short, long, help_heading = "What to find")]
    pub(crate) word_regexp: bool,

    /// A match must be a whole line
    #[arg(short = 'x', long, help_heading = "What to find")]
    pub(crate) line_regexp: bool,

    /// Search all files below directories, in the order of their names; without FILE, below this one
    #[arg(short, long, help_heading = "What to find")]
    pub(crate) recursive: bool,

    #[command(flatten)]
    names: NameArgs,

    /// Select, number and print whole records of files of this kind: one matches if a line of it does. Headers are no
    /// records, and are not printed
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = "What to find")]
    pub(crate) format: Option<Format>,

    /// Print lines that are not text on a terminal, too; elsewhere all lines are printed
    #[arg(short = 'a', long, help_heading = "Output")]
    pub(crate) text: bool,

    /// Print the lines that do not match
    #[arg(short = 'v', long, help_heading = "What to find")]
    pub(crate) invert_match: bool,

    /// Print only the number of matching lines of each file
    #[arg(short, long, help_heading = "Output")]
    pub(crate) count: bool,

    /// Print only the names of files in which a line matches
    #[arg(
        short = 'l',
        long,
        visible_alias = "name-only",
        overrides_with = "files_without_match",
        help_heading = "Output"
    )]
    pub(crate) files_with_matches: bool,

    /// Print only the names of files in which no line matches
    #[arg(short = 'L', long, overrides_with = "files_with_matches", help_heading = "Output")]
    pub(crate) files_without_match: bool,

    /// Stop after N matching lines of each file
    #[arg(short = 'm', long, value_name = "N", value_parser = parse::whole, allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) max_count: Option<usize>,

    /// Print N lines after each matching line
    #[arg(short = 'A', long, value_name = "N", value_parser = parse::whole, allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) after_context: Option<usize>,

    /// Print N lines before each matching line
    #[arg(short = 'B', long, value_name = "N", value_parser = parse::whole, allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) before_context: Option<usize>,

    /// Print N lines before and after each matching line
    #[arg(short = 'C', long, value_name = "N", value_parser = parse::whole, allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) context: Option<usize>,

    /// Print only the matching parts, each on its own line
    #[arg(short = 'o', long, help_heading = "Output")]
    pub(crate) only_matching: bool,

    /// Print the line number before each line
    #[arg(short = 'n', long, help_heading = "Output")]
    pub(crate) line_number: bool,

    /// Print the file name before each line; the default with several files
    #[arg(short = 'H', long, overrides_with = "no_filename", help_heading = "Output")]
    pub(crate) with_filename: bool,

    /// Print no file names
    #[arg(short = 'h', long, overrides_with = "with_filename", help_heading = "Output")]
    pub(crate) no_filename: bool,

    /// Print a zero byte after each file name, in place of the colon or the end of the line
    #[arg(short = 'Z', long, help_heading = "Output")]
    pub(crate) null: bool,

    /// Do not name files that cannot be read; the exit code still is 2
    #[arg(short = 's', long, help_heading = "Output")]
    pub(crate) no_messages: bool,

    /// Lines are handed over as they are found in any case
    #[arg(long, hide = true)]
    line_buffered: bool,

    /// Every file is read as it is
    #[arg(short = 'U', long, short_alias = 'u', alias = "unix-byte-offsets", hide = true)]
    binary: bool,

    /// The default, if it is the last of the two
    #[arg(long, hide = true, overrides_with = "ignore_case")]
    no_ignore_case: bool,

    /// Write the result to OUT, which appears when it is complete
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out files that cannot be read, and exit with 2; without --output this is the default
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_going: bool,

    /// The pattern, then the files; with -e and -f only files. Without any, or with `-`, standard input: to
    /// continue a stopped job, give it again
    #[arg(value_name = "PATTERN FILE")]
    words: Vec<OsString>,

    /// The files among the words; see [`GrepArgs::sort`]
    #[arg(skip)]
    pub(crate) files: Vec<PathBuf>,

    /// Directories that cannot be listed
    #[arg(skip)]
    pub(crate) unlisted: Vec<OsString>,

    /// What stands in files and below directories
    #[arg(skip)]
    pub(crate) found: Option<Found>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) packed: PackedArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,

    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = "Options")]
    help: Option<bool>,
}

impl GrepArgs {
    /// Tells patterns from files. As with `grep`, the first word is the pattern unless there is an -e or -f. That
    /// is known only when all words have been seen, so clap cannot do it.
    pub(crate) fn sort(&mut self) -> std::result::Result<(), &'static str> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        if self.patterns.is_empty() && self.pattern_files.is_empty() {
            self.patterns.push(words.next().ok_or("PATTERN")?);
        }
        self.files = words.map(PathBuf::from).collect();
        Ok(())
    }

    /// Whether several lines of a file may be printed.
    pub(crate) fn prints_lines(&self) -> bool {
        let Self { count, files_with_matches, files_without_match, max_count, .. } = *self;
        let prints_one = max_count.is_some_and(|most| most <= 1);
        !(self.job.messages.quiet || count || files_with_matches || files_without_match || prints_one)
    }

    /// Reads what stands in files: patterns, and with -r the names of the files themselves.
    pub(crate) fn resolve(&mut self, known: Option<Found>) -> Result<()> {
        let paths_typed =
            self.files.iter().chain(&self.pattern_files).map(|path| path.clone().into_os_string());
        let typed = words(paths_typed.chain(self.names.words()));
        if let Some(known) = known.filter(|known| known.typed == typed) {
            self.files = paths(known.files);
            self.patterns = known.patterns.into_iter().map(Word::plain).collect();
            self.unlisted = known.unlisted.into_iter().map(Word::plain).collect();
            self.with_filename = known.with_filename;
            return Ok(());
        }
        self.look_up()?;
        if self.recursive || !self.pattern_files.is_empty() {
            self.found = Some(Found {
                typed,
                files: words(&self.files),
                patterns: words(&self.patterns),
                unlisted: words(&self.unlisted),
                with_filename: self.with_filename,
                is_piped: false,
            });
        }
        Ok(())
    }

    fn look_up(&mut self) -> Result<()> {
        for file in &self.pattern_files {
            let mut text = read_all(file)?;
            if text.pop_if(|last| *last == b'\n').is_some() || !text.is_empty() {
                self.patterns.push(OsString::from_vec(text));
            }
        }
        let patterns_are_stdin = self.pattern_files.iter().any(|file| file == Path::new("-"));
        let names = self.names.names()?;
        // One of several files is named in the output, also if it is the only one that has such a name.
        self.with_filename |= names.are_chosen() && self.files.len() > 1 && !self.no_filename;
        match (self.recursive, self.files.is_empty()) {
            (true, true) => self.files = self.below(Path::new(""), &names),
            (true, false) => {
                let roots = std::mem::take(&mut self.files);
                let is_tree = |root: &PathBuf| root.is_dir();
                if roots.iter().any(is_tree) && !(self.with_filename || self.no_filename) {
                    self.with_filename = true;
                }
                for root in roots {
                    let files = match is_tree(&root) {
                        true if names.goes_into(&root) => self.below(&root, &names),
                        true => Vec::new(),
                        false => vec![root],
                    };
                    self.files.extend(files);
                }
            }
            (false, true) => self.files.push(PathBuf::from("-")),
            (false, false) => {}
        }
        self.files.retain(|file| names.has(file) || file == Path::new("-") || file.is_dir());
        if patterns_are_stdin && self.files.iter().any(|file| file == Path::new("-")) {
            return Err(Error::usage("-", "standard input has the patterns, and cannot be searched as well"));
        }
        Ok(())
    }

    /// The files below a directory, by name; what links point at is not followed. Neither the output of this job, named or
    /// redirected, nor the state of any is among them.
    fn below(&mut self, root: &Path, names: &Names) -> Vec<PathBuf> {
        if root.as_os_str().is_empty() && !(self.with_filename || self.no_filename) {
            self.with_filename = true;
        }
        let mut open = vec![root.to_path_buf()];
        let mut files = Vec::new();
        while let Some(path) = open.pop() {
            let dir = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            let kind =
                if path == root { None } else { path.symlink_metadata().ok().map(|facts| facts.file_type()) };
            match kind {
                Some(kind) if !kind.is_dir() => files.extend(kind.is_file().then_some(path)),
                Some(_) if is_state(&OsDisk, dir) || !names.goes_into(dir) => {}
                Some(_) | None => match fs::read_dir(dir) {
                    Ok(entries) => {
                        let mut names: Vec<OsString> =
                            entries.flatten().map(|entry| entry.file_name()).collect();
                        names.retain(|name| name != ".bivouac");
                        names.sort_by(|a, b| b.cmp(a));
                        open.extend(names.into_iter().map(|name| path.join(name)));
                    }
                    Err(error) => self.unlisted.push(Error::looking(dir, &error).sentence().into()),
                },
            }
        }
        let output = self.output.as_deref().map(|out| (out.to_path_buf(), out.with_added_extension("part")));
        let printed = printed_file().filter(|_| output.is_none());
        files.retain(|file| {
            let is = |other: &Path| file == other || Path::new(".").join(file) == other;
            let is_printed = |printed: &PathBuf| {
                file.file_name() == printed.file_name()
                    && file.canonicalize().is_ok_and(|file| file == *printed)
            };
            !output.as_ref().is_some_and(|(out, part)| is(out) || is(part))
                && !printed.as_ref().is_some_and(is_printed)
        });
        files
    }

    /// The patterns as text. Arbitrary bytes can be written as escapes: `(?-u)\xff`.
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
/// Files come in a stable order, in the format of `b3sum` and `sha256sum`. With BLAKE3 all cores hash
/// one huge file together, and a stopped job continues in the middle of it. With SHA-256 each file is one
/// task.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::DIGEST)]
pub(crate) struct DigestArgs {
    /// The checksum [default: blake3]. With --check the only one; otherwise lines may name their own: `SHA256 (NAME) = HASH`
    #[arg(short, long, value_enum, help_heading = "What to compute")]
    pub(crate) algorithm: Option<Algorithm>,

    /// Read lists of checksums from the files or standard input, verify them, and name what differs
    #[arg(short = 'c', long, conflicts_with_all = ["verify_inputs", "tag", "zero"], help_heading = "What to compute")]
    pub(crate) check: bool,

    /// With --check: skip files that do not exist
    #[arg(long, requires = "check", help_heading = "What to compute")]
    pub(crate) ignore_missing: bool,

    /// With --check: print nothing, only set the exit code (--quiet still names what differs)
    #[arg(long, requires = "check", overrides_with_all = ["warn", "quiet"], help_heading = "What to compute")]
    pub(crate) status: bool,

    /// With --check: exit with 1 if a line is malformed; with BLAKE3 this is the default
    #[arg(long, requires = "check", help_heading = "What to compute")]
    pub(crate) strict: bool,

    /// With --check: name every malformed line
    #[arg(short, long, requires = "check", overrides_with_all = ["status", "quiet"], help_heading = "What to compute")]
    pub(crate) warn: bool,

    /// Write lines in BSD style: `SHA256 (NAME) = HASH`
    #[arg(long, help_heading = "Output")]
    pub(crate) tag: bool,

    /// End each line with a zero byte, and do not escape names
    #[arg(short = 'z', long, help_heading = "Output")]
    pub(crate) zero: bool,

    /// Write the result to OUT, which appears when it is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out files that cannot be read, and exit with 1; without --output this is the default, unless the machine fails
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_going: bool,

    /// Files and directories; without any, or with `-`, standard input, and then a stopped job cannot be continued.
    /// With --check: lists of checksums
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
}

/// Run each chunk of the input through a command, and put the results in input order.
///
/// The input is cut between records, by default lines, and several copies of COMMAND run at once, each
/// with one chunk as its standard input. The output has the bytes of `COMMAND < FILE` for every command
/// that treats each record by itself. A stopped job continues where it was. A command counts as done only
/// if it succeeded and was not told to end.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::PIPE, override_usage = "bivouac pipe [OPTIONS] [FILE]... -- COMMAND [ARG]...")]
pub(crate) struct PipeArgs {
    /// Files to read; without any, or with `-`, standard input: to continue a stopped job, give it again
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The command and its arguments, without a shell. {#} is the number of the chunk, from 1; {%} is its slot
    #[arg(last = true, required = true, value_name = "COMMAND", add = ArgValueCompleter::new(complete::commands))]
    pub(crate) command: Vec<OsString>,

    /// Run COMMAND, given as one text, with SHELL: sh, bash, a path, or `auto` for $SHELL [default: sh]
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, default_missing_value = "sh", help_heading = "The command")]
    pub(crate) shell: Option<OsString>,

    /// Leave out chunks whose command fails and files that cannot be read; otherwise the first one ends the job
    #[arg(long, help_heading = "The command")]
    pub(crate) keep_going: bool,

    /// Cut chunks of about SIZE bytes [default: a sixteenth of the input, 1 to 16 MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse::block, allow_hyphen_values = true, help_heading = "Where the input is cut")]
    pub(crate) block: Option<u64>,

    /// Records end with BYTES; \n, \t, \0 and \xHH are escapes [default: \n]
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true, help_heading = "Where the input is cut")]
    pub(crate) record_end: Option<parse::Bytes>,

    /// Records begin with BYTES at the start of a line, as `>` in FASTA; with --record-end, after the end of
    /// a record
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true, help_heading = "Where the input is cut")]
    pub(crate) record_start: Option<parse::Bytes>,

    /// Records end with a zero byte
    #[arg(short = '0', long, conflicts_with_all = ["record_end", "record_start", "fixed"], help_heading = "Where the input is cut")]
    pub(crate) null: bool,

    /// Every record has SIZE bytes
    #[arg(long, value_name = "SIZE", value_parser = parse::block, allow_hyphen_values = true, conflicts_with_all = ["record_end", "record_start"], help_heading = "Where the input is cut")]
    pub(crate) fixed: Option<u64>,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Print the first N lines of what each command prints only once; an error if they are not the same [default: 1]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    pub(crate) output_header: Option<u64>,

    /// Combine the outputs of the chunks by COMMAND, sixteen at a time, until one is left, as `sort -m` does with sorted
    /// files: a shell runs it with the files after it, or in place of "$@"
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) merge: Option<OsString>,

    /// Write the output of each chunk to a file of its own: DIR/part-{#} with the number of the chunk. Each appears when it
    /// is complete, and DIR/part-manifest.jsonl, which lists them, at the end
    #[arg(long, value_name = "NAME", conflicts_with_all = ["output", "merge"], help_heading = "Output")]
    pub(crate) split_output: Option<OsString>,

    /// Compress the output: zstd or gzip, also with a level (zstd=19, gzip=9), or none. Each command's output is a frame or
    /// member of its own, or several; zstd -d and gzip -d read the file [default: by the name of OUT, if it ends in .zst or
    /// .gz; then what a command has compressed is left as it is]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub(crate) compress: Option<Asked>,

    /// Write the result to OUT, which appears when it is complete
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) commands: CommandArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) packed: PackedArgs,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
}

/// Put the results of all shards of a job together.
///
/// The shard that ends last does this by itself. The verb is for a merge that was interrupted, and says which shards are not
/// done. The merge can be stopped and continued as every job.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::MERGE)]
pub(crate) struct MergeArgs {
    /// The output of the job, or its state
    #[arg(value_name = "OUT", add = ArgValueCompleter::new(complete::states))]
    pub(crate) output: PathBuf,

    /// Merge also where locks are known to exclude no other host
    #[arg(long)]
    pub(crate) allow_local_locks: bool,

    /// Print only errors, warnings and, after a stop, how to continue
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Print which commands ran, when, and how they ended.
///
/// It prints a line for each attempt of each command of a `pipe` or `each` job, earlier runs included, in
/// the order in which the attempts ended, and totals at the end. An attempt that has not ended is `open`. This
/// works while the job is running, too. A finished `pipe` without --output removes its state, and this log with it.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::LOG)]
pub(crate) struct LogArgs {
    /// State directory, output, or process [default: the only one here, or that runs, or the last that ran]
    #[arg(value_name = "STATE", add = ArgValueCompleter::new(complete::states))]
    pub(crate) state: Option<PathBuf>,

    /// Print it in this format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogAs::Text)]
    pub(crate) format: LogAs,

    /// Print the columns of GNU parallel's --joblog; the same as `--format joblog`
    #[arg(long, conflicts_with = "format")]
    pub(crate) joblog: bool,

    /// Print JSON; the same as `--format json`
    #[arg(long, conflicts_with_all = ["format", "joblog"])]
    pub(crate) json: bool,

    /// Print only what failed
    #[arg(long)]
    pub(crate) failed: bool,

    /// Print only what began at TIME or later, or in the last DURATION: `14:30`, `2026-11-27 14:30`, `2h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse::moment)]
    pub(crate) since: Option<SystemTime>,

    /// Print only the N attempts that took longest, the longest first
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) slowest: Option<u32>,
}

/// A format of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogAs {
    /// A table for people, with totals; in local time, and counted from 1
    Text,
    /// A JSON object on each line, described in docs/log.md
    Json,
    /// A table with a header, as in RFC 4180
    Csv,
    /// A table with tabs, as GNU parallel's --joblog
    Joblog,
}

/// Write a page with the picture of a job: what ran when, how it ended, and how fast it was.
///
/// The page is one file, needs no network, and shows all runs and all shards: a timeline with a bar for each attempt and a
/// mark for each stop, pause and kill; throughput, tasks in flight, bytes; durations; the slowest and the failed commands,
/// with what they said last. Jobs without commands have their runs and their speed. This works while the job is running, too.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::REPORT)]
pub(crate) struct ReportArgs {
    /// State directories, outputs, or processes [default: the only one here, or that runs, or the last that ran]
    #[arg(value_name = "STATE", add = ArgValueCompleter::new(complete::states))]
    pub(crate) states: Vec<PathBuf>,

    /// Write it to FILE [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Write only the drawings, as SVG
    #[arg(long)]
    pub(crate) svg: bool,
}

/// Remove the state of finished jobs.
///
/// Without STATE it removes the state of every finished job in the current directory: each one in
/// .bivouac, and each OUT.bivouac. It keeps and names the state of a job that can be continued, and one
/// that is in use.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::CLEAN)]
pub(crate) struct CleanArgs {
    /// State directories, or outputs [default: the states of the current directory]
    #[arg(value_name = "STATE", add = ArgValueCompleter::new(complete::states))]
    pub(crate) states: Vec<PathBuf>,

    /// Also remove the state of an unfinished job, which then starts from the beginning
    #[arg(long, requires = "states")]
    pub(crate) force: bool,
}

/// Print what every signal means to a job started with these options.
///
/// One row for each signal, with its request and the origin of the row: the defaults, the configuration
/// file, or --on. A signal that is ignored when bivouac starts (`nohup`, or `&` in a script) stays
/// ignored.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::SIGNALS)]
pub(crate) struct SignalsArgs {
    #[command(flatten)]
    pub(crate) table: TableArgs,
}

/// Print a configuration to begin with, its schema, or what is wrong with one.
///
/// A job reads the file that --config or BIVOUAC_CONFIG names. --example prints every setting with what it means, and
/// sets none. --schema prints the same as JSON Schema, for editors and linters. With FILE, it is read as a job
/// reads it; nothing is printed if all is right.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::CONFIG, group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct ConfigArgs {
    /// Check this file
    #[arg(value_name = "FILE", group = "what")]
    pub(crate) file: Option<PathBuf>,

    /// Print a file with every setting
    #[arg(long, group = "what")]
    pub(crate) example: bool,

    /// Print the schema
    #[arg(long, group = "what")]
    pub(crate) schema: bool,
}

/// Print a script that completes verbs, options and their values in a shell.
///
/// The script asks bivouac itself for what to offer: states, signals and requests, the commands of `each` and
/// `pipe`. --install writes it to the place where your shell looks for it.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// The shell [default: that of $SHELL]
    #[arg(value_enum)]
    pub(crate) shell: Option<clap_complete::Shell>,

    /// Write the script to where SHELL looks for it, for bash, zsh and fish
    #[arg(long)]
    pub(crate) install: bool,
}

/// Write the manual, one page for each verb.
///
/// The directory is created if needed, and so is man5 beside a man1, for bivouac.toml(5). Existing pages are
/// replaced.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::MAN)]
pub(crate) struct ManArgs {
    /// The directory for the pages
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
