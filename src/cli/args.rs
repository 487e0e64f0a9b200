//! The command line as you type it: the verbs here, their options in the files below.
//!
//! [`common`] holds what every verb that runs a job understands, as one group that a verb takes with one
//! line; a new option for all of them is a new field there. [`verbs`] and [`each`] hold the options of one
//! verb each, [`items`] those of `each` about its items, [`slurm`] those of `slurm` among those of sbatch,
//! [`control`] the verbs that act on a job from another process, and [`help`] the longer texts of the pages: exit
//! codes and examples. [`found`] is what a verb reads before its job begins.

pub(crate) mod common;
pub(crate) mod control;
pub(crate) mod each;
pub(crate) mod found;
pub(crate) mod help;
pub(crate) mod items;
mod names;
pub(crate) mod parallel;
pub(crate) mod records;
pub(crate) mod slurm;
pub(crate) mod verbs;

use super::parse::without_hyphens;
use crate::jobs::pipe::Parts;
use bivouac::{Effects, Halt, Starts, TaskOutput};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use common::{JobArgs, StopChildren};
use control::{Control, TopArgs};
use each::EachArgs;
use found::Found;
use slurm::SlurmArgs;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use verbs::{
    CleanArgs, CompletionsArgs, ConfigArgs, CountArgs, DigestArgs, GrepArgs, LogArgs, ManArgs, MergeArgs,
    PipeArgs, ReportArgs, SignalsArgs,
};

