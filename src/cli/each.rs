//! From the options of `each` to a job: the template, the list, what is printed where.

use crate::cli::args::Cli;
use crate::cli::args::common::StopChildren;
use crate::cli::args::each::Each as Options;
use crate::cli::report::Failures;
use crate::cli::roles::refuse_in_a_state;
use crate::cli::verbs::Start;
use crate::cli::{quote, say, shellwords};
use crate::jobs::attempts::{Terms, Waiting};
use crate::jobs::complaints::Complaints;
use crate::jobs::each::Each;
use crate::jobs::lines::Lines;
use crate::jobs::results::{Beside, Results};
use crate::jobs::template::Template;
use bivouac::ending::{Exit, FINISHED, USAGE};
use bivouac::error::Kind;
use bivouac::input::{Fit, Items};
use bivouac::sink::StreamSink;
use bivouac::{Error, Result};
use clap::CommandFactory;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Runs the job, or prints what it would run.
pub(crate) fn run(each: &Options, mut start: Start<'_>) -> Result<Exit> {
    let columns = each.columns();
    let per_command = NonZero::new(each.per_command()).unwrap_or(NonZero::<usize>::MIN);
    // With several items for one command these take the places of sources.
    let words = if per_command.get() > 1 { per_command.get() } else { columns.len() };
    let [before, command, behind] = each.apart(start.argv);
    let mut template =
        Template::new(each.command.clone(), shellwords::asked_for(each.shell.as_ref())?, words)?;
    if each.shell.is_none() {
        shellwords::refuse(shellwords::Typed { before, command, behind, dashes: false })?;
    }
    if !each.talk.quiet {
        say_options_among_items(behind);
    }
    if each.fit_in_context {
        template = template.repeating()?;
    }
    let mut items = Items::new(columns).delimiter(each.delimiter()).per_task(per_command);
    if each.fits() {
        let (taken, (times, more)) = template.length();
        let [taken, times, more] = [taken, times, more].map(|number| number as u64);
        items = items.fitting(Fit { bytes: each.max_chars, taken, times, each: more });
    }
    if each.files.iter().any(|file| file.as_os_str() == "-") && io::stdin().is_terminal() {
        say::line("items are read from the terminal, one a line; Ctrl-D ends them");
    }
    if each.dry_run {
        return show(&template, &mut items).map(|()| Exit::Code(FINISHED));
    }
    let failures = Complaints::default();
    let by_line = each.line_buffer || (each.ungroup && each.tag);
    if by_line && each.keep_order {
        return Err(Error::usage("--line-buffer", "does not go together with -k")
            .advise("in the order of the items a command's lines wait for those of the commands before it: leave one away"));
    }
    let mut made = Vec::new();
    if let Some(results) = &each.results {
        refuse_in_a_state(results)?;
        let is_new = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
        made.extend(results.ancestors().take_while(is_new));
    }
    let job = Each {
        template,
        terms: Terms {
            ok_codes: each.commanding.ok_codes.clone(),
            retries: each.commanding.retries,
            timeout: each.commanding.timeout,
            kill_after: start.settings.kill_after.value,
            saves_its_work: each.output.is_none() || each.commanding.stop_children == StopChildren::AtOnce,
            jitter: true,
            passes_through: each.ungroup && !each.tag,
            at_once: by_line,
        },
        shape: (per_command.get(), each.shape()),
        tag: each.tag,
        by_line,
        lines: by_line.then(lines).transpose()?,
        to_file: start.running.output.is_some(),
        results: each.results.as_deref().map(Results::new).transpose()?,
        failures: failures.clone(),
        waiting: Waiting::default(),
    };
    start.failures = Some(Failures { first: failures });
    let ran = match (&job.results, start.running.output) {
        (Some(results), None) => {
            let sink = StreamSink::stdout().map(|stdout| Beside::new(stdout, results));
            sink.and_then(|sink| start.run_with((job, items), true, None, sink))
        }
        (Some(_), Some(_)) => Err(Error::usage("--results", "does not go together with --output")
            .advise("DIR/NUMBER/stdout has what each command printed; put them together with cat")),
        (None, _) => start.run((job, items), true),
    };
    let is_refused = match &ran {
        Ok(exit) => *exit == Exit::Code(USAGE),
        Err(error) => error.kind() == Kind::Usage,
    };
    // Nothing was done, and nothing is left of it: what is empty goes.
    if is_refused {
        made.into_iter().for_each(|directory| drop(std::fs::remove_dir(directory)));
    }
    ran
}

/// Options stand before COMMAND; who puts one behind gets an item.
fn say_options_among_items(behind: &[OsString]) {
    let mut command = Cli::command();
    command.build();
    let Some(each) = command.find_subcommand("each") else { return };
    let is_option = |word: &&OsString| {
        let name = word.to_str().and_then(|word| word.strip_prefix("--"));
        let name = name.map(|name| name.split('=').next().unwrap_or_default());
        name.is_some_and(|name| each.get_arguments().any(|option| option.get_long() == Some(name)))
    };
    if let Some(word) = behind.iter().filter(|word| word.as_bytes().starts_with(b"--")).find(is_option) {
        say::line(&format!(
            "item {} looks like an option; options stand before COMMAND",
            quote::argument(word)
        ));
    }
}

fn lines() -> Result<Lines> {
    Ok(Lines::new(StreamSink::stdout()?.around(say::beside_the_line_if_both_are_terminals())))
}

/// How much is gathered before it is printed.
const GATHERED: usize = 64 << 10;

/// The commands as a person would paste them.
fn show(template: &Template, items: &mut Items) -> Result<()> {
    let mut text = String::new();
    bivouac::list(items, &mut |number, item| {
        text.push_str(&template.show(item.words(), number + 1, 1));
        text.push('\n');
        if text.len() < GATHERED {
            return Ok(());
        }
        say::result(std::mem::take(&mut text).as_bytes())
    })?;
    say::result(text.as_bytes())
}
