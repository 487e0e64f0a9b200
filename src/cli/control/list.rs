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
use bivouac::{Result, record};
use std::path::Path;

/// Prints the table, or an object on each line.
pub(super) fn run(list: &ListArgs) -> Result<u8> {
    let directory = list.directory.as_deref().unwrap_or(Path::new(""));
    let mut rows = vec![["STATE", "VERB", "SHARE", "PHASE", "PID", "AGE", "COMMAND"].map(str::to_string)];
    let mut objects = String::new();
    for path in states_below(directory)? {
        if let Ok(Some(divided)) = Divided::look(&path) {
            let report = divided.report();
            if list.json {
                objects.push_str(&report.json()?);
            } else {
                rows.push(divided_row(&path, &report));
            }
            continue;
        }
        let view = match View::look(&path) {
            Ok(view) => view,
            // A directory may have such a name and be something else, or be gone by now.
            Err(error) if error.kind() == Kind::Usage => continue,
            Err(error) => {
                terminal::message(&error.sentence());
                continue;
            }
        };
        let report = StatusReport::of(&view);
        if list.json {
            objects.push_str(&report.json()?);
        } else {
            rows.push(row(&view, &report));
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

/// A job in shards has no process of its own.
fn divided_row(path: &Path, report: &StatusReport) -> [String; 7] {
    let unknown = || "-".to_string();
    [
        visible(&path.display().to_string()).into_owned(),
        report.job().map_or_else(unknown, ToString::to_string),
        report.percent().map_or_else(unknown, |percent| format!("{percent} %")),
        report.phase().to_string(),
        unknown(),
        unknown(),
        unknown(),
    ]
}

fn row(view: &View, report: &StatusReport) -> [String; 7] {
    let unknown = || "-".to_string();
    let holder = view.peek.holder.as_ref();
    let pid = holder.filter(|_| view.is_running()).map(|holder| holder.pid.to_string());
    let saved_at = view.peek.record.as_ref().map(|record: &record::Record| record.saved_at);
    let began = holder.filter(|_| view.is_running()).map(|holder| holder.started);
    let command = holder
        .and_then(|holder| holder.continuing.as_ref())
        .map(|continuing| visible(&quote::shortened_text(&continuing.command)).replace('\n', " "));
    [
        visible(&view.path.display().to_string()).into_owned(),
        report.job().map_or_else(unknown, ToString::to_string),
        report.percent().map_or_else(unknown, |percent| format!("{percent} %")),
        view.phase().to_string(),
        pid.unwrap_or_else(unknown),
        began.or(saved_at).map_or_else(unknown, |at| age(since(at))),
        command.unwrap_or_else(unknown),
    ]
}