/// Run a parallel data-processing job that ordinary Unix signals can stop, pause and checkpoint.
///
/// Run the same command again, and the job continues where it was. Its output has the same bytes as
/// that of an uninterrupted run. Ctrl-C or SIGTERM stops a job with a checkpoint, Ctrl-Z suspends it,
/// and SIGUSR1 writes a checkpoint and reports how far the job is.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "bivouac", version, arg_required_else_help = true)]
// An option that is given twice has its last value, as in a command taken from the history.
#[command(args_override_self = true)]
#[command(after_long_help = help::MAIN)]
// "Command" means a command of the user everywhere else.
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub(crate) enum Verb {
    #[command(flatten)]
    Job(JobVerb),
    #[command(flatten)]
    Control(Control),
    Top(TopArgs),
    Merge(MergeArgs),
    Slurm(SlurmArgs),
    Log(LogArgs),
    Report(ReportArgs),
    Clean(CleanArgs),
    Signals(SignalsArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// A verb that runs a job.
#[derive(Clone, Debug, PartialEq, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub(crate) enum JobVerb {
    Count(CountArgs),
    #[command(mut_arg("quiet", |quiet| quiet.visible_alias("silent").help(help::QUIET_GREP)))]
    Grep(GrepArgs),
    Digest(DigestArgs),
    Pipe(PipeArgs),
    Each(EachArgs),
}

impl Cli {
    /// Reads a command line. A request for help or for the version is an `Err`, too.
    pub(crate) fn read(argv: &[OsString]) -> Result<Self, clap::Error> {
        let separated = slurm::separated(argv);
        let argv = separated.as_deref().unwrap_or(argv);
        let mut cli = match Self::parsed(argv) {
            Ok(cli) => cli,
            Err(error) => match with_its_default(&error, argv)
                .or_else(|| with_its_hyphens(&error, argv))
                .or_else(|| with_its_value(&error, argv))
                .or_else(|| with_its_context(&error, argv))
                .or_else(|| with_its_placeholder(argv, argv.len()))
            {
                Some(argv) => return Self::read(&argv),
                None => return Err(error),
            },
        };
        if let Verb::Job(JobVerb::Each(each)) = &cli.verb
            && let Some(again) = with_its_placeholder(argv, argv.len() - each.number_of_words())
        {
            return Self::read(&again);
        }
        if let Verb::Job(verb) = &mut cli.verb {
            verb.sort()?;
        }
        Ok(cli)
    }

    fn parsed(argv: &[OsString]) -> Result<Self, clap::Error> {
        let asks_for_help = |word: &OsString| ["help", "--help", "-h"].iter().any(|name| word == name);
        if !argv.get(1).is_some_and(asks_for_help) {
            return Self::try_parse_from(argv);
        }
        // The parser's own words speak of subcommands. The verb `help` exists only when the rest is built, which takes time.
        let mut command = Self::command();
        command.build();
        let mut command = command.mut_subcommand("help", |help| help.about(help::HELP));
        let mut matches = command.try_get_matches_from_mut(argv)?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// Whether the job is one in shards, and this a part of it.
    pub(crate) fn is_in_shards(&self) -> bool {
        let is_shard = matches!(&self.verb, Verb::Job(verb) if verb.run_args().job.resume.shard.is_some());
        is_shard || matches!(self.verb, Verb::Merge(_) | Verb::Slurm(_))
    }

    /// Reads the files that the words name (lists, patterns). If another process has read them for the same words, takes
    /// its findings, `known`, instead.
    pub(crate) fn resolve(&mut self, known: Option<Found>) -> bivouac::Result<()> {
        let Verb::Job(verb) = &mut self.verb else { return Ok(()) };
        match verb {
            JobVerb::Count(count) => count.resolve(known),
            JobVerb::Grep(grep) => grep.resolve(known),
            JobVerb::Digest(_) | JobVerb::Pipe(_) | JobVerb::Each(_) => Ok(()),
        }
    }
}

/// The same command line, with the default value put after an option. People type `parallel --progress COMMAND` and `grep
/// --color PATTERN`, and here also `--progress always`. clap either wants a `=` before the value, or takes the next word in
/// any case. So this finds an option whose next word is no value of it.
fn with_its_default(error: &clap::Error, argv: &[OsString]) -> Option<Vec<OsString>> {
    const DEFAULTS: [(&str, &str); 3] = [("--progress", "always"), ("--color", "auto"), ("--colour", "auto")];
    let is_value = error.kind() == ErrorKind::InvalidValue;
    let (at, default) = argv.iter().enumerate().find_map(|(at, word)| {
        let (_, default) = DEFAULTS.iter().find(|(option, _)| word == option)?;
        let next = argv.get(at + 1).and_then(|next| next.to_str()).unwrap_or_default();
        let is_no_value = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value.is_empty() || value == next,
            _ => false,
        };
        (is_value && is_no_value).then_some((at, default))
    })?;
    let mut again = argv.to_vec();
    again[at].push(format!("={default}"));
    Some(again)
}

/// The same command line, with an option of `each` as it is spelled here: GNU parallel takes `--maxargs` for `--max-args`.
fn with_its_hyphens(error: &clap::Error, argv: &[OsString]) -> Option<Vec<OsString>> {
    let is_unknown =
        error.kind() == ErrorKind::UnknownArgument && argv.get(1).is_some_and(|verb| verb == "each");
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg).filter(|_| is_unknown) else {
        return None;
    };
    let name = typed.split('=').next().unwrap_or(typed);
    let plain = without_hyphens(name);
    let command = Cli::command();
    let each = command.find_subcommand("each")?;
    let mut names = each.get_arguments().flat_map(|option| {
        let long = option.get_long().into_iter();
        long.chain(option.get_all_aliases().unwrap_or_default()).map(|name| format!("--{name}"))
    });
    let spelled = names.find(|known| without_hyphens(known) == plain)?;
    let at = argv
        .iter()
        .position(|word| word.to_str().is_some_and(|word| word.split('=').next() == Some(name)))?;
    let mut again = argv.to_vec();
    let value = argv[at].as_bytes().get(name.len()..).unwrap_or_default();
    again[at] = OsString::from_vec([spelled.as_bytes(), value].concat());
    Some(again)
}

