//! `bivouac list`: all jobs here and below, as a table.

use super::status::{Divided, StatusReport};
use super::view::View;
use crate::cli::args::control::ListArgs;
use crate::cli::discover::states_below;
use crate::cli::format::{age, in_columns, since};
use crate::cli::terminal;
use crate::jobs::quote;
use crate::jobs::text::visible;
use bivouac::ending::FINISHED;
use bivouac::error::Kind;
use bivouac::{Error, Result};
use std::path::Path;

pub(super) fn run(list: &ListArgs) -> Result<u8> {
    let directory = list.directory.as_deref().unwrap_or(Path::new(""));
    if list.directory.is_some() && !directory.is_dir() {
        return Err(Error::usage(directory.display(), "is no directory")
            .advise("name one to look in; one job is shown by `bivouac status STATE`"));
    }
    let mut rows = vec![["STATE", "VERB", "SHARE", "PHASE", "PID", "AGE", "COMMAND"].map(str::to_string)];
    let mut objects = String::new();
    for path in states_below(directory)? {
        let (report, view) = match Divided::look(&path) {
            Ok(Some(divided)) => (divided.report(), None),
            Ok(None) | Err(_) => match View::look(&path) {
                Ok(view) => (StatusReport::of(&view), Some(view)),
                // A directory may have such a name and be something else, or be gone by now.
                Err(error) if error.kind() == Kind::Usage => continue,
                Err(error) => {
                    terminal::message(&error.sentence());
                    continue;
                }
            },
        };
        if list.json {
            objects.push_str(&report.json()?);
        } else {
            rows.push(row(&path, &report, view.as_ref()));
        }
    }
    let nothing_found = rows.len() == 1 && objects.is_empty();
    if nothing_found {
        terminal::message("there are no jobs here");
        return Ok(FINISHED);
    }
    let text = if list.json { objects } else { in_columns(&rows, &[2, 4], terminal::columns_of_stdout()) };
    terminal::result(text.as_bytes()).map(|()| FINISHED)
}

/// A job in shards has no process of its own, and so no view.
fn row(path: &Path, report: &StatusReport, view: Option<&View>) -> [String; 7] {
    let holder = view.and_then(|view| view.peek.holder.as_ref());
    let running = holder.filter(|_| report.running);
    let saved_at = view.and_then(|view| view.peek.record.as_ref()).map(|record| record.saved_at);
    let command = holder
        .and_then(|holder| holder.continuing.as_ref())
        .map(|continuing| visible(&quote::shortened_text(&continuing.command)).replace('\n', " "));
    let cells = [
        Some(visible(&path.display().to_string()).into_owned()),
        report.job.clone(),
        report.percent.map(|percent| format!("{percent} %")),
        Some(report.phase.clone()),
        running.map(|holder| holder.pid.to_string()),
        running.map(|holder| holder.started).or(saved_at).map(|at| age(since(at))),
        command,
    ];
    cells.map(|cell| cell.unwrap_or_else(|| "-".to_string()))
}
