//! `bivouac each`: one command per item.
//!
//! What a command does is done when it has ended, wherever its effect is: no checkpoint can take a mail
//! back. So here a task is committed when it ends, not when its turn comes ([`bivouac::Effects`]), and
//! the journal says of each that it is settled. What a command prints is gathered until it has ended, so
//! that no two are mixed; the part of it that is beyond some megabytes waits in a file.

use crate::jobs::attempts::{Reception, Rest, Terms, Then, Waiting};
use crate::jobs::columns::Columns;
use crate::jobs::complaints::Complaints;
use crate::jobs::lines::{Lines, Partial};
use crate::jobs::results::{Kept, Results, item_line};
use crate::jobs::template::Template;
use crate::jobs::text::{short, visible};
use crate::jobs::wording::worded;
use crate::jobs::words::Words;
use bivouac::error::Kind;
use bivouac::input::Item;
use bivouac::process::Feed;
use bivouac::{Context, Error, Job, TaskError};
use serde_json::{Value, json};

/// What is said of one command at a time is gathered up to this size; one that says more is heard at
/// once.
const GATHERED: usize = 1 << 20;

/// The job. Its source: the items.
#[derive(Debug)]
pub(crate) struct Each {
    pub(crate) template: Template,
    /// How an item becomes the words of its command.
    pub(crate) columns: Columns,
    pub(crate) terms: Terms,
    /// How many items go into one command, and where they come from.
    pub(crate) shape: (usize, Vec<&'static str>),
    pub(crate) tag: bool,
    /// What commands print is handed over line by line, and what they say.
    pub(crate) by_line: bool,
    /// Where lines go that are not put in order.
    pub(crate) lines: Option<Lines>,
    /// Whether what is printed is the result of the job, and hence what changes it part of what it is.
    pub(crate) to_file: bool,
    pub(crate) results: Option<Results>,
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
        // A record of a job without these has none of them.
        if let Some(columns) = self.columns.identity() {
            identity["columns"] = columns;
        }
        if self.to_file {
            identity["tag"] = json!(self.tag);
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
        // While a verdict is held nobody counts the words as memory, unless they are needed once more.
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
        // Workers are slots: each runs one command at a time.
        let slot = rayon::current_thread_index().map_or(1, |index| index + 1);
        let words = self.columns.words(item.words());
        let Some(command) = self.template.fill(&words, number, slot) else {
            let why = "holds a zero byte, which no program can be given (use -0 for lists of find -print0)";
            return Then::Over(Err(TaskError::Failed(why.into())));
        };
        let command =
            command.variable(format!("BIVOUAC_SEQ={number}")).variable(format!("BIVOUAC_SLOT={slot}"));
        let mut printed = Printed {
            cx,
            tag: self.tag.then(|| format!("{}\t", String::from_utf8_lossy(&words.join(&b' ')))),
            by_line: self.by_line,
            lines: self.lines.as_ref(),
            partial: Partial::default(),
            at_line_start: true,
            words: Words::default(),
            said: String::new(),
            results: self.results.as_ref().map(|results| (results, number, item_line(item.words()))),
            kept: None,
            broken: None,
        };
        match self.terms.run(cx, &command, &Feed::Nothing, (attempt, &name), &mut printed) {
            // With the program in the item, that it cannot be started is about this item only.
            Then::Over(Err(TaskError::Fatal(error)))
                if self.template.is_program_an_item() && is_about_the_program(&error) =>
            {
                Then::Over(Err(TaskError::Failed(worded(&error))))
            }
            then @ (Then::Over(_) | Then::Hold(..) | Then::Retry(..)) => then,
        }
    }
}

fn is_about_the_program(error: &Error) -> bool {
    matches!(error.kind(), Kind::NoSuchCommand | Kind::CannotStart)
}

/// What one command prints and says, kept together.
struct Printed<'a, 'b> {
    cx: &'a Context<'b>,
    tag: Option<String>,
    at_line_start: bool,
    by_line: bool,
    lines: Option<&'a Lines>,
    partial: Partial,
    words: Words,
    /// Lines that nobody has heard yet.
    said: String,
    results: Option<(&'a Results, u64, Vec<u8>)>,
    kept: Option<Kept>,
    /// Standard error has no way to report that its file cannot be written; the end has.
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
        let mut kept = self.kept.take();
        // As many as are held must not be open.
        kept.iter_mut().for_each(Kept::close);
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