/// The same command line, with the value of an option where clap looks for it: people type `-l2`, `-iSTR` and `-eSTR` for
/// `parallel` and `xargs`. To clap these are several options, and the second one does not exist.
fn with_its_value(error: &clap::Error, argv: &[OsString]) -> Option<Vec<OsString>> {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_each = argv.get(1).is_some_and(|verb| verb == "each");
    let (at, word) = argv.iter().enumerate().skip(2).filter(|_| is_each).find_map(|(at, word)| {
        let (option, value) = word.to_str()?.split_at_checked(2)?;
        let option = match option {
            "-i" | "-l" if value.contains(unknown.strip_prefix('-')?) => option,
            "-e" if unknown == "-e" => "-E",
            _ => return None,
        };
        (!value.is_empty() && !value.starts_with('=')).then(|| (at, format!("{option}={value}")))
    })?;
    let mut again = argv.to_vec();
    again[at] = word.into();
    Some(again)
}

/// Whether this word is an option of the verb, and the next word its value.
pub(crate) fn wants_value(verb: &str, word: &OsString) -> bool {
    let is_named = |option: &clap::Arg| {
        let long = option.get_long().is_some_and(|name| word.to_str() == Some(&format!("--{name}")));
        long || option.get_short().is_some_and(|name| word.to_str() == Some(&format!("-{name}")))
    };
    let takes = |option: &clap::Arg| option.get_action().takes_values() && !option.is_require_equals_set();
    let command = Cli::command();
    let options = command.find_subcommand(verb).into_iter().flat_map(clap::Command::get_arguments);
    options.into_iter().any(|option| is_named(option) && takes(option))
}

/// The same command line, with `-C 3` for the `-3` of `grep`. In `--grace -3` it is a value, and a message must show it as
/// it was typed.
fn with_its_context(error: &clap::Error, argv: &[OsString]) -> Option<Vec<OsString>> {
    let Some(ContextValue::String(_)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (at, lines) = argv.iter().enumerate().skip(2).find_map(|(at, word)| {
        let lines = word.to_str()?.strip_prefix('-').filter(|lines| is_number(lines))?;
        (argv[1] == "grep" && !wants_value("grep", &argv[at - 1])).then_some((at, lines))
    })?;
    let mut again = argv.to_vec();
    again[at] = format!("-C{lines}").into();
    Some(again)
}

/// The same command line, with `-i=k` for `-ik`: to clap that is `-i` and `-k`.
fn with_its_placeholder(argv: &[OsString], options: usize) -> Option<Vec<OsString>> {
    let is_glued = |word: &OsString| matches!(word.as_bytes(), [b'-', b'i', next, ..] if *next != b'=');
    let at = argv[..options].iter().position(is_glued).filter(|_| argv[1] == "each")?;
    let mut again = argv.to_vec();
    again[at] = OsString::from_vec([b"-i=", &argv[at].as_bytes()[2..]].concat());
    Some(again)
}

/// The parts of the command line that matter to a run, independent of its verb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunArgs<'a> {
    pub(crate) job: &'a JobArgs,
    /// The output file; `None` is standard output.
    pub(crate) output: Option<&'a Path>,
    pub(crate) inputs: &'a [PathBuf],
    /// What is printed are parts of the inputs or what commands make of them, and not a number or a name for each.
    pub(crate) prints_input: bool,
    pub(crate) commands: Commands,
}

/// The commands of tasks, as far as they matter to the run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Commands {
    /// Whether there are any.
    pub(crate) any: bool,
    /// Failed tasks are left out.
    pub(crate) keep_going: bool,
    /// They receive a stop at once.
    pub(crate) stop_at_once: bool,
    /// The effects that they have besides their output.
    pub(crate) effects: Effects,
    /// The output of a failed command stays.
    pub(crate) print_failed: bool,
    /// They write to standard output themselves.
    pub(crate) ungrouped: bool,
    /// When ended commands end the job. The verb sets this, because it knows how many commands there are.
    pub(crate) halt: Option<Halt>,
    /// When they may start although a slot is free.
    pub(crate) starts: Starts,
}

impl Commands {
    /// The same for a merge, which runs no commands, and leaves out the tasks that the shards left out.
    pub(crate) fn of_merge(self) -> Self {
        Self { keep_going: self.keep_going, print_failed: self.print_failed, ..Self::default() }
    }
}

