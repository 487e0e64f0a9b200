//! How `top` looks: a list of jobs, the shards of one, or the slots of one. A buffer of ratatui, so that a test can read it.

use super::jobs::{Job, Jobs};
use super::screen::as_text;
use crate::cli::control::status::StatusReport;
use crate::cli::format::{clock, fitted, local, size};
use crate::jobs::quote;
use crate::jobs::text::visible;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row, StatefulWidget, Table, TableState, Widget};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const KEYS: &str = "↑↓ select  ⏎ slots  p pause  c checkpoint  s stop  + - workers  ? help  q quit";
const KEYS_OF_SHARDS: &str = "↑↓ select  ⏎ slots  ← list  p pause  c checkpoint  s stop  + -  ? help  q quit";
const KEYS_OF_ONE: &str = "← list  p pause  c checkpoint  s stop  + - workers  ? help  q quit";
const HELP: &str = "\
  up, down, k, j    select a job
  Enter, right      its slots: what runs where, and for how long;
                    of a job in shards first the shards, one of which is selected
  Escape, left      back to the list
  p                 pause it, or resume it
  c                 write a checkpoint now
  s                 stop it with a checkpoint; asks first
  + and -           one worker more, one fewer
  q, Ctrl-C         leave; jobs go on
  Ctrl-Z            suspend this program; `fg` brings it back";

/// The command of a job is shown if the terminal has at least this many columns.
const WIDE: u16 = 100;

/// How many rows the title, the message and the keys take.
const AROUND: u16 = 4;

pub(super) struct Frame {
    title: String,
    colour: bool,
    jobs: Jobs,
    has_looked: bool,
    /// The selected job, by its path, because its row may change.
    at: Option<PathBuf>,
    /// The job whose slots or shards are shown.
    opened: Option<PathBuf>,
    /// The selected one of its shards.
    shard: u64,
    /// Its slots are shown.
    is_shard_opened: bool,
    rows: TableState,
    pub(super) help: bool,
    /// The message of the last verb.
    pub(super) message: String,
}

impl Frame {
    pub(super) fn new(title: String, opened: Option<PathBuf>, colour: bool) -> Self {
        let (jobs, at, rows) = (Vec::new(), opened.clone(), TableState::new());
        let (has_looked, is_shard_opened, help, message) = (false, false, false, String::new());
        Self { title, colour, jobs, has_looked, at, opened, shard: 1, is_shard_opened, rows, help, message }
    }

    /// Takes the jobs that were read just now. A job that has ended and removed its state stays in the list, as it was last
    /// seen.
    pub(super) fn show(&mut self, mut now: Jobs) {
        for mut gone in std::mem::take(&mut self.jobs) {
            let is_there = now.iter().any(|job| job.path == gone.path);
            if !is_there && (gone.report.running || gone.is_gone) {
                gone.ends();
                now.push(gone);
            }
        }
        now.sort_by(|a, b| (!a.report.running, &a.path).cmp(&(!b.report.running, &b.path)));
        (self.jobs, self.has_looked) = (now, true);
        if self.selected().is_none() {
            self.at = self.jobs.first().map(|job| job.path.clone());
        }
        self.select_a_shard();
    }

    fn selected(&self) -> Option<&Job> {
        let at = self.opened.as_ref().or(self.at.as_ref())?;
        self.jobs.iter().find(|job| job.path == *at)
    }

    /// The shard that is selected, where shards are shown.
    fn selected_shard(&self) -> Option<&StatusReport> {
        self.opened.as_ref()?;
        self.selected()?.begun().iter().find(|report| report.shard == Some(self.shard))
    }

    /// The state of what a key is about: a job or a shard.
    pub(super) fn target(&self) -> Option<PathBuf> {
        let shard = self.selected_shard().map(|shard| PathBuf::from(&shard.state));
        shard.or_else(|| self.selected().map(|job| job.path.clone()))
    }

    pub(super) fn step(&mut self, by: isize) {
        if self.opened.is_some() {
            return self.step_shards(by);
        }
        let Some(at) = self.jobs.iter().position(|job| Some(&job.path) == self.at.as_ref()) else { return };
        let next = at.saturating_add_signed(by).min(self.jobs.len() - 1);
        self.at = Some(self.jobs[next].path.clone());
    }

