//! From options to a run, for all verbs that run a job.
//!
//! A verb makes its job, its source and, if it needs a special one, its sink. The rest is here: the meaning of signals, the
//! places of state and output, the log, every option of [`crate::cli::args::common`], and the messages at the end.

use crate::cli::advice::refuse_lone_units;
use crate::cli::after_warning::AfterWarning;
use crate::cli::args::RunArgs;
use crate::cli::args::found::Found;
use crate::cli::conflicts::{no_output, printed_file, refuse_in_a_state, refuse_two_roles, stdout_is_file};
use crate::cli::format::TaskWord;
use crate::cli::hooks;
use crate::cli::logfile::LogFile;
use crate::cli::metrics::Metrics;
use crate::cli::progress::Watch;
use crate::cli::report::{self, ReportContext, report};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::cli::settings::asked::OfCommands;
use crate::cli::settings::reload::Reloader;
use crate::cli::shards::{Part, no_plan, note, plan, refuse_divided};
use crate::cli::state_path::{self, JobId};
use crate::cli::terminal;
use crate::cli::together::Elsewhere;
use crate::jobs::complaints::Complaints;
use crate::jobs::pipe::Files;
use crate::jobs::wording::worded;
use bivouac::disk::{OsDisk, refuse_anothers};
use bivouac::ending::{Exit, StoppedBy};
use bivouac::error::{Advice, Kind};
use bivouac::input::{LeftOut, Readable};
use bivouac::record::Phase;
use bivouac::signals::Masked;
use bivouac::sink::{FileSink, StreamSink};
use bivouac::state_dir::peek;
use bivouac::{Effects, Ending, Error, Job, Location, Result, Run, Shards, Sink, Source, local_locks};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) struct Launch<'a> {
    pub(crate) args: RunArgs<'a>,
    pub(crate) settings: Settings,
    pub(crate) argv: &'a [OsString],
    found: Option<&'a Found>,
    masked: Masked,
    part: Part<'a>,
    /// The first failures, for the messages at the end. `None`: the tasks of the job are not items.
    pub(crate) failures: Option<Complaints>,
    /// The exit code if the job finishes, because inputs were left out.
    left_out: Option<u8>,
    says_what_is_unread: bool,
    /// The directory for the results of commands, if nothing is in it.
    pub(crate) empty_results: Option<PathBuf>,
    /// The files that its commands write beside the output.
    pub(crate) files: Option<Files>,
}

impl<'a> Launch<'a> {
    /// Collects the settings. They say which signals are handled, so this also corrects the mask, while no other thread
    /// exists.
    pub(crate) fn new(
        (mut args, part): (RunArgs<'a>, Part<'a>),
        (argv, found): (&'a [OsString], Option<&'a Found>),
        mut masked: Masked,
    ) -> Result<Self> {
        refuse_lone_units(argv)?;
        if matches!(part, Part::Merge) {
            args.commands = args.commands.of_merge();
        }
        say_what_counts(&args);
        let settings = Settings::gather(args.job)?;
        settings.agree()?;
        masked.adopt(settings.policy())?;
        masked.linger();
        let (failures, left_out, says_what_is_unread) = (None, None, true);
        Ok(Self {
            args,
            settings,
            argv,
            found,
            masked,
            part,
            failures,
            left_out,
            says_what_is_unread,
            empty_results: None,
            files: None,
        })
    }

    /// Hands the list of the plan to `source`, if this is a job in shards that has one. Returns whether it has.
    pub(crate) fn give_list<S: Source>(&self, source: &mut S) -> Result<bool> {
        let shards = if matches!(self.part, Part::Whole) { None } else { plan(&self.args)? };
        shards.map_or(Ok(false), |shards| shards.give_list(source).map(|()| true))
    }

