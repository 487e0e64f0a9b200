//! The line and the messages, on a terminal that is made of memory.

use super::*;
use crate::cli::terminal::tests::Tty;
use bivouac::Error;

fn args(progress: When) -> MessageArgs {
    MessageArgs { progress, quiet: false, verbose: false, log_file: None, log_format: None, log_level: None }
}

fn wide() -> Window {
    Window { columns: 200, ours: true }
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
fn the_line_says_phase_share_amount_rate_time_and_tasks() {
    assert_eq!(
        line(&half_done(), TaskWord::Task),
        "running  50 %  512.0 MiB of 1.0 GiB  16.0 MiB/s  0:32 left  2 tasks in flight"
    );
    let paused = Progress { phase: Activity::Paused, failed: 3, in_flight: 1, ..half_done() };
    assert_eq!(
        line(&paused, TaskWord::Task),
        "paused  50 %  512.0 MiB of 1.0 GiB  1 task in flight  3 failed"
    );
    let tasks = Progress { frontier: 3, tasks: Some(64), ..Progress::default() };
    assert_eq!(line(&tasks, TaskWord::Task), "running  4 %  3 of 64 tasks  0 tasks in flight");
}

#[test]
fn the_line_is_drawn_in_place_and_gone_in_the_end() {
    let (mut watch, tty) = watch(&args(When::Auto), true, wide);
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
    let (mut watch, tty) = watch(&args(When::Auto), true, wide);
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
    let (mut watch, tty) = watch(&args(When::Auto), true, wide);
    watch.progress(&half_done());
    watch.leave_terminal();
    assert_eq!(rows(&tty.seen()), [""]);
    watch.progress(&half_done());
    assert!(rows(&tty.seen())[0].starts_with("running"));
}

#[test]
fn a_line_never_wraps() {
    let (mut watch, tty) = watch(&args(When::Auto), true, || Window { columns: 20, ours: true });
    watch.progress(&half_done());
    for frame in tty.seen().split(['\r', '\n']) {
        assert!(frame.replace("\x1b[K", "").chars().count() < 20, "{frame:?}");
    }
    assert!(tty.seen().contains("running  50 %"), "{:?}", tty.seen());
}

#[test]
fn in_the_background_nothing_is_drawn_and_messages_are_still_said() {
    let (mut watch, tty) = watch(&args(When::Always), true, || Window { columns: 80, ours: false });
    watch.progress(&half_done());
    assert_eq!(tty.seen(), "");
    watch.notice(&Notice::Input("f: grew".to_string()));
    assert_eq!(tty.seen(), "bivouac: f: grew\n");
}

#[test]
fn a_held_terminal_holds_nobody_up() {
    let (mut watch, tty) = watch(&args(When::Auto), true, wide);
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
    let (mut silent, tty) = watch(&args(When::Auto), false, wide);
    silent.progress(&half_done());
    silent.notice(&Notice::Warning(Error::broken("x", "odd")));
    drop(silent);
    assert_eq!(tty.seen(), "bivouac: warning: x: odd\n");

    let (mut plain, tty) = watch(&args(When::Always), false, wide);
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
        let (mut watch, tty) = watch(&MessageArgs { quiet, verbose, ..args(When::Always) }, false, wide);
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
    assert!(line(&now, TaskWord::Task).contains("16.0 MiB/s  0:32 left"), "{}", line(&now, TaskWord::Task));
}
