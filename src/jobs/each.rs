//! `bivouac each`: one command per item.
//!
//! When a command has ended, its effect is final: no checkpoint can take a mail back. So here a task is committed when it
//! ends, not when its turn comes ([`bivouac::Effects`]), and the journal has a line about each task that is settled. The
//! output of a command is gathered until it has ended, so that the outputs of two commands are not mixed; beyond some
//! megabytes it waits in a file.

use crate::jobs::ask::Ask;
use crate::jobs::attempts::{Keep, Reception, Rest, Terms, Then, Waiting};
use crate::jobs::columns::Columns;
use crate::jobs::complaints::Complaints;
use crate::jobs::lines::{Lines, Partial};
use crate::jobs::results::{Kept, Results, item_line};
use crate::jobs::template::{Label, Template};
use crate::jobs::text::{short, visible};
use crate::jobs::wording::worded;
use crate::jobs::words::Words;
use bivouac::error::Kind;
use bivouac::input::Item;
use bivouac::process::{Command, Feed};
use bivouac::{Context, Error, Job, TaskError};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Lines of the standard error of a command are gathered up to this many bytes, so that those of one command stay together.
/// If it writes more, they are passed on at once.
const GATHERED: usize = 1 << 20;

/// The job. Its source: the items.
#[derive(Debug)]
pub(crate) struct Each {
    pub(crate) template: Template,
    pub(crate) columns: Columns,
    pub(crate) terms: Terms,
    /// How many items go into one command, and where they come from.
    pub(crate) shape: (usize, Vec<&'static str>),
    /// Printed before each line of output, with a tab after it.
    pub(crate) tag: Option<Label>,
    pub(crate) directory: Option<Label>,
    pub(crate) shows_commands: bool,
    /// Each command is asked for before it starts.
    pub(crate) ask: Option<Ask>,
    /// Whether both streams of a command are passed on line by line, while it runs.
    pub(crate) by_line: bool,
    /// The way out of lines that are not put in order.
    pub(crate) lines: Option<Lines>,
    /// Whether the output is the result of the job. Then options that change it are part of the job's identity.
    pub(crate) to_file: bool,
    pub(crate) results: Option<Results>,
    /// Whether the name of a file is printed in place of the output of a command, which is in that file.
    pub(crate) prints_names: bool,
    /// The first failures, for the end.
    pub(crate) failures: Complaints,
    pub(crate) waiting: Waiting<Option<Item>>,
}

impl Job for Each {
    type Task = Item;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "each"
    }

    /// Only what makes the commands what they are: a line that is typed again with another `--tag` must
    /// not be taken for another job, and run everything once more.
    fn fingerprint(&self) -> Value {
        let (per_command, sources) = &self.shape;
        let mut identity = json!({
            "command": self.template.identity(),
            "per_command": per_command,
            "sources": sources,
        });
        // The record of a job without columns has no such field.
        if let Some(columns) = self.columns.identity() {
            identity["columns"] = columns;
        }
        if let Some(directory) = &self.directory {
            identity["directory"] = json!(directory.given());
        }
        if self.to_file {
            identity["tag"] = match &self.tag {
                Some(tag) if tag.given() != "{}" => json!(tag.given()),
                tag => json!(tag.is_some()),
            };
        }
        identity
    }

    fn run(&self, item: Item, cx: &Context<'_>) -> Result<(), TaskError> {
        self.attempt(item, 1, cx)
    }

    fn settle(&self, cx: &Context<'_>) -> Result<(), TaskError> {
        let (item, suspect) = self.waiting.suspect(cx)?;
        let name = suspect.note().to_string();
        let then = self.terms.settle(cx, *suspect);
        self.conclude(item, &name, then, cx)
    }

    fn again(&self, cx: &Context<'_>) -> Result<(), TaskError> {
        let (item, attempt) = self.waiting.retry(cx)?;
        item.map_or(Err(TaskError::Cancelled), |item| self.attempt(item, attempt, cx))
    }