    fn step_shards(&mut self, by: isize) {
        let numbers: Vec<u64> =
            self.selected().iter().flat_map(|job| job.begun()).filter_map(|shard| shard.shard).collect();
        let Some(last) = numbers.len().checked_sub(1).filter(|_| !self.is_shard_opened) else { return };
        let at = numbers.iter().position(|number| *number == self.shard).unwrap_or(0);
        self.shard = numbers[at.saturating_add_signed(by).min(last)];
    }

    pub(super) fn open(&mut self) {
        if self.opened.is_some() {
            self.is_shard_opened = self.selected_shard().is_some();
            return;
        }
        self.opened = self.selected().map(|job| job.path.clone());
        self.select_a_shard();
    }

    /// The first one that has begun, if the selected one has not.
    fn select_a_shard(&mut self) {
        if self.selected_shard().is_none() {
            let first = self.selected().and_then(|job| job.begun().first()?.shard);
            self.shard = first.unwrap_or(self.shard);
        }
    }

    pub(super) fn close(&mut self) {
        if self.help || self.is_shard_opened {
            (self.help, self.is_shard_opened) = (false, self.is_shard_opened && self.help);
        } else {
            self.at = self.opened.take().or(self.at.take());
        }
    }

    pub(super) fn text(&mut self, columns: u16, rows: u16) -> String {
        as_text(&self.buffer(columns, rows))
    }

