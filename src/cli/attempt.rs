//! An attempt of the journal as a person reads it: how it ended in one word, and the command.

use crate::cli::format::TaskWord;
use crate::jobs::columns::Columns;
use crate::jobs::template::Template;
use bivouac::journal::{Entry, Outcome};
use bivouac::record::Record;
use nix::sys::signal::Signal;

/// Whether an attempt failed. An interrupted one runs again, and an open one may be running: neither has failed.
pub(crate) fn has_failed(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Code(_)
        | Outcome::Signal(_)
        | Outcome::TimedOut
        | Outcome::WantedTerminal
        | Outcome::NotStarted => true,
        Outcome::Done(_) | Outcome::Interrupted | Outcome::Open => false,
    }
}

/// The outcome in one word, with the exit code or the name of the signal.
pub(crate) fn words(outcome: Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Done(code) => ("done", Some(code.to_string())),
        Outcome::Code(code) => ("failed", Some(code.to_string())),
        Outcome::Signal(number) => {
            let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |s| s.to_string());
            ("killed", Some(name))
        }
        Outcome::TimedOut => ("timeout", None),
        Outcome::WantedTerminal => ("wanted-terminal", None),
        Outcome::Interrupted => ("interrupted", None),
        Outcome::NotStarted => ("not-started", None),
        Outcome::Open => ("open", None),
    }
}

#[derive(Debug, Default)]
pub(crate) struct TaskNames {
    pub(crate) word: TaskWord,
    /// The command with its placeholders, if each task is one item of one list.
    template: Option<(Template, Columns)>,
}

impl TaskNames {
    pub(crate) fn of(record: Option<&Record>) -> Self {
        let Some(record) = record else { return Self::default() };
        let word = TaskWord::of_job(&record.job);
        if record.job != "each" {
            return Self { word, template: None };
        }
        let one_item = record.fingerprint["per_command"] == 1
            && record.fingerprint["sources"].as_array().is_none_or(|sources| sources.len() < 2);
        let template = one_item.then(|| Template::from_identity(&record.fingerprint["command"])).flatten();
        let template = template.zip(Columns::from_identity(&record.fingerprint["columns"]));
        Self { word, template }
    }

    /// The command as a person would type it, as far as it is known.
    pub(crate) fn command(&self, entry: &Entry) -> String {
        match &self.template {
            Some((template, columns)) => {
                template.show(&columns.words(&[entry.note.clone().into_bytes()]), entry.task + 1, 1)
            }
            None => entry.note.clone(),
        }
    }
}