    fn fold(&self, (): &mut (), (): (), _out: &mut Vec<u8>) {}
}

impl Each {
    fn attempt(&self, item: Item, attempt: u32, cx: &Context<'_>) -> Result<(), TaskError> {
        let then = self.run_one(&item, attempt, cx);
        let has_failed = matches!(then, Then::Over(Err(TaskError::Failed(_))));
        let name = if has_failed { item.note() } else { String::new() };
        // While a verdict is held, the words do not count as memory, unless they are needed once more.
        let item = (!then.is_last()).then_some(item);
        self.conclude(item, &name, then, cx)
    }

    fn conclude(
        &self,
        item: Option<Item>,
        name: &str,
        then: Then,
        cx: &Context<'_>,
    ) -> Result<(), TaskError> {
        let done = self.waiting.keep(cx, item, then);
        if let Err(TaskError::Failed(why)) = &done {
            // Each of these is a line of a list.
            let name = short(name).replace('\n', "\\n");
            self.failures.keep(format!("item {} ({name}): {why}", cx.task() + 1));
        }
        done
    }

    fn run_one(&self, item: &Item, attempt: u32, cx: &Context<'_>) -> Then {
        let (number, name) = (cx.task() + 1, item.note());
        let slot = cx.slot().unwrap_or(1);
        let words = self.columns.words(item.words());
        let command = match self.command(&words, number, slot) {
            Ok(command) => command,
            Err(why) => return Then::Over(Err(TaskError::Failed(why))),
        };
        match self.announce(&words, (number, slot, attempt), cx) {
            Ok(true) => {}
            Ok(false) => return Then::Over(Ok(())),
            Err(error) => return Then::Over(Err(error)),
        }
        let tag = self.tag.as_ref().filter(|tag| !tag.given().is_empty());
        let tag = tag.map(|tag| tag.fill(&self.template, &words, number, slot));
        let mut printed = Printed {
            cx,
            tag: tag.map(|tag| String::from_utf8_lossy(&tag).into_owned() + "\t"),
            by_line: self.by_line,
            prints_names: self.prints_names,
            lines: self.lines.as_ref(),
            partial: Partial::default(),
            at_line_start: true,
            words: Words::default(),
            said: String::new(),
            results: self.results.as_ref().map(|results| (results, number, item_line(item.words()))),
            kept: None,
            broken: None,
        };
        let shown = self.terms.joblog.as_ref().map(|_| self.template.show(&words, number, slot));
        let attempt = (attempt, name.as_str(), shown.unwrap_or_default());
        match self.terms.run(cx, &command, &Feed::Nothing, attempt, &mut printed) {
            // If the item names the program, a program that cannot be started is the failure of this item only.
            Then::Over(Err(TaskError::Fatal(error)))
                if self.template.is_program_an_item() && is_about_the_program(&error) =>
            {
                Then::Over(Err(TaskError::Failed(worded(&error))))
            }
            then @ (Then::Over(_) | Then::Hold(..) | Then::Retry(..)) => then,
        }
    }

    /// The command for these words; or why there is none.
    fn command(&self, words: &[Vec<u8>], number: u64, slot: usize) -> Result<Command, String> {
        let zero = "holds a zero byte (-0 for find -print0)";
        let command = self.template.fill(words, number, slot).ok_or(zero)?;
        let command =
            command.variable(format!("BIVOUAC_SEQ={number}")).variable(format!("BIVOUAC_SLOT={slot}"));
        let Some(directory) = &self.directory else { return Ok(command) };
        let directory =
            PathBuf::from(OsString::from_vec(directory.fill(&self.template, words, number, slot)));
        std::fs::create_dir_all(&directory)
            .map_err(|e| format!("cannot be run in {}: {e}", visible(&directory.to_string_lossy())))?;
        Ok(command.directory(directory.as_os_str()))
    }

