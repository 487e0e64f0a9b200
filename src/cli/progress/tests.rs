//! The line and the messages, on a terminal that is made of memory.

use super::*;
use crate::cli::terminal::tests::Tty;
use bivouac::Activity;
use bivouac::Error;

fn args(progress: ShowProgress) -> MessageArgs {
    MessageArgs {
        progress,
        bar: false,
        color: When::Never,
        quiet: false,
        verbose: false,
        metrics: None,
        metrics_listen: None,
        log_file: None,
        log_format: None,
        log_level: None,
    }
}

fn wide() -> Window {
    Window { columns: 200, rows: 24, ours: true }
}

fn watch(args: &MessageArgs, terminal: bool, window: fn() -> Window) -> (Watch<Tty>, Tty) {
    let tty = Tty::default();
    (Watch::new(args, tty.outlet(), terminal, window), tty)
}

fn half_done() -> Progress {
    Progress {
        bytes: 512 << 20,
        bytes_before: 256 << 20,
        bytes_total: Some(1 << 30),
        in_flight: 2,
        worked: Duration::from_secs(16),
        bytes_per_second: Some((16 << 20) as f64),
        left: Some(Duration::from_secs(32)),
        ..Progress::default()
    }
}

/// What stands on the screen in the end, as far as carriage returns and cleared lines go.
fn rows(written: &str) -> Vec<String> {
    written
        .split('\n')
        .map(|row| {
            let row = row.rsplit("\x1b[2K").next().unwrap_or_default();
            row.rsplit('\r').next().unwrap_or_default().trim_end_matches("\x1b[K").trim_end().to_string()
        })
        .collect()
}

#[test]
fn a_plain_line_says_phase_share_amount_rate_times_and_tasks() {
    assert_eq!(
        row::plain(&half_done(), TaskWord::Task),
        "running  50 %  512.0 MiB of 1.0 GiB  16.0 MiB/s  0:16 elapsed  0:32 left  2 in flight"
    );
    let paused = Progress { phase: Activity::Paused, failed: 3, in_flight: 1, ..half_done() };
    assert_eq!(
        row::plain(&paused, TaskWord::Task),
        "paused  50 %  512.0 MiB of 1.0 GiB  0:16 elapsed  1 in flight  3 failed"
    );
    let tasks = Progress { frontier: 3, tasks: Some(64), ..Progress::default() };
    assert_eq!(row::plain(&tasks, TaskWord::Task), "running  4 %  3 of 64 tasks  0:00 elapsed  0 in flight");
}

/// The row in a window of so many columns, four of which stay free.
fn row_in(now: &Progress, columns: u16, look: Look) -> String {
    row::row(now, TaskWord::Task, usize::from(columns - ECHO), look, &mut 0)
}

const UNICODE: Look = Look { colour: false, unicode: true };

#[test]
fn fields_leave_a_window_that_becomes_narrower_one_by_one() {
    let failed = Progress { failed: 3, ..half_done() };
    for (columns, expected) in [
        (
            132,
            "running  50 %  ━━━━━━━━━━━━━━━━━━━━────────────────────  512.0 MiB of 1.0 GiB  16.0 MiB/s  0:16 elapsed  0:32 left  2 in flight",
        ),
        (
            120,
            "running  50 %  ━━━━━━━━━━━━━━╸──────────────  512.0 MiB of 1.0 GiB  16.0 MiB/s  0:16 elapsed  0:32 left  2 in flight",
        ),
        (80, "50 %  ━━━━━╸─────  512.0 MiB of 1.0 GiB  16.0 MiB/s  0:16 elapsed  0:32 left"),
        (40, "50 %  ━━━━━━━━━╸─────────  0:32 left"),
        (20, "50 %  ━━━━━─────"),
        (10, "50 %"),
        (7, ""),
    ] {
        assert_eq!(row_in(&half_done(), columns, UNICODE), expected, "{columns}");
    }
    assert_eq!(row_in(&failed, 40, UNICODE), "50 %  ━━━━╸────  0:32 left  3 failed");
    assert_eq!(row_in(&failed, 31, UNICODE), "50 %  ━━━━━╸─────  3 failed");
    let paused = Progress { phase: Activity::Paused, ..half_done() };
    assert_eq!(row_in(&paused, 20, UNICODE), "paused  50 %");
    for columns in 8..200 {
        let row = row_in(&failed, columns, UNICODE);
        assert!(row.chars().count() <= usize::from(columns - ECHO), "{columns}: {row}");
        assert!(row.contains("50 %"), "{columns}: {row}");
    }
}