    /// Whether the run does all of its job itself.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.part, Part::Whole)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.args.job.messages.quiet
    }

    /// Calls `body`, which may wait for input before anything of this run exists. A signal that ends or stops
    /// programs ends or stops this one.
    pub(crate) fn wait_before<T>(&self, body: impl FnOnce() -> T) -> T {
        self.masked.open_during(body)
    }

    /// The inputs that can be read. The others are left out with a message, as `wc` and `grep` do, and the exit code says
    /// so. But a result in a file must be whole, so there no input is left out without `keep_going`.
    pub(crate) fn readable(&mut self, keep_going: bool, code: u8) -> Readable {
        self.readable_in_list(keep_going, code, |_, _| None)
    }

    /// The same for names in a list. `no_name` says what is wrong with one that is no name at all, and where it stands.
    pub(crate) fn readable_in_list(
        &mut self,
        keep_going: bool,
        code: u8,
        no_name: impl Fn(&LeftOut, usize) -> Option<Error>,
    ) -> Readable {
        if self.args.output.is_some() && !keep_going {
            return Readable::all(self.args.inputs);
        }
        let these = Readable::among(self.args.inputs);
        // If no input can be read, no output file is made.
        if these.files.is_empty() && self.args.output.is_some() {
            return Readable::all(self.args.inputs);
        }
        for (before, (left_out, why)) in these.left_out.iter().zip(&these.reasons).enumerate() {
            let no_name = no_name(left_out, left_out.before + before);
            self.leaves_out(&worded(no_name.as_ref().unwrap_or(why)), code);
        }
        these
    }

    /// Notes that something is left out, and prints why. The job then ends with this code if it finishes.
    pub(crate) fn leaves_out(&mut self, why: &str, code: u8) {
        if self.says_what_is_unread {
            terminal::message(why);
        }
        self.left_out = Some(code);
    }

    pub(crate) fn says_what_is_unread(&mut self, yes: bool) {
        self.says_what_is_unread = yes;
    }

    /// Whether a person or a program may wait for each line of output. Then a line must come as soon as its input has come.
    /// Output in a pipe or on a terminal cannot be taken back, so such a job is never continued anyway.
    pub(crate) fn is_watched(&self) -> bool {
        self.args.output.is_none() && self.args.job.resume.state.is_none() && !stdout_is_file()
    }

    /// Everything that the job writes where its inputs may be, in all of its processes.
    pub(crate) fn own_files(&self) -> Vec<PathBuf> {
        let mut own = state_path::own(&self.args);
        own.extend(self.settings.log_file.value.clone());
        own.extend(printed_file());
        let metrics = self.settings.metrics.value.as_deref();
        own.extend(metrics.into_iter().flat_map(|path| self.part.files_of_all(path)));
        own
    }

    /// Runs one job to its end, with its output where the command line wants it.
    pub(crate) fn run<J: Job, S: Source<Task = J::Task>>(
        self,
        (job, source): (J, S),
        resumable: bool,
    ) -> Result<Exit> {
        let resume = &self.args.job.resume;
        match self.args.output {
            Some(out) => {
                let sink = FileSink::new(out)?.verify(resume.verify);
                state_path::refuse_anothers_part(sink.path())?;
                state_path::refuse_part_of_a_state_beside(sink.path(), resume.state.as_deref())?;
                if !resumable {
                    state_path::refuse_streams_over_a_state(sink.path(), self.args.inputs)?;
                }
                for input in self.args.inputs {
                    sink.refuse_if_input(input)?;
                }
                let path = sink.path().to_path_buf();
                self.run_with((job, source), resumable, Some(&path), sink)
            }
            None => {
                let sink = StreamSink::stdout()?
                    .continued(resume.state.is_some())
                    .around(terminal::beside_the_line_if_both_are_terminals());
                self.run_with((job, source), resumable, None, sink)
            }
        }
    }

    /// As [`run`](Launch::run), with a sink that the verb has made.
    pub(crate) fn run_with<J: Job, S: Source<Task = J::Task>>(
        self,
        (job, source): (J, S),
        resumable: bool,
        output: Option<&Path>,
        sink: impl Sink,
    ) -> Result<Exit> {
        let log_path = self.settings.log_file.value.as_deref();
        let metrics_path = self.settings.metrics.value.as_deref().map(|path| self.part.own_file(path));
        let metrics_path = metrics_path.as_deref();
        refuse_two_roles(&self.args, (log_path, metrics_path))?;
        for written in [self.args.output, log_path, metrics_path].into_iter().flatten() {
            refuse_in_a_state(written)?;
        }
        let state = self.state(&job, output, resumable)?;
        match (self.part, state) {
            (Part::Whole, state) => {
                state.path().map_or(Ok(()), refuse_divided)?;
                self.warn_of_replacement(&state, output);
                let files = self.files.clone().zip(state.path());
                let ended = match files.map(|(files, place)| (files, (place, output))) {
                    Some((files, places)) => {
                        let sink = files.beside(sink, places);
                        self.go((job, source), state, (output, sink))
                    }
                    None => self.go((job, source), state, (output, sink)),
                };
                ended.map(|(_, exit)| exit)
            }
            (Part::Shard { number, of, to_merge }, Location::Directory(state)) => {
                self.refuse_local_locks(&state)?;
                // It may wait for a shard that makes the plan.
                let divide = || Shards::divide(&state, (&job, &source), of, note(self.argv, self.found));
                let shards = self.wait_before(divide)?;
                let (is_finished, exit) = self.shard(&shards, number, (job, source), (output, sink))?;
                to_merge.set(is_finished && shards.is_done(number)? && output.is_some());
                Ok(exit)
            }
            (Part::Submitted(submission), state) => {
                state.path().map_or(Ok(()), |state| self.refuse_local_locks(state))?;
                drop(self.masked);
                submission.submit(
                    (&job, &source),
                    (&state, output),
                    (&self.settings, note(self.argv, self.found)),
                )
            }
            (Part::Merge, Location::Directory(state)) => {
                self.refuse_local_locks(&state)?;
                let shards = Shards::find(&state)?.ok_or_else(|| no_plan(&state))?;
                let of_merge = Location::Directory(shards.state_of_merge());
                self.go(shards.merge(job), of_merge, (output, sink)).map(|(_, exit)| exit)
            }
            (Part::Shard { .. } | Part::Merge, Location::Nowhere) => {
                Err(Error::usage("--shard", "the input is a stream, which only one shard could read")
                    .advise("put it into a file"))
            }
            (Part::Shard { .. } | Part::Merge, Location::Passing(_)) => Err(no_output()),
        }
    }

    /// Runs a shard. Its output is kept for the merge, unless it is a by-product of what commands do.
    fn shard<J: Job, S: Source<Task = J::Task>>(
        self,
        shards: &Shards,
        number: u64,
        work: (J, S),
        (output, sink): (Option<&Path>, impl Sink),
    ) -> Result<(bool, Exit)> {
        let state = Location::Directory(shards.state_of(number));
        let (job, source) = shards.shard(number, work);
        if output.is_none() {
            return self.go((job.printing(), source), state, (None, sink));
        }
        let results = shards.results_of(number);
        let sink = FileSink::new(&results)?;
        self.go((job, source), state, (Some(&results), sink))
    }

    /// Refuses a state whose locks exclude no other host. Shards on two hosts would both take themselves for the last one,
    /// or neither would.
    fn refuse_local_locks(&self, state: &Path) -> Result<()> {
        match local_locks::why(state).filter(|_| !self.args.job.resume.allow_local_locks) {
            Some(why) => {
                Err(Error::refused(state.display(), format_args!("{why}, so locks exclude no other host"))
                    .advise("use another directory")
                    .or("if all shards run on this host: --allow-local-locks"))
            }
            None => Ok(()),
        }
    }

    fn warn_of_replacement(&self, state: &Location, output: Option<&Path>) {
        if let (Some(out), false) = (output, self.is_quiet())
            && state.path().is_none_or(|state| !state.exists())
            && out.metadata().is_ok_and(|facts| facts.is_file() && facts.len() > 0)
        {
            terminal::message(&format!("{}: exists; it is replaced when the job is complete", out.display()));
        }
    }

    /// Runs the job. Returns whether it has finished, and how the process must end.
    fn go<J: Job, S: Source<Task = J::Task>>(
        self,
        (job, source): (J, S),
        state: Location,
        (output, sink): (Option<&Path>, impl Sink),
    ) -> Result<(bool, Exit)> {
        let new_log = self.settings.log_file.value.clone().filter(|path| path.symlink_metadata().is_err());
        let log = self.open_log()?.inspect(|log| log.begins(self.argv));
        self.warn_of_other_results(&state);
        let Self { args, settings, argv, masked, failures, left_out, part, empty_results, .. } = self;
        let (word, quiet) = (TaskWord::of_job(job.name()), args.job.messages.quiet);
        let from_stdin = args.inputs.iter().any(|input| input.as_os_str() == "-");
        let watch = Watch::on_stderr(&args.job.messages, word, (args.commands, from_stdin));
        let shown = watch.is_shown();
        let mask = masked.found();
        let after_warning = AfterWarning::asked(args.job.signals.after_warning.as_deref(), mask);
        let commands = OfCommands { any: args.commands.any, every: args.commands.starts.every };
        let elsewhere = Elsewhere {
            service: Service::from_environment(word),
            metrics: Metrics::start(&masked, &settings, (job.name(), quiet), (&state, part)),
            log: log.clone(),
        };
        let ending = configured(Run::new(job, source), &args, &settings)
            .wait(args.job.resume.wait || matches!(part, Part::Merge))
            .fenced(!matches!(part, Part::Whole))
            .state(state.clone())
            .continuing(report::continuing(argv))
            .signals(masked)
            .reload(Reloader::new(args.job, (settings.clone(), commands), log, state.path()))
            .sink(sink)
            .observer(elsewhere.and(watch, word))
            .run();
        let ending = unless_results_are_elsewhere(ending, empty_results.as_deref());
        state_path::tidy_up(&state);
        let context = ReportContext {
            argv,
            state: &state,
            output,
            quiet,
            shown,
            word,
            // A shard may be empty.
            failures: failures
                .as_ref()
                .filter(|_| matches!(part, Part::Whole) || ending.summary().failed > 0),
            from_stdin,
            goes_on_printing: goes_on_printing(&args, output, &ending),
        };
        report(&ending, context);
        let exit = exit(&ending, settings.stop_code.value, left_out);
        let exit = after_warning.map_or(exit, |command| command.after(&ending, exit));
        let is_merged = matches!(part, Part::Shard { .. }) && output.is_some();
        elsewhere.ends((&ending, exit), context, is_merged);
        remove_if_refused(&ending, new_log);
        hooks::run(&settings, (&ending, exit), (context, is_merged), (mask, &elsewhere));
        let is_finished = matches!(ending, Ending::Finished { .. }) && ending.summary().interrupted.is_none();
        Ok((is_finished, exit))
    }

    fn state(&self, job: &impl Job, output: Option<&Path>, resumable: bool) -> Result<Location> {
        let options = job.fingerprint();
        let id = JobId { name: job.name(), options: &options, inputs: self.args.inputs };
        let state = state_path::state(&self.args, output, resumable, id);
        if let Location::Directory(path) | Location::Passing(path) = &state
            && path.parent() == Some(Path::new(state_path::SHARED))
        {
            refuse_anothers(Path::new(state_path::SHARED))?;
        }
        let was_wanted = output.is_some() || self.args.job.resume.state.is_some();
        if !resumable && was_wanted && !self.is_quiet() {
            terminal::message("a pipe cannot be read again: no state is kept, and nothing continues");
        }
        Ok(state)
    }

    /// What was done before has its results in another place, and will have none here.
    fn warn_of_other_results(&self, state: &Location) {
        let Some(place) = self.empty_results.as_ref().filter(|_| !self.args.job.resume.fresh) else { return };
        let record = state.path().and_then(|state| peek(&OsDisk, state).ok()?.record);
        let record = record.filter(|record| record.phase == Phase::Working && record.committed() > 0);
        if let (Some(record), false) = (record, self.is_quiet()) {
            let done = TaskWord::of_job(&record.job).count(record.committed());
            terminal::message(&format!("warning: {}: has no results of {done} done before", place.display()));
        }
    }

    fn open_log(&self) -> Result<Option<LogFile>> {
        let Some(path) = &self.settings.log_file.value else { return Ok(None) };
        let (format, level) = (self.settings.log_format.value, self.settings.log_level.value);
        LogFile::open(&self.masked, path, format, level).map(Some)
    }
}

