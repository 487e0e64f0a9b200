//! From a verb to a job, its tasks and its output.

use crate::cli::args::common::StopChildren;
use crate::cli::args::{self, Cli, Running, Verb};
use crate::cli::launch::launch;
use crate::cli::log::Log;
use crate::cli::place::{self, Identity};
use crate::cli::report::{self, Failures, Told, report};
use crate::cli::roles::{refuse_in_a_state, refuse_two_roles};
use crate::cli::settings::Settings;
use crate::cli::{quote, shellwords, wholes};
use crate::jobs;
use crate::jobs::attempts::Terms;
use crate::jobs::check::Check;
use crate::jobs::complaints::Complaints;
use crate::jobs::count::Columns;
use crate::jobs::digest::Algorithm;
use bivouac::disk::{OsDisk, refuse_anothers};
use bivouac::ending::{Exit, FINISHED_WITH_FAILURES};
use bivouac::error::Kind;
use bivouac::input::{Boundary, Chunks, Cut, Readable, Records, Tree};
use bivouac::process::Command;
use bivouac::signals::Masked;
use bivouac::sink::{FileSink, StreamSink};
use bivouac::{Ending, Error, Job, Result, Sink, Source, StateAt};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What every job needs, whichever it is.
pub(crate) struct Start<'a> {
    pub(crate) running: Running<'a>,
    pub(crate) settings: Settings,
    pub(crate) argv: &'a [OsString],
    masked: Masked,
    /// For the last paragraph of a job whose tasks are items.
    pub(crate) failures: Option<Failures>,
    /// The exit code of a finished job of which inputs were left out.
    left_out: Option<u8>,
}

/// Runs the job of a verb, and says how the process should end.
pub(crate) fn run(cli: &Cli, argv: &[OsString], masked: Masked) -> Exit {
    let Some(running) = cli.verb.running() else {
        return crate::cli::fail(&Error::usage("verb", "runs no job"));
    };
    let start = match begin(running, argv, masked) {
        Ok(start) => start,
        Err(error) => return crate::cli::fail(&error),
    };
    let ran = match &cli.verb {
        Verb::Count(count) => run_count(count, start),
        Verb::Grep(grep) => run_grep(grep, start),
        Verb::Digest(digest) => run_digest(digest, start),
        Verb::Pipe(pipe) => run_pipe(pipe, start),
        Verb::Each(each) => crate::cli::each::run(each, start),
        Verb::Control(_)
        | Verb::Log(_)
        | Verb::Clean(_)
        | Verb::Signals(_)
        | Verb::Completions(_)
        | Verb::Man(_) => Err(Error::usage("verb", "runs no job")),
    };
    ran.unwrap_or_else(|error| crate::cli::fail(&error))
}

/// Now that it is known what signals should mean, the mask is made right; no thread exists yet.
fn begin<'a>(running: Running<'a>, argv: &'a [OsString], mut masked: Masked) -> Result<Start<'a>> {
    crate::cli::advice::refuse_lone_units(argv)?;
    say_what_counts(&running);
    let settings = Settings::gather(&running)?;
    settings.agree()?;
    masked.adopt(settings.policy())?;
    masked.linger();
    Ok(Start { running, settings, argv, masked, failures: None, left_out: None })
}

/// Of two meanings of one signal.
fn say_what_counts(running: &Running<'_>) {
    let mappings = &running.policing.table.mappings;
    for (at, (signal, request)) in mappings.iter().enumerate() {
        let earlier = mappings[..at].iter().any(|(other, meant)| other == signal && meant != request);
        let is_last = !mappings[at + 1..].iter().any(|(other, _)| other == signal);
        if earlier && is_last && !running.talk.quiet {
            crate::cli::say::line(&format!("--on {signal} is given twice; the last one counts: {request}"));
        }
    }
}

fn run_count(count: &args::verbs::Count, mut start: Start<'_>) -> Result<Exit> {
    let columns = Columns::chosen(count.lines, count.words, count.bytes);
    let Readable { files, left_out, .. } = start.readable(count.keep_going, FINISHED_WITH_FAILURES);
    let source = Chunks::new(jobs::or_stdin(&files, &left_out), Cut::Anywhere)
        .leaving_out(&left_out)
        .limit_rate(start.settings.limit_rate.value)
        .by_contents(count.inputs.verify_inputs);
    let job = jobs::count::Count::new(&files, columns).leaving_out(left_out);
    let resumable = source.is_resumable();
    start.run((job, source), resumable)
}