    pub(super) fn buffer(&mut self, columns: u16, rows: u16) -> Buffer {
        let area = Rect::new(0, 0, columns, rows);
        let mut buffer = Buffer::empty(area);
        let [title, body, message, keys] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Fill(1),
            Constraint::Length(AROUND - 3),
            Constraint::Length(1),
        ])
        .areas(area);
        self.draw_title(title, &mut buffer);
        let opened = self.opened.as_ref().and_then(|path| self.jobs.iter().position(|job| job.path == *path));
        match opened {
            _ if self.help => Paragraph::new(HELP).render(body, &mut buffer),
            Some(at) => self.draw_one(&self.jobs[at], body, &mut buffer),
            None => self.draw_list(body, &mut buffer),
        }
        let shown = visible(&self.message).replace('\n', " ");
        self.line(&shown, Style::new().add_modifier(Modifier::BOLD), message, &mut buffer);
        let text = match (&self.opened, self.selected_shard()) {
            (None, _) => KEYS,
            (Some(_), Some(_)) if !self.is_shard_opened => KEYS_OF_SHARDS,
            (Some(_), Some(_) | None) => KEYS_OF_ONE,
        };
        self.line(text, Style::new().add_modifier(Modifier::DIM), keys, &mut buffer);
        buffer
    }

    /// A line, cut off where the window ends.
    fn line(&self, text: &str, style: Style, area: Rect, buffer: &mut Buffer) {
        let text = fitted(text, area.width.into());
        Line::styled(text, style).render(Rect { height: area.height.min(1), ..area }, buffer);
    }

    fn draw_title(&self, area: Rect, buffer: &mut Buffer) {
        let running = self.jobs.iter().filter(|job| job.report.running).count();
        let jobs = crate::cli::format::count(self.jobs.len() as u64, "job");
        let now = local(SystemTime::now());
        let clock = now.split(' ').next_back().unwrap_or_default();
        let left = format!("bivouac top  {}  {jobs}, {running} running", visible(&self.title));
        self.line(&left, Style::new().add_modifier(Modifier::BOLD), area, buffer);
        let width = clock.len() as u16;
        if area.width > left.chars().count() as u16 + width + 2 {
            Line::raw(clock).render(Rect { x: area.width - width, width, height: 1, ..area }, buffer);
        }
    }

    fn draw_list(&mut self, area: Rect, buffer: &mut Buffer) {
        if self.jobs.is_empty() {
            let text =
                if self.has_looked { "no jobs here; one appears when it begins" } else { "looking …" };
            return self.line(text, Style::new(), area, buffer);
        }
        let wide = area.width >= WIDE;
        let names = self.jobs.iter().map(|job| visible(&job.report.state).chars().count());
        let room = usize::from(area.width) / 3;
        let longest = names.max().unwrap_or(0).clamp(room.min(8), room) as u16;
        let mut widths = [longest, 6, 6, 20, 14, 8, 10, 4].map(Constraint::Length).to_vec();
        let mut heads =
            vec!["STATE", "VERB", " SHARE", "PROGRESS", "          RATE", "    LEFT", "PHASE", "JOBS"];
        if wide {
            widths.push(Constraint::Fill(1));
            heads.push("COMMAND");
        } else {
            // The column PROGRESS is left out: the view of one job shows it.
            widths.remove(3);
            heads.remove(3);
        }
        let rows: Vec<Row<'_>> = self.jobs.iter().map(|job| self.row(job, wide, longest)).collect();
        let heads = Row::new(heads).style(Style::new().add_modifier(Modifier::DIM));
        let table = Table::new(rows, widths)
            .header(heads)
            .column_spacing(1)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        self.rows.select(self.jobs.iter().position(|job| Some(&job.path) == self.at.as_ref()));
        StatefulWidget::render(table, area, buffer, &mut self.rows);
    }

    fn row(&self, job: &Job, wide: bool, longest: u16) -> Row<'static> {
        let report = &job.report;
        let share = report.percent.map(|percent| format!("{percent} %")).unwrap_or_default();
        let left = report.eta_seconds.map(|left| clock(duration(left))).unwrap_or_default();
        let workers = report.workers.map(|workers| workers.to_string()).unwrap_or_default();
        let phase = match report.exit_code.filter(|code| *code != 0) {
            Some(code) => format!("{}, {code}", report.phase),
            None => report.phase.clone(),
        };
        let mut cells = vec![
            Cell::from(fitted(&visible(&report.state), longest.into())),
            Cell::from(report.job.as_deref().map(short_verb).unwrap_or("-").to_string()),
            right(&share, 6),
            Cell::from(fitted(&bar(report.percent), 20)),
            right(&rate(report), 14),
            right(&left, 8),
            Cell::from(phase).style(self.colour_of(report)),
            right(&workers, 4),
        ];
        if wide {
            cells.push(Cell::from(command_of(report).unwrap_or_default()));
        } else {
            cells.remove(3);
        }
        Row::new(cells)
    }

    fn colour_of(&self, report: &StatusReport) -> Style {
        let colour = match report.phase.as_str() {
            _ if !self.colour => return Style::new(),
            "running" | "finishing" | "merging" => Color::Green,
            "crashed" => Color::Red,
            "finished" | "stopped" => return Style::new(),
            _ => Color::Yellow,
        };
        Style::new().fg(colour)
    }

    /// One job, or one of its shards: what `status` says, and a row for each slot, or for each shard.
    fn draw_one(&self, job: &Job, area: Rect, buffer: &mut Buffer) {
        let shard = self.selected_shard().filter(|_| self.is_shard_opened);
        let report = shard.unwrap_or(&job.report);
        let mut lines = vec![
            format!("{}: {}", visible(&report.state), report.phase),
            format!("{}  {}", bar(report.percent), report.share_line()),
            format!("progress    {}", report.tasks_line()),
        ];
        lines.extend(report.speed_line().map(|speed| format!("speed       {speed}")));
        lines.push(format!("output      {}", size(report.bytes.output)));
        if job.shards == 0 || shard.is_some() {
            lines.push(format!("checkpoint  {}", report.checkpoint_line()));
        }
        if let Some(holder) = &report.holder {
            lines.push(format!("process     {} on {}", holder.pid, holder.host));
        }
        if let Some(code) = report.exit_code {
            lines.push(format!("exit code   {code}"));
        }
        if job.is_gone {
            lines.push("its state went with its end".to_string());
        }
        lines.extend(command_of(report).map(|command| format!("command     {command}")));
        let head = Rect { height: (lines.len() as u16 + 1).min(area.height), ..area };
        for (line, row) in lines.iter().zip(head.rows()) {
            self.line(&visible(line), Style::new(), row, buffer);
        }
        let rest = Rect { y: area.y + head.height, height: area.height - head.height, ..area };
        if job.shards > 0 && shard.is_none() {
            self.draw_shards(job, rest, buffer);
        } else if report.running {
            draw_slots(report, rest, buffer);
        }
    }

    /// A row for each shard that has begun, and one for the others.
    fn draw_shards(&self, job: &Job, area: Rect, buffer: &mut Buffer) {
        let row = |report: &StatusReport| {
            let share = report.percent.map(|percent| format!("{percent} %")).unwrap_or_default();
            let left = report.eta_seconds.map(|left| clock(duration(left))).unwrap_or_default();
            let workers = report.workers.map(|workers| workers.to_string()).unwrap_or_default();
            let holder = report.holder.as_ref();
            Row::new([
                right(&report.shard.unwrap_or_default().to_string(), 5),
                right(&share, 6),
                right(&rate(report), 14),
                right(&left, 8),
                Cell::from(report.phase.clone()).style(self.colour_of(report)),
                right(&workers, 4),
                Cell::from(holder.map(|holder| visible(&holder.host).into_owned()).unwrap_or_default()),
            ])
        };
        let mut rows: Vec<Row<'_>> = job.begun().iter().map(row).collect();
        let mut state = TableState::new();
        state.select(job.begun().iter().position(|report| report.shard == Some(self.shard)));
        if let others @ 1.. = job.shards.saturating_sub(rows.len() as u64) {
            rows.push(Row::new(
                ["", "", "", "", &format!("{others} not begun")].map(|text| Cell::from(text.to_string())),
            ));
        }
        let heads = ["SHARD", " SHARE", "          RATE", "    LEFT", "PHASE", "JOBS", "HOST"];
        let widths = [5, 6, 14, 8, 14, 4].map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
        let table = Table::new(rows, widths)
            .header(Row::new(heads).style(Style::new().add_modifier(Modifier::DIM)))
            .column_spacing(1)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        StatefulWidget::render(table, area, buffer, &mut state);
    }
}