/// Says which meaning counts if `--on` gives a signal two.
fn say_what_counts(args: &RunArgs<'_>) {
    let mappings = &args.job.signals.table.mappings;
    for (at, (signal, request)) in mappings.iter().enumerate() {
        let earlier = mappings[..at].iter().any(|(other, meant)| other == signal && meant != request);
        let is_last = !mappings[at + 1..].iter().any(|(other, _)| other == signal);
        if earlier && is_last && !args.job.messages.quiet {
            terminal::message(&format!("--on {signal} is given twice; the last one counts: {request}"));
        }
    }
}

/// Hands over every option, so that a new one is one new line here.
fn configured<J: Job, S: Source<Task = J::Task>>(
    run: Run<J, S>,
    args: &RunArgs<'_>,
    settings: &Settings,
) -> Run<J, S> {
    run.fresh(args.job.resume.fresh)
        .jobs(settings.jobs.value)
        .max_jobs(settings.max_jobs.value)
        .limit_rate(settings.limit_rate.value)
        .checkpoint_every(settings.checkpoint_every.value)
        .grace(settings.grace.value.0)
        .kill_after(settings.kill_after.value)
        .max_runtime(settings.max_runtime.value)
        .spill_limit(settings.spill_limit.value)
        .core(args.job.signals.core)
        .keep_going(args.commands.keep_going)
        .print_failed(args.commands.print_failed)
        .effects(args.commands.effects)
        .halt(args.commands.halt)
        .starts(args.commands.starts)
        .forward_stops(args.commands.stop_at_once)
        .watch_children(args.commands.any)
}

