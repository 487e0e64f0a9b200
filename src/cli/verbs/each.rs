//! `bivouac each`: a list of items, a command for each, and the destination of their output.

use crate::cli::args::Cli;
use crate::cli::args::common::StopChildren;
use crate::cli::args::each::EachArgs;
use crate::cli::conflicts::refuse_in_a_state;
use crate::cli::launch::Launch;
use crate::cli::{shellwords, terminal};
use crate::jobs::ask::Ask;
use crate::jobs::attempts::{Terms, Waiting};
use crate::jobs::columns::Columns;
use crate::jobs::complaints::Complaints;
use crate::jobs::each::Each;
use crate::jobs::lines::Lines;
use crate::jobs::quote;
use crate::jobs::results::{Beside, Results};
use crate::jobs::shell::Shell;
use crate::jobs::template::{Label, Template};
use bivouac::ending::{Exit, FINISHED, REFUSED, USAGE};
use bivouac::error::{Advice, Kind};
use bivouac::input::{Fit, Items};
use bivouac::sink::StreamSink;
use bivouac::{Error, Result};
use clap::CommandFactory;
use rustix::process::setpriority_process;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) fn run(each: &EachArgs, mut launch: Launch<'_>) -> Result<Exit> {
    let columns = each.items.columns()?;
    let (template, mut items) = template_and_items(each, &columns, &launch)?;
    if each.dry_run {
        let shown = launch.wait_before(|| show(&template, &columns, &mut items));
        return shown.map(|()| Exit::Code(FINISHED));
    }
    if let Some(halt) = each.halt {
        launch.args.commands.halt = launch.wait_before(|| halt.of(|| items.count()))?;
    }
    let results = ResultsPlace::of(each)?;
    let failures = Complaints::default();
    let job = job(each, (template, columns, &results), failures.clone(), &launch)?;
    launch.failures = Some(failures);
    launch.empty_results = results.is_empty.then(|| results.path.clone()).flatten();
    let ran = match (&job.results, launch.args.output) {
        (Some(results), None) => {
            let sink = StreamSink::stdout().map(|stdout| Beside::new(stdout, results));
            sink.and_then(|sink| launch.run_with((job, items), true, None, sink))
        }
        (Some(_), Some(_)) => Err(Error::usage("--results", "does not go together with --output")
            .advise("DIR/NUMBER/stdout has what each command printed; cat joins them")),
        (None, _) => launch.run((job, items), true),
    };
    let is_refused = match &ran {
        Ok(exit) => [Exit::Code(USAGE), Exit::Code(REFUSED)].contains(exit),
        Err(error) => matches!(error.kind(), Kind::Usage | Kind::Refused),
    };
    results.tidy_up(is_refused);
    ran
}

/// The command and its items. This reads the header of the list, and all of the list if a placeholder needs the number of
/// commands.
fn template_and_items(each: &EachArgs, columns: &Columns, launch: &Launch<'_>) -> Result<(Template, Items)> {
    if each.is_limited() && each.per_command() == 1 {
        return Err(Error::usage("-s", "limits a command of several items, and here each gets one")
            .advise("add -X (as many as fit, like xargs) or -n N; or leave -s out"));
    }
    let items = Items::new(each.columns()).delimiter(each.delimiter()).reading(each.items.reading()?);
    let mut items = items.per_task(per_command(each));
    if let Some(order) = each.items.order() {
        items = items.shuffled(order.seed);
    }
    let is_typed = || each.files.iter().any(|file| file.as_os_str() == "-") && io::stdin().is_terminal();
    let is_known = launch.give_list(&mut items)?;
    let has_command = each.shell.is_some() || !each.command.is_empty();
    if !is_known && has_command && is_typed() {
        terminal::message("reading items from the terminal, one a line; Ctrl-D ends them");
    }
    let headers = launch.wait_before(|| items.headers())?;
    let names = columns.words(&headers).into_owned();
    let mut template = template(each, names, launch.argv)?;
    let items = fitted(items, each, &template, launch.settings.jobs.value);
    if template.asks_for_total() {
        template.set_total(launch.wait_before(|| items.count())?);
    }
    Ok((template, items))
}

/// Where results go, and which of these directories are made for it.
struct ResultsPlace {
    path: Option<PathBuf>,
    new: Vec<PathBuf>,
    /// A directory of our own: it goes if nothing is in it.
    is_passing: bool,
    /// It was named, and nothing is in it.
    is_empty: bool,
}