#[test]
fn the_bar_has_a_colour_where_the_terminal_has_it_and_ascii_where_it_has_no_more() {
    assert_eq!(row_in(&half_done(), 20, Look::default()), "50 %  [====>   ]");
    let coloured = row_in(&half_done(), 20, Look { colour: true, unicode: true });
    assert_eq!(coloured, "\x1b[1m50 %\x1b[0m  \x1b[36m━━━━━\x1b[0m\x1b[2m━━━━━\x1b[0m");
    let done = Progress { bytes: 1 << 30, ..half_done() };
    assert_eq!(row_in(&done, 20, Look::default()), "100 %  [=======]");
}

#[test]
fn an_amount_that_becomes_longer_does_not_move_the_bar_to_and_fro() {
    let mut bar = 0;
    let mut at = |bytes| {
        let now = Progress { bytes, ..half_done() };
        row::row(&now, TaskWord::Task, 90, UNICODE, &mut bar);
        bar
    };
    let first = at(512 << 20);
    assert_eq!((at(9 << 20), at(512 << 20), at(99 << 20)), (first, first, first));
}

#[test]
fn with_slots_each_has_a_row_with_what_runs_in_it() {
    let at_work = |task, slot, seconds, note: &str| bivouac::AtWork {
        task,
        slot,
        since: Duration::from_secs(seconds),
        note: note.to_string(),
    };
    let now = Progress {
        at_work: vec![
            at_work(8, Some(1), 3, "a\x1b[2Jb"),
            at_work(9, Some(3), 65, "a long name of a picture.tiff"),
            at_work(7, None, 1, "held"),
        ],
        ..half_done()
    };
    let slots = |rows| row::slots(&now, TaskWord::Item, 4, (36, rows), UNICODE);
    let expected =
        [" 1  item 9    0:03  a\\x1b[2Jb", " 2  idle", " 3  item 10   1:05  a long name of …", " 4  idle"];
    assert_eq!(slots(22), expected);
    assert_eq!(slots(3), [expected[0], expected[1], "   and 2 more slots, 1 busy"]);
    assert_eq!(slots(0), Vec::<String>::new());
}

#[test]
fn the_line_is_drawn_in_place_and_gone_in_the_end() {
    let (mut watch, tty) = watch(&args(ShowProgress::Auto), true, wide);
    watch.progress(&half_done());
    watch.progress(&half_done());
    assert!(rows(&tty.seen())[0].starts_with("running  50 %"), "{:?}", tty.seen());
    assert_eq!(rows(&tty.seen()).len(), 1);
    drop(watch);
    assert_eq!(rows(&tty.seen()), [""]);
    assert!(!tty.seen().contains("\x1b[?25l"), "the cursor is never hidden");
}

#[test]
fn messages_stand_above_the_line() {
    let (mut watch, tty) = watch(&args(ShowProgress::Auto), true, wide);
    watch.progress(&half_done());
    watch.notice(&Notice::Input("f: grew".to_string()));
    watch.progress(&half_done());
    let rows = rows(&tty.seen());
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0], "bivouac: f: grew");
    assert!(rows[1].starts_with("running"), "{rows:?}");
}