/// "Already finished" would be read as "the results are there".
fn unless_results_are_elsewhere(ending: Ending, empty_results: Option<&Path>) -> Ending {
    match (ending, empty_results) {
        (Ending::Finished { already: true, summary, .. }, Some(place)) if summary.frontier > 0 => {
            let error = Error::refused(place.display(), "has no results: the job was finished before")
                .advise("look where the line that did it has put them")
                .or(Advice::StartAfresh);
            Ending::Failed { error, summary }
        }
        (ending, _) => ending,
    }
}

fn exit(ending: &Ending, stop_code: Option<u8>, left_out: Option<u8>) -> Exit {
    match (ending, stop_code, left_out) {
        (Ending::Finished { .. }, _, Some(code)) if ending.summary().interrupted.is_none() => {
            Exit::Code(code)
        }
        (Ending::Stopped { by: StoppedBy::Enough { .. }, .. }, ..) => ending.exit(),
        (Ending::Stopped { .. }, Some(code), _) => Exit::Code(code),
        (Ending::Stopped { .. } | Ending::Finished { .. } | Ending::Failed { .. }, _, _) => ending.exit(),
    }
}

/// Removes a log that this run has created, if it ended by wrong usage: nothing was done.
fn remove_if_refused(ending: &Ending, new_log: Option<PathBuf>) {
    if let (Ending::Failed { error, .. }, Some(path)) = (ending, new_log)
        && error.kind() == Kind::Usage
    {
        std::fs::remove_file(path).ok();
    }
}

/// Whether the next run goes on after what was printed so far.
fn goes_on_printing(args: &RunArgs<'_>, output: Option<&Path>, ending: &Ending) -> bool {
    output.is_some()
        || args.job.resume.state.is_some()
        || args.commands.effects != Effects::Pure
        || ending.summary().output_bytes == 0
        || stdout_is_file()
}