fn draw_slots(report: &StatusReport, area: Rect, buffer: &mut Buffer) {
    let highest = report.at_work.iter().filter_map(|one| one.slot).max().unwrap_or(0);
    let slots = highest.max(report.workers.map_or(0, |workers| workers as usize));
    let mut rows =
        vec![Row::new(["SLOT", "", "   TIME", ""]).style(Style::new().add_modifier(Modifier::DIM))];
    let room = usize::from(area.height).saturating_sub(1);
    let shown = if slots > room { room.saturating_sub(1) } else { slots };
    for slot in 1..=shown {
        let number = right(&slot.to_string(), 4);
        rows.push(match report.at_work.iter().find(|one| one.slot == Some(slot)) {
            Some(one) => Row::new([
                number,
                Cell::from(report.word().name(one.task.saturating_sub(1))),
                right(&clock(duration(one.seconds)), 7),
                Cell::from(visible(&one.note).replace('\n', " ")),
            ]),
            None => Row::new([number, Cell::from("idle")]).style(Style::new().add_modifier(Modifier::DIM)),
        });
    }
    if shown < slots {
        rows.push(Row::new([Cell::from(""), Cell::from(format!("and {} more", slots - shown))]));
    }
    let widths = [Constraint::Length(4), Constraint::Length(12), Constraint::Length(7), Constraint::Fill(1)];
    Widget::render(Table::new(rows, widths).column_spacing(2), area, buffer);
}

/// The command that continues it, or the first of its shards, on one line.
fn command_of(report: &StatusReport) -> Option<String> {
    let of_shards = report.shards.iter().flatten().map(|shard| &shard.continuing);
    let continuing = [&report.continuing].into_iter().chain(of_shards).flatten().next()?;
    Some(visible(&quote::shortened_text(&continuing.command)).replace('\n', " "))
}

fn right(text: &str, width: usize) -> Cell<'static> {
    Cell::from(Text::raw(format!("{text:>width$}")))
}

/// `digest --check` is too long for its column.
fn short_verb(job: &str) -> &str {
    job.split(' ').next().unwrap_or(job)
}

fn rate(report: &StatusReport) -> String {
    match (report.bytes_per_second.filter(|_| report.bytes.done > 0), report.tasks_per_second) {
        (Some(rate), _) => format!("{}/s", size(rate as u64)),
        (None, Some(rate)) => format!("{rate:.1} {}s/s", report.word().singular()),
        (None, None) => String::new(),
    }
}

/// A bar of twenty columns, in ASCII: in a list no finer steps are needed.
fn bar(percent: Option<u64>) -> String {
    let Some(percent) = percent else { return String::new() };
    let full = (percent.min(100) as usize * 18) / 100;
    format!("[{}{}]", "=".repeat(full), " ".repeat(18 - full))
}

/// A duration that another process wrote. It may be any number, and then this is zero.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
