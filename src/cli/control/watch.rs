//! `bivouac status --watch`: a job from outside, until it has ended.
//!
//! A terminal gets what `status` prints, drawn in place. A pipe gets a line for each change, so that a log or a
//! program can follow a job; with `--json` that line is the object. Nothing is asked of the job: its status file
//! says once a second how far it is, and its end wakes this process at once.

use super::status::{Divided, StatusReport};
use super::view::View;
use crate::cli::format::fitted;
use crate::cli::terminal;
use bivouac::Result;
use bivouac::ending::FINISHED;
use bivouac::error::Kind;
use bivouac::state_dir::reach::wait_for_one_of;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The report that was shown last.
#[derive(Default)]
struct Shown {
    key: Option<(String, Option<u64>, u64, u64)>,
    rows: usize,
}

impl Shown {
    fn update(&mut self, report: &StatusReport, json: bool, text: impl FnOnce() -> String) -> Result<()> {
        if io::stdout().is_terminal() && !json {
            self.rows = draw(&text(), self.rows)?;
        } else if self.key.replace(report.key()) != Some(report.key()) {
            let line = if json { report.json()? } else { report.line() };
            terminal::result(line.as_bytes())?;
        }
        Ok(())
    }
}

pub(super) fn watch(mut view: View, json: bool) -> Result<u8> {
    let mut shown = Shown::default();
    loop {
        let report = StatusReport::of(&view);
        shown.update(&report, json, || report.text(&view))?;
        if !view.is_running() {
            return Ok(FINISHED);
        }
        wait_for_one_of(view.process().as_slice(), LOOK_EVERY)?;
        view = match View::look(&view.path) {
            Ok(view) => view,
            Err(error) if error.kind() == Kind::Usage => {
                let path = view.path.display();
                terminal::message(&format!("{path}: the job is finished, and its state was removed"));
                return Ok(FINISHED);
            }
            Err(error) => return Err(error),
        };
    }
}

/// As [`watch`], for a job in shards: until none of them runs.
pub(super) fn watch_shards(path: &Path, json: bool) -> Result<u8> {
    let mut shown = Shown::default();
    while let Some(divided) = Divided::look(path)? {
        shown.update(&divided.report(), json, || divided.text())?;
        let running = divided.running();
        if running.is_empty() {
            break;
        }
        let here: Vec<_> = running.iter().filter_map(View::process).collect();
        wait_for_one_of(&here, LOOK_EVERY)?;
    }
    Ok(FINISHED)
}

/// Draws the text in place of the last one, which had so many rows. Returns how many this one has.
fn draw(text: &str, drawn: usize) -> Result<usize> {
    let (columns, rows) = terminal::size_of_stdout();
    // A row that wraps, or scrolls, could not be found again.
    let lines = text.lines().take(rows.saturating_sub(1));
    let shown: Vec<String> = lines.map(|line| fitted(line, columns.saturating_sub(1))).collect();
    let up = if drawn > 0 { format!("\r\x1b[{drawn}A") } else { String::new() };
    let frame = format!("{up}{}\x1b[J", shown.iter().map(|row| format!("{row}\x1b[K\n")).collect::<String>());
    terminal::result(frame.as_bytes()).map(|()| shown.len())
}