impl JobVerb {
    /// Gives each word of the line its meaning, where clap cannot.
    fn sort(&mut self) -> Result<(), clap::Error> {
        match self {
            JobVerb::Count(_) => {}
            JobVerb::Digest(digest) if digest.paths.is_empty() => digest.paths.push(PathBuf::from("-")),
            JobVerb::Digest(_) => {}
            JobVerb::Grep(grep) => grep.sort().map_err(|missing| {
                let mut command = Cli::command();
                command.build();
                let message = format!("the following required arguments were not provided:\n  {missing}");
                let grep = command.find_subcommand_mut("grep").cloned();
                grep.unwrap_or(command).error(ErrorKind::MissingRequiredArgument, message)
            })?,
            JobVerb::Pipe(PipeArgs { files, commands, job, output, split_output, .. }) => {
                if files.is_empty() {
                    files.push(PathBuf::from("-"));
                }
                if let Some(name) = split_output {
                    *output = Some(Parts::list(name));
                }
                job.limits.jobs = job.limits.jobs.or(commands.max_procs);
            }
            JobVerb::Each(each) => {
                each.sort();
                each.job.limits.jobs = each.job.limits.jobs.or(each.commands.max_procs);
            }
        }
        Ok(())
    }

    /// The parts of the command line that matter to the run.
    pub(crate) fn run_args(&self) -> RunArgs<'_> {
        let (job, output, inputs, commands) = match self {
            JobVerb::Count(count) => (&count.job, &count.output, &count.files, Commands::default()),
            JobVerb::Grep(grep) => (&grep.job, &grep.output, &grep.files, Commands::default()),
            JobVerb::Digest(digest) => (&digest.job, &digest.output, &digest.paths, Commands::default()),
            JobVerb::Pipe(pipe) => (&pipe.job, &pipe.output, &pipe.files, pipe.commands()),
            JobVerb::Each(each) => (&each.job, &each.output, &each.files, each.commands()),
        };
        let prints_input = match self {
            JobVerb::Count(_) | JobVerb::Digest(_) => false,
            JobVerb::Grep(grep) => grep.prints_lines(),
            JobVerb::Pipe(_) | JobVerb::Each(_) => true,
        };
        RunArgs { job, output: file(output), inputs, prints_input, commands }
    }

    /// The findings of the verb before its job begins.
    pub(crate) fn found(&self) -> Option<&Found> {
        match self {
            JobVerb::Count(count) => count.found.as_ref(),
            JobVerb::Grep(grep) => grep.found.as_ref(),
            JobVerb::Digest(_) | JobVerb::Pipe(_) | JobVerb::Each(_) => None,
        }
    }

    /// The options that change how a job is continued, and not its identity.
    pub(crate) fn job_args_mut(&mut self) -> &mut JobArgs {
        match self {
            JobVerb::Count(count) => &mut count.job,
            JobVerb::Grep(grep) => &mut grep.job,
            JobVerb::Digest(digest) => &mut digest.job,
            JobVerb::Pipe(pipe) => &mut pipe.job,
            JobVerb::Each(each) => &mut each.job,
        }
    }
}

impl PipeArgs {
    fn commands(&self) -> Commands {
        Commands {
            any: true,
            keep_going: self.keep_going,
            starts: self.commands.starts(),
            stop_at_once: self.commands.stop_children == StopChildren::AtOnce,
            ..Commands::default()
        }
    }
}

impl EachArgs {
    fn commands(&self) -> Commands {
        Commands {
            any: true,
            keep_going: true,
            starts: self.commands.starts(),
            stop_at_once: self.commands.stop_children == StopChildren::AtOnce,
            effects: Effects::SideEffects {
                output: match (file(&self.output), self.keep_order) {
                    (Some(_), _) => TaskOutput::Result,
                    (None, true) => TaskOutput::PrintedInOrder,
                    (None, false) => TaskOutput::PrintedAsCompleted,
                },
                retry_failed: self.retry_failed,
            },
            print_failed: true,
            ungrouped: self.ungroup && !self.tag,
            halt: None,
        }
    }
}