fn run_grep(grep: &args::verbs::Grep, mut start: Start<'_>) -> Result<Exit> {
    let options = jobs::grep::Options {
        patterns: grep.patterns()?,
        fixed: grep.fixed_strings,
        ignore_case: grep.ignore_case,
        invert: grep.invert_match,
        count: grep.count,
        line_numbers: grep.line_number,
        only_matching: grep.only_matching,
        file_names: match (grep.with_filename, grep.no_filename) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
    };
    // A pattern that is none is told before files are.
    jobs::grep::Grep::new(options.clone(), &[], Vec::new())?;
    let Readable { files, left_out, .. } = start.readable(grep.keep_going, UNREAD_BY_GREP);
    if let Some(file) = output_after_all(grep, start.argv) {
        crate::cli::say::line(&format!(
            "-o is --only-matching here; if {0} is to be the output: --output {0}",
            quote::argument(file.as_os_str())
        ));
    }
    let source = Chunks::new(jobs::or_stdin(&files, &left_out), Cut::Lines(b'\n'))
        .leaving_out(&left_out)
        .limit_rate(start.settings.limit_rate.value)
        .by_contents(grep.inputs.verify_inputs);
    let job = jobs::grep::Grep::new(options, &files, left_out)?;
    let resumable = source.is_resumable();
    start.run((job, source), resumable)
}

/// `-o out` is what all other verbs have for the output. So it is if the last two words of the line are `-o` and
/// a file that is not there, and others were given to be read.
fn output_after_all<'f>(grep: &'f args::verbs::Grep, argv: &[OsString]) -> Option<&'f Path> {
    let [.., option, last] = argv else { return None };
    let [_, .., file] = grep.files.as_slice() else { return None };
    let meant = option == "-o" && file.as_os_str() == last && !file.exists() && grep.output.is_none();
    meant.then_some(file.as_path())
}

fn run_digest(digest: &args::verbs::Digest, mut start: Start<'_>) -> Result<Exit> {
    let algorithm = match digest.algorithm {
        args::verbs::Algorithm::Blake3 => Algorithm::Blake3,
        args::verbs::Algorithm::Sha256 => Algorithm::Sha256,
    };
    let complaints = Complaints::default();
    let exit = match digest.check {
        true => {
            let Readable { files: lists, left_out, .. } =
                start.readable(digest.keep_going, FINISHED_WITH_FAILURES);
            let source = Chunks::new(lists.clone(), Cut::Lines(b'\n'))
                .leaving_out(&left_out)
                .block(Some(jobs::check::BLOCK));
            let resumable = source.is_resumable();
            let options = jobs::check::Options {
                ignore_missing: digest.ignore_missing,
                quiet: digest.talk.quiet,
                status: digest.status,
                strict: digest.strict,
                warn: digest.warn,
                keeps_going: digest.keep_going,
            };
            start.run((Check::new(algorithm, lists, options, complaints.clone()), source), resumable)
        }
        false => {
            let part = algorithm.part(start.settings.limit_rate.value);
            let (whole, keeps_going) = (start.running.output.is_some(), digest.keep_going);
            // Of nothing at all there is no list.
            let has_any = || digest.paths.iter().any(|path| path.as_os_str() == "-" || path.exists());
            let given = digest.paths.iter().cloned().collect();
            let terms =
                jobs::digest::Terms { keeps_going, whole, strict: digest.inputs.verify_inputs, given };
            let source = Tree::new(digest.paths.clone(), part)
                .together(jobs::digest::task_bytes(start.settings.limit_rate.value))
                .by_contents(digest.inputs.verify_inputs)
                .leaving_out(!whole || (keeps_going && has_any()))
                .keeping_going(keeps_going)
                .without(&place::own(&start.running));
            let resumable = source.is_resumable();
            let style = jobs::digest::Style { tag: digest.tag, zero: digest.zero };
            let job = jobs::digest::Digest::new(algorithm, style, terms, complaints.clone());
            start.run((job, source), resumable)
        }
    };
    for complaint in complaints.take() {
        crate::cli::say::line(&complaint);
    }
    exit
}