    /// Shows the command, or asks whether it may run.
    fn announce(
        &self,
        words: &[Vec<u8>],
        (number, slot, attempt): (u64, usize, u32),
        cx: &Context<'_>,
    ) -> Result<bool, TaskError> {
        let shown = || self.template.show(words, number, slot);
        match &self.ask {
            // A further attempt was allowed with the first.
            Some(ask) if attempt == 1 => return ask.may_run(cx, (number, &shown())),
            Some(_) => {}
            None if self.shows_commands => cx.say(shown()),
            None => {}
        }
        Ok(true)
    }
}

fn is_about_the_program(error: &Error) -> bool {
    matches!(error.kind(), Kind::NoSuchCommand | Kind::CannotStart)
}

struct Printed<'a, 'b> {
    cx: &'a Context<'b>,
    tag: Option<String>,
    at_line_start: bool,
    by_line: bool,
    prints_names: bool,
    lines: Option<&'a Lines>,
    partial: Partial,
    words: Words,
    /// Lines that are not handed over yet.
    said: String,
    results: Option<(&'a Results, u64, Vec<u8>)>,
    kept: Option<Kept>,
    /// The error of a file for standard error. `err` cannot return it, so the end of the command does.
    broken: Option<Error>,
}

impl Printed<'_, '_> {
    fn hear(&mut self) {
        let said = std::mem::take(&mut self.said);
        if !said.is_empty() && !self.cx.is_cancelled() {
            self.cx.say(said);
        }
    }

    /// Every line with the item in front of it.
    fn tagged(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let Some(tag) = &self.tag else { return piece };
        let mut tagged = Vec::with_capacity(piece.len() + tag.len() * 8);
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.at_line_start {
                tagged.extend_from_slice(tag.as_bytes());
            }
            tagged.extend_from_slice(line);
            self.at_line_start = line.ends_with(b"\n");
        }
        tagged
    }
}

impl Reception for Printed<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        self.words = Words::default();
        self.said.clear();
        self.at_line_start = true;
        self.kept = None;
        if let Some((results, number, item)) = &self.results {
            self.kept = Some(results.begin(*number, item)?);
        }
        Ok(())
    }

    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError> {
        if let Some(kept) = &mut self.kept {
            kept.out(&piece)?;
        }
        if self.prints_names {
            return Ok(());
        }
        let Some(lines) = self.lines else {
            let piece = self.tagged(piece);
            return self.cx.emit(piece);
        };
        let whole = self.partial.take(&piece);
        Ok(lines.write(&self.tagged(whole))?)
    }

    fn err(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.kept {
            self.broken = self.broken.take().or(kept.err(bytes).err());
        }
        let Self { words, said, tag, .. } = self;
        words.take(bytes, &mut |line| append(said, tag.as_deref(), line));
        if self.by_line || self.said.len() >= GATHERED {
            self.hear();
        }
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        if let Some(lines) = self.lines {
            let rest = self.partial.end();
            lines.write(&self.tagged(rest))?;
        }
        let Self { words, said, tag, .. } = self;
        words.end(&mut |line| append(said, tag.as_deref(), line));
        self.hear();
        if let Some(error) = self.broken.take() {
            return Err(error.into());
        }
        if let (true, Some((results, number, _))) = (self.prints_names, &self.results) {
            let line = [results.stdout_of(*number).as_os_str().as_bytes(), b"\n"].concat();
            let line = self.tagged(line);
            self.cx.emit(line)?;
        }
        let mut kept = self.kept.take();
        // Many results may be held at the same time, and each would keep its files open.
        kept.iter_mut().for_each(Kept::close);
        let kept = kept.map(|kept| Box::new(kept) as Box<dyn Keep>);
        Ok(Rest { kept, last_words: self.words.last() })
    }
}

fn append(said: &mut String, tag: Option<&str>, line: &str) {
    // The words are the command's, and so is what they do to a terminal; the tag is ours.
    said.push_str(
        &tag.map(|tag| visible(tag.trim_end_matches('\t')).into_owned() + "\t").unwrap_or_default(),
    );
    said.push_str(line);
    said.push('\n');
}