/// `-o -` is standard output, as everywhere.
fn file(output: &Option<PathBuf>) -> Option<&Path> {
    output.as_deref().filter(|path| path.as_os_str() != "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let argv: Vec<OsString> = shlex::split(line).unwrap().into_iter().map(OsString::from).collect();
        Cli::read(&argv)
    }

    fn grep(line: &str) -> GrepArgs {
        let Verb::Job(JobVerb::Grep(grep)) = parse(&format!("bivouac grep {line}")).unwrap().verb else {
            panic!("{line}: not grep")
        };
        grep
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_intro_its_exit_codes_and_an_example() {
        for verb in Cli::command().get_subcommands_mut() {
            let name = verb.get_name().to_string();
            let help = verb.render_long_help().to_string();
            let intro =
                verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default();
            assert!(intro.len() > 40, "{name}: no intro");
            for part in ["Exit codes:\n", "Examples:\n", &format!("  bivouac {name}")] {
                assert!(help.contains(part), "{name} --help lacks {part:?}");
            }
            // A backslash at the end of a line in a string takes away the indent of the next.
            let astray = help.lines().find(|line| line.starts_with(|first: char| first.is_ascii_digit()));
            assert_eq!(astray, None, "{name}");
        }
    }

    /// An example that does not parse is worse than none.
    #[test]
    fn every_example_is_a_command_that_is_understood() {
        let mut tried = 0;
        let mut command = Cli::command();
        let mut pages = vec![command.render_long_help().to_string()];
        pages.extend(command.get_subcommands_mut().map(|verb| verb.render_long_help().to_string()));
        pages.iter_mut().for_each(|page| *page = page.replace("\\\n      ", ""));
        for line in
            pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.strip_prefix("  bivouac "))
        {
            // An explanation follows after several blanks.
            let line = line.split("  ").next().unwrap();
            // What the shell does itself begins after the first such word outside of quotes.
            let shell = [" | ", " > ", " < ", " & ", " && "];
            let ends = shell.iter().flat_map(|word| line.match_indices(word)).map(|(at, _)| at);
            let end = ends.filter(|at| shlex::split(&line[..*at]).is_some()).min();
            let words = shlex::split(&line[..end.unwrap_or(line.len())]).unwrap();
            let argv: Vec<OsString> =
                ["bivouac".into()].into_iter().chain(words.iter().map(OsString::from)).collect();
            match Cli::read(&argv) {
                Ok(_) => tried += 1,
                Err(error) if error.kind() == ErrorKind::DisplayHelp => tried += 1,
                Err(error) => panic!("{line}: {error}"),
            }
        }
        assert!(tried >= 12, "only {tried} examples found");
    }

    #[test]
    fn a_value_may_stand_where_parallel_and_xargs_have_it() {
        for (typed, means) in [
            ("-l2 echo", "-l=2 echo"),
            ("-ik echo xky", "-i=k echo xky"),
            ("-ij echo xjy", "-i=j echo xjy"),
            ("-n1 -L2 echo", "-L2 echo"),
            ("-L2 -n1 echo", "-n1 echo"),
            ("-L2 -l echo", "-l=1 echo"),
            ("-l -L2 echo", "-L2 echo"),
            ("-0 -d, echo", "-d, echo"),
            ("-d, -0 echo", "-0 echo"),
            ("-I X -i echo", "-i={} echo"),
            ("-i -I X echo", "-I X echo"),
            ("-iARG echo ARG", "-i=ARG echo ARG"),
            ("-k -i__ echo __", "-k -i=__ echo __"),
            ("-eEOF -k echo", "-E EOF -k echo"),
        ] {
            let each = |line: &str| {
                let cli = parse(&format!("bivouac each {line}")).unwrap();
                let Verb::Job(JobVerb::Each(each)) = cli.verb else { panic!("{line}: not each") };
                each
            };
            assert_eq!(format!("{:?}", each(typed)), format!("{:?}", each(means)), "{typed}");
        }
        for wrong in ["-e echo", "-lx echo", "-k -9 echo"] {
            assert!(parse(&format!("bivouac each {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_that_every_job_has_are_found_in_every_job() {
        for line in ["count f", "grep p f", "digest f"] {
            let cli =
                parse(&format!("bivouac {line} -j 3 --grace inf --limit-rate 16MiB/s --state s -q")).unwrap();
            let Verb::Job(verb) = cli.verb else { panic!("{line}: no job") };
            let run = verb.run_args();
            assert_eq!(run.job.limits.jobs, Some(3));
            assert_eq!(run.job.limits.grace, Some(crate::cli::parse::Grace(None)));
            assert_eq!(run.job.limits.limit_rate, Some(16 << 20));
            assert_eq!(run.job.resume.state.as_deref(), Some(Path::new("s")));
            assert!(run.job.messages.quiet);
            assert_eq!(run.inputs, [PathBuf::from("f")]);
            assert_eq!(run.output, None);
        }
    }

    #[test]
    fn wrong_usage_names_the_option_the_value_and_an_example() {
        for (line, parts) in [
            ("count f --grace soon", ["--grace", "'soon'", "`90s`"]),
            ("count f --limit-rate fast", ["--limit-rate", "'fast'", "`16MiB`"]),
            ("count f --jobs x", ["--jobs", "'x'", "`4`"]),
            ("digest f --algorithm md5", ["--algorithm", "'md5'", "sha256"]),
        ] {
            let error = parse(&format!("bivouac {line}")).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), i32::from(bivouac::ending::USAGE), "{line}");
            for part in parts {
                assert!(text.contains(part), "{line}: {text}");
            }
        }
        for line in [
            "",
            "frobnicate",
            "grep",
            "grep -n",
            "count f --on KILL=stop",
            "count f --stop-code 3",
            "clean -x",
        ] {
            assert_eq!(parse(&format!("bivouac {line}")).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn grep_tells_patterns_from_files_as_grep_does() {
        for (line, patterns, files) in [
            ("p f g", vec!["p"], vec!["f", "g"]),
            ("-e p f g", vec!["p"], vec!["f", "g"]),
            ("f -e p -e -q g", vec!["p", "-q"], vec!["f", "g"]),
            ("-e p -- -f", vec!["p"], vec!["-f"]),
            ("-- -p -", vec!["-p"], vec!["-"]),
            ("-e --fresh f", vec!["--fresh"], vec!["f"]),
            ("-f f g", vec![], vec!["g"]),
            ("p", vec!["p"], vec![]),
            ("--color p f", vec!["p"], vec!["f"]),
            ("--colour=never --progress p f", vec!["p"], vec!["f"]),
        ] {
            let grep = grep(line);
            assert_eq!(grep.patterns().unwrap(), patterns, "{line}");
            assert_eq!(grep.files, files.iter().map(PathBuf::from).collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn grep_has_the_short_options_of_grep() {
        let all = grep("-cviFnoH --output out p f");
        assert!(all.count && all.invert_match && all.ignore_case && all.fixed_strings);
        assert!(all.line_number && all.only_matching && all.with_filename && !all.no_filename);
        let last = grep("-H -h p f");
        assert!(last.no_filename && !last.with_filename);
        assert_eq!(grep("-2 -n p f").context, Some(2));
        assert!(!grep("-i --no-ignore-case -U p f").ignore_case);
    }

    #[test]
    fn a_minus_as_output_is_standard_output() {
        for (line, output) in [("count -o - f", None), ("digest -o out f", Some(Path::new("out")))] {
            let cli = parse(&format!("bivouac {line}")).unwrap();
            let Verb::Job(verb) = cli.verb else { panic!("{line}: no job") };
            assert_eq!(verb.run_args().output, output);
        }
    }
}