impl ResultsPlace {
    fn of(each: &EachArgs) -> Result<Self> {
        match (&each.results, each.prints_names) {
            (Some(path), _) => {
                refuse_in_a_state(path)?;
                refuse_a_table(path)?;
                let is_new = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
                let new = path.ancestors().take_while(is_new).map(Path::to_path_buf).collect();
                let is_empty = std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
                Ok(Self { path: Some(path.clone()), new, is_passing: false, is_empty })
            }
            (None, true) => {
                let place = each.tmpdir.clone().unwrap_or_else(std::env::temp_dir);
                let made = tempfile::Builder::new().prefix("bivouac-").tempdir_in(&place);
                let made = made
                    .map_err(|e| {
                        Error::named(&place, "make a directory for --files", &e)
                            .or("--tmpdir names a directory that exists")
                    })?
                    .keep();
                // Its name as it was asked for: that of `made` is absolute.
                let path = made.file_name().map_or(made.clone(), |name| place.join(name));
                Ok(Self { path: Some(path.clone()), new: vec![path], is_passing: true, is_empty: false })
            }
            (None, false) => Ok(Self { path: None, new: Vec::new(), is_passing: false, is_empty: false }),
        }
    }

    /// A refused run removes the directories that it has made. One for `--files` is temporary and goes in any case, if it
    /// is empty.
    fn tidy_up(self, is_refused: bool) {
        if is_refused || self.is_passing {
            self.new.into_iter().for_each(|directory| drop(std::fs::remove_dir(directory)));
        }
    }
}

/// For such a name GNU parallel writes a table. Here it names a directory.
fn refuse_a_table(path: &Path) -> Result<()> {
    let is_table =
        path.extension().is_some_and(|ending| ending == "csv" || ending == "tsv" || ending == "json");
    match is_table && !path.as_os_str().as_encoded_bytes().ends_with(b"/") && !path.is_dir() {
        true => Err(Error::usage(
            format_args!("--results {}", path.display()),
            "would be a directory, not a table",
        )
        .advise("`bivouac log --format csv` prints a table; a `/` at the end means the directory")),
        false => Ok(()),
    }
}

fn per_command(each: &EachArgs) -> NonZero<usize> {
    NonZero::new(each.per_command()).unwrap_or(NonZero::<usize>::MIN)
}

/// The command, refused if only a shell could understand it.
fn template(each: &EachArgs, names: Vec<Vec<u8>>, argv: &[OsString]) -> Result<Template> {
    let words = per_command(each).get().saturating_mul(each.columns().len());
    let [before, command, after] = each.apart(argv);
    let shell = each.shell.as_deref().map(Shell::named).transpose()?;
    let syntax = each.items.syntax(names, words, each.takes_none())?;
    if each.retry_failed && each.command.is_empty() && shell.is_none() {
        return Err(Error::usage("--retry-failed", "the command is missing")
            .advise("type the line of the job again, with --retry-failed in it"));
    }
    let template = Template::new(each.command.clone(), shell, syntax)?;
    let typed = shellwords::Typed { before, command, after, dashes: false };
    if each.shell.is_none() {
        shellwords::refuse(typed)?;
    }
    if !each.job.messages.quiet {
        say_options_among_items(after);
        let warning = each.shell.is_none().then(|| shellwords::warning(typed)).flatten();
        let warnings = warning.into_iter().chain(shellwords::variable_of_parallel(command));
        warnings.for_each(|warning| terminal::message(&warning));
    }
    let repeats = each.fit_in_context || (each.items.repeats() && template.has_items_within_words());
    if repeats { template.repeating() } else { Ok(template) }
}

/// How many bytes a command may have if it gets as many items as fit: the limit of a single argument on Linux.
const AT_MOST: u64 = 128 << 10;

/// The items, as many at a time as fit if that is wanted.
fn fitted(items: Items, each: &EachArgs, template: &Template, jobs: usize) -> Items {
    if !each.fits() && !each.is_limited() {
        return items;
    }
    let (taken, (times, more)) = template.length(each.max_chars.is_none());
    let [taken, times, more] = [taken, times, more].map(|number| number as u64);
    let items = items.fitting(Fit { bytes: each.max_chars.unwrap_or(AT_MOST), taken, times, each: more });
    match NonZero::new(jobs) {
        // The number of slots depends on the number of commands, so the commands are counted first.
        Some(slots) if each.fits() && !each.fit_unspread && !template.asks_for_total() => items.over(slots),
        Some(_) | None => items,
    }
}