#[test]
fn leaving_the_terminal_clears_it_and_coming_back_draws_again() {
    let (mut watch, tty) = watch(&args(ShowProgress::Auto), true, wide);
    watch.progress(&half_done());
    watch.leave_terminal();
    assert_eq!(rows(&tty.seen()), [""]);
    watch.progress(&half_done());
    assert!(rows(&tty.seen())[0].starts_with("running"));
}

#[test]
fn a_line_never_wraps() {
    let (mut watch, tty) =
        watch(&args(ShowProgress::Auto), true, || Window { columns: 20, rows: 24, ours: true });
    watch.progress(&half_done());
    for frame in tty.seen().split(['\r', '\n']) {
        assert!(frame.replace("\x1b[K", "").chars().count() < 20, "{frame:?}");
    }
    assert!(tty.seen().contains("50 %  [====>   ]"), "{:?}", tty.seen());
}

#[test]
fn in_the_background_nothing_is_drawn_and_messages_are_still_said() {
    let (mut watch, tty) =
        watch(&args(ShowProgress::Always), true, || Window { columns: 80, rows: 24, ours: false });
    watch.progress(&half_done());
    assert_eq!(tty.seen(), "");
    watch.notice(&Notice::Input("f: grew".to_string()));
    assert_eq!(tty.seen(), "bivouac: f: grew\n");
}

#[test]
fn a_held_terminal_holds_nobody_up() {
    let (mut watch, tty) = watch(&args(ShowProgress::Auto), true, wide);
    watch.progress(&half_done());
    tty.hold(true);
    // The terminal in these tests panics when it is written to while it is held.
    for _ in 0..100 {
        watch.progress(&half_done());
        watch.notice(&Notice::Input("f: grew".to_string()));
    }
    watch.leave_terminal();
    tty.hold(false);
    watch.progress(&half_done());
    let rows = rows(&tty.seen());
    assert_eq!(rows.iter().filter(|row| *row == "bivouac: f: grew").count(), 100);
    assert!(rows.last().unwrap().starts_with("running"));
}

#[test]
fn without_a_terminal_there_are_only_plain_lines() {
    let (mut silent, tty) = watch(&args(ShowProgress::Auto), false, wide);
    silent.progress(&half_done());
    silent.notice(&Notice::Warning(Error::broken("x", "odd")));
    drop(silent);
    assert_eq!(tty.seen(), "bivouac: warning: x: odd\n");

    let (mut plain, tty) = watch(&args(ShowProgress::Always), false, wide);
    for tenths in 0..=110 {
        plain.progress(&Progress { worked: Duration::from_millis(tenths * 100), ..half_done() });
    }
    drop(plain);
    let lines: Vec<_> = tty.seen().lines().map(str::to_string).collect();
    assert_eq!(lines.len(), 2, "one for every five seconds of work: {lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("bivouac: running  50 %")), "{lines:?}");
}

#[test]
fn quiet_and_verbose_choose_what_is_said() {
    let said = |quiet, verbose| {
        let (mut watch, tty) =
            watch(&MessageArgs { quiet, verbose, ..args(ShowProgress::Always) }, false, wide);
        watch.notice(&Notice::Ready { workers: 2 });
        watch.notice(&Notice::Resumed { frontier: 3, ahead: 0, tasks: Some(64) });
        watch.notice(&Notice::TaskFailed { task: 7, why: "no".to_string() });
        watch.progress(&half_done());
        drop(watch);
        tty.seen().lines().count()
    };
    assert_eq!((said(true, false), said(false, false), said(false, true)), (1, 3, 4));
}

#[test]
fn the_line_and_the_status_file_give_the_same_rate_and_time() {
    let now = half_done();
    let live = bivouac::status_file::StatusFile::of(&now, std::time::SystemTime::now());
    assert_eq!((live.eta_seconds, live.bytes_per_second), (Some(32.0), now.bytes_per_second));
    let line = row::plain(&now, TaskWord::Task);
    assert!(line.contains("  16.0 MiB/s  ") && line.contains("  0:32 left"), "{line}");
}