fn run_pipe(pipe: &args::verbs::Pipe, mut start: Start<'_>) -> Result<Exit> {
    let command = command(pipe, start.argv)?;
    let terms = Terms {
        ok_codes: pipe.commanding.ok_codes.clone(),
        retries: pipe.commanding.retries,
        timeout: pipe.commanding.timeout,
        kill_after: start.settings.kill_after.value,
        saves_its_work: pipe.commanding.stop_children == StopChildren::AtOnce,
        jitter: false,
        passes_through: false,
        at_once: false,
    };
    let warns = !pipe.talk.quiet && !is_one_chunk(pipe);
    let warning = warns.then(|| wholes::warning(pipe.shell.is_some(), &pipe.command)).flatten();
    if let Some(warning) = warning {
        crate::cli::say::line(&warning);
    }
    let boundary = boundary(pipe)?;
    let files = match pipe.keep_going {
        true => start.readable(true, FINISHED_WITH_FAILURES).files,
        false => pipe.files.clone(),
    };
    let source = Records::new(files, boundary)
        .block(pipe.block)
        .limit_rate(start.settings.limit_rate.value)
        .by_contents(pipe.inputs.verify_inputs);
    start.run((jobs::pipe::Pipe::new(command, terms), source), true)
}

/// Whether the command gets all of the input at once.
fn is_one_chunk(pipe: &args::verbs::Pipe) -> bool {
    // No chunk is smaller unless asked for.
    let block = pipe.block.unwrap_or(1 << 20);
    match pipe.files.as_slice() {
        [file] => std::fs::metadata(file).is_ok_and(|facts| facts.is_file() && facts.len() <= block),
        _ => false,
    }
}

/// Where one record ends and the next begins.
fn boundary(pipe: &args::verbs::Pipe) -> Result<Boundary> {
    match (pipe.fixed, pipe.null, &pipe.record_end, &pipe.record_start) {
        (Some(bytes), _, _, _) => Boundary::fixed(bytes),
        (None, true, _, _) => Ok(Boundary::nul()),
        (None, false, None, None) => Ok(Boundary::newline()),
        (None, false, Some(end), None) => Boundary::between(&end.0, b""),
        (None, false, Some(end), Some(start)) => Boundary::between(&end.0, &start.0),
        // `>` or `From ` inside a line begins nothing.
        (None, false, None, Some(start)) => Boundary::between(b"\n", &start.0),
    }
}

fn command(pipe: &args::verbs::Pipe, argv: &[OsString]) -> Result<Command> {
    let impossible = || {
        Error::usage("COMMAND", "cannot be run: a word of it holds a zero byte")
            .advise("no program can be given such a word")
    };
    let shell = shellwords::asked_for(pipe.shell.as_ref())?;
    match (shell, pipe.command.as_slice()) {
        (None, [program, ..]) if program.is_empty() => {
            Err(Error::usage("COMMAND", "has no name: its first word is empty")
                .advise("a variable in the command line may be unset"))
        }
        (None, words) => {
            let (before, command) = argv.split_at(argv.len().saturating_sub(words.len()));
            let before = before.strip_suffix(&["--".into()]).unwrap_or(before);
            shellwords::refuse(shellwords::Typed { before, command, behind: &[], dashes: true })?;
            Command::new(words).ok_or_else(impossible)
        }
        (Some(shell), [text]) => {
            let words = shell.words(text.as_encoded_bytes().to_vec());
            Command::new(words.into_iter().map(OsString::from_vec)).ok_or_else(impossible)
        }
        (Some(_), _) => Err(Error::usage("--shell", "wants COMMAND to be one text")
            .advise("quote it: --shell -- 'cut -d, -f3 | sort -u'")),
    }
}

/// The exit code of `grep` where it could not read all of its files, whether or not a line matched.
const UNREAD_BY_GREP: u8 = 2;