fn job(
    each: &EachArgs,
    (template, columns, results): (Template, Columns, &ResultsPlace),
    failures: Complaints,
    launch: &Launch<'_>,
) -> Result<Each> {
    let by_line = each.line_buffer || (each.ungroup && each.is_tagged());
    if by_line && each.keep_order {
        return Err(Error::usage("--line-buffer", "does not go together with -k")
            .advise("-k makes lines wait for those of the items before: leave one out"));
    }
    if let Some(nice) = each.nice {
        setpriority_process(None, nice).map_err(|e| {
            Error::usage("--nice", format_args!("{nice} is not allowed: {}", io::Error::from(e)))
                .advise("only root may make a process more important")
        })?;
    }
    const NAMES: &str = "one name is for all items; a file for each: --shell 'COMMAND > {}.out'";
    refuse_placeholder("--output", launch.args.output, &template, NAMES)?;
    const NUMBERS: &str = "name a directory: DIR/NUMBER has what each item printed, and the item";
    refuse_placeholder("--results", each.results.as_deref(), &template, NUMBERS)?;
    let tag = each.tagstring.as_deref().map(|tag| Label::new(tag, &template)).transpose()?;
    Ok(Each {
        tag: tag.or_else(|| each.tag.then(Label::item)),
        directory: each.workdir.as_deref().map(|path| directory(path, &template)).transpose()?,
        shows_commands: each.trace,
        ask: each.interactive.then(Ask::new).transpose()?,
        template,
        columns,
        terms: Terms {
            saves_its_work: each.output.is_none() || each.commands.stop_children == StopChildren::AtOnce,
            jitter: true,
            passes_through: each.ungroup && !each.is_tagged(),
            at_once: by_line,
            if_too_long: (per_command(each).get() > 1).then_some(Advice::FewerItems),
            ..each.commands.terms(launch.settings.kill_after.value)?
        },
        shape: (per_command(each).get(), each.shape()),
        by_line,
        lines: by_line.then(lines).transpose()?,
        to_file: launch.args.output.is_some(),
        results: results.path.as_deref().map(Results::new).transpose()?,
        prints_names: each.prints_names,
        failures,
        waiting: Waiting::default(),
    })
}

/// A file named `{}.out` is never meant.
fn refuse_placeholder(
    option: &str,
    path: Option<&Path>,
    template: &Template,
    advice: &'static str,
) -> Result<()> {
    match path.and_then(Path::to_str) {
        Some(path) if !Label::new(path, template)?.is_constant() => {
            Err(Error::usage(format_args!("{option} {path}"), "takes no placeholder").advise(advice))
        }
        Some(_) | None => Ok(()),
    }
}

/// Where commands run. One that is the same for all is made now.
fn directory(path: &str, template: &Template) -> Result<Label> {
    if path == "..." {
        return Err(Error::usage("--workdir", "`...` is not supported")
            .advise("name one, with {#} in it for one each: --workdir /var/tmp/x/{#}"));
    }
    let directory = Label::new(path, template)?;
    if directory.is_constant() {
        std::fs::create_dir_all(path).map_err(|e| Error::named(path.as_ref(), "make the directory", &e))?;
    }
    Ok(directory)
}

/// Options come before COMMAND; an option after it is an item.
fn say_options_among_items(after: &[OsString]) {
    let mut command = Cli::command();
    command.build();
    let Some(each) = command.find_subcommand("each") else { return };
    let is_option = |word: &&OsString| {
        let name = word.to_str().and_then(|word| word.strip_prefix("--"));
        let name = name.map(|name| name.split('=').next().unwrap_or_default());
        name.is_some_and(|name| each.get_arguments().any(|option| option.get_long() == Some(name)))
    };
    if let Some(word) = after.iter().filter(|word| word.as_bytes().starts_with(b"--")).find(is_option) {
        terminal::message(&format!(
            "item {} looks like an option; options come before COMMAND",
            quote::argument(word)
        ));
    }
}

fn lines() -> Result<Lines> {
    Ok(Lines::new(StreamSink::stdout()?.around(terminal::beside_the_line_if_both_are_terminals())))
}

const COLLECTED: usize = 64 << 10;

/// The commands as a person would paste them.
fn show(template: &Template, columns: &Columns, items: &mut Items) -> Result<()> {
    let mut text = String::new();
    bivouac::list(items, &mut |number, item| {
        text.push_str(&template.show(&columns.words(item.words()), number + 1, 1));
        text.push('\n');
        if text.len() < COLLECTED {
            return Ok(());
        }
        terminal::result(std::mem::take(&mut text).as_bytes())
    })?;
    terminal::result(text.as_bytes())
}