impl Start<'_> {
    /// The inputs that can be read. The others are complained of and left out, as `wc` and `grep` do it,
    /// and the exit code says so. But a result in a file is whole, unless that was asked for.
    fn readable(&mut self, keep_going: bool, code: u8) -> Readable {
        if self.running.output.is_some() && !keep_going {
            return Readable::all(self.running.inputs);
        }
        let these = Readable::among(self.running.inputs);
        // Of nothing at all a file does not come.
        if these.files.is_empty() && self.running.output.is_some() {
            return Readable::all(self.running.inputs);
        }
        for why in &these.reasons {
            crate::cli::say::line(&why.to_string());
            self.left_out = Some(code);
        }
        these
    }

    /// Runs one job to its end, with its output where the command line wants it.
    pub(crate) fn run<J, S>(self, (job, source): (J, S), resumable: bool) -> Result<Exit>
    where
        J: Job,
        S: Source<Task = J::Task>,
    {
        match self.running.output {
            Some(out) => {
                let sink = FileSink::new(&OsDisk, out)?.verify(self.running.resuming.verify);
                place::refuse_anothers_part(sink.path())?;
                if !resumable {
                    place::refuse_streams_over_a_state(sink.path(), self.running.inputs)?;
                }
                for input in self.running.inputs {
                    if let Ok(facts) = std::fs::metadata(input) {
                        sink.refuse_if_input((facts.dev(), facts.ino()), input)?;
                    }
                }
                let path = sink.path().to_path_buf();
                self.run_with((job, source), resumable, Some(&path), sink)
            }
            None => {
                let sink = StreamSink::stdout()?
                    .continued(self.running.resuming.state.is_some())
                    .around(crate::cli::say::beside_the_line_if_both_are_terminals());
                self.run_with((job, source), resumable, None, sink)
            }
        }
    }

    /// The same with a sink that the verb has made.
    pub(crate) fn run_with<J, S>(
        self,
        (job, source): (J, S),
        resumable: bool,
        output: Option<&Path>,
        sink: impl Sink,
    ) -> Result<Exit>
    where
        J: Job,
        S: Source<Task = J::Task>,
    {
        refuse_two_roles(&self.running, self.settings.log_file.value.as_deref())?;
        for written in [self.running.output, self.settings.log_file.value.as_deref()].into_iter().flatten() {
            refuse_in_a_state(written)?;
        }
        let options = job.fingerprint();
        let identity = Identity { name: job.name(), options: &options, inputs: self.running.inputs };
        let state = place::state(&self.running, output, resumable, identity);
        if let StateAt::Directory(path) | StateAt::Passing(path) = &state
            && path.parent() == Some(Path::new(place::SHARED))
        {
            refuse_anothers(Path::new(place::SHARED))?;
        }
        let state_was_wanted = output.is_some() || self.running.resuming.state.is_some();
        if !resumable && state_was_wanted && !self.running.talk.quiet {
            crate::cli::say::line(
                "a pipe cannot be read again, so this run cannot be continued: no state is kept",
            );
        }
        let new_log = self.settings.log_file.value.clone().filter(|path| path.symlink_metadata().is_err());
        let log = self.open_log()?;
        if let Some(log) = &log {
            log.begins(self.argv);
        }
        let ending = launch(
            (job, source),
            &self.running,
            &self.settings,
            log.clone(),
            (state.clone(), report::continuing(self.argv)),
            self.masked,
            sink,
        );
        place::tidy_up(&state);
        let told = Told {
            argv: self.argv,
            state: &state,
            output,
            quiet: self.running.talk.quiet,
            failures: self.failures.as_ref(),
            from_stdin: self.running.inputs.iter().any(|input| input.as_os_str() == "-"),
            goes_on_printing: goes_on_printing(&self.running, output, &ending),
        };
        report(&ending, told);
        let exit = match (&ending, self.settings.stop_code.value, self.left_out) {
            (Ending::Finished { .. }, _, Some(code)) if ending.summary().interrupted.is_none() => {
                Exit::Code(code)
            }
            (Ending::Stopped { .. }, Some(code), _) => Exit::Code(code),
            (Ending::Stopped { .. } | Ending::Finished { .. } | Ending::Failed { .. }, _, _) => ending.exit(),
        };
        if let Some(log) = &log {
            log.ends(&ending, exit);
        }
        // Nothing was done, and nothing is left of it.
        if let (Ending::Failed { error, .. }, Some(new)) = (&ending, new_log)
            && error.kind() == Kind::Usage
        {
            std::fs::remove_file(new).ok();
        }
        Ok(exit)
    }

    fn open_log(&self) -> Result<Option<Log>> {
        let Some(path) = &self.settings.log_file.value else { return Ok(None) };
        Log::open(&self.masked, path, self.settings.log_format.value, self.settings.log_level.value).map(Some)
    }
}

/// Whether what was printed so far is where the next run goes on behind it.
fn goes_on_printing(running: &Running<'_>, output: Option<&Path>, ending: &Ending) -> bool {
    let is_file = || {
        let stdout = std::io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
        stdout.and_then(|file| file.metadata()).is_ok_and(|facts| facts.is_file())
    };
    output.is_some()
        || running.resuming.state.is_some()
        || running.commands.elsewhere.is_some()
        || ending.summary().output_bytes == 0
        || is_file()
}
