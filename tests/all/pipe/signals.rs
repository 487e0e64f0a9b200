//! After each signal: the right bytes in the end, no process left, and the state free.

use super::{
    HALF_WAY, HELD_TR, abort, again, again_when_free, children_in, expect_bytes, expect_nobody_left,
    half_way, held, job, met_after, open_all, open_to, pipe, resumes, resumes_tr, until,
    until_all_stand_still, until_nobody_is_left,
};
use crate::harness::World;
use crate::running::{BEYOND_DEBOUNCE, Running};
use nix::sys::signal::Signal::{
    SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGXCPU,
};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn each_stop_lets_the_chunks_at_work_finish() {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let world = super::world();
        let run = half_way(&world, &HELD_TR).signal(signal).until("phase stopping");
        open_all(&world);
        let ended = run.wait().expect_stopped_by(signal);
        assert_eq!(ended.last_checkpoint(), u64::from(HALF_WAY) + 2);
        expect_nobody_left(&world);
        resumes_tr(&world);
    }
}

#[test]
fn a_warning_of_a_batch_system_and_the_end_of_the_time_end_with_75() {
    for signal in [SIGUSR2, SIGXCPU] {
        let world = super::world();
        let run = half_way(&world, &HELD_TR).signal(signal).until("phase stopping");
        open_all(&world);
        run.wait().expect_code(75);
        expect_nobody_left(&world);
        resumes_tr(&world);
    }
    let world = super::world();
    for chunk in [2, 4, 6] {
        open_to(&world, chunk);
        job(&world, "--max-runtime 500ms --grace 0s", &HELD_TR).run().expect_code(75);
        expect_nobody_left(&world);
    }
    resumes_tr(&world);
}

#[test]
fn an_abort_ends_the_commands_and_what_they_did_does_not_count() {
    let world = super::world();
    abort(half_way(&world, &HELD_TR)).wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    resumes_tr(&world);
}

#[test]
fn quit_and_the_third_signal_leave_nobody() {
    let world = super::world();
    half_way(&world, &HELD_TR).signal(SIGQUIT).wait().expect_killed_by(SIGQUIT);
    until_nobody_is_left(&world);
    resumes_tr(&world);
    // A command that takes no notice holds up the abort, and then the third signal comes.
    let world = super::world();
    let lingering = ["bash", "-c", "trap '' TERM INT HUP; cat; if test -e linger; then sleep 20; fi"];
    world.write("linger", "");
    let run = again(&world, &lingering).start().until("ready");
    until("commands at work", || children_in(&world).iter().any(|child| child.line.starts_with("sleep")));
    let run = abort(run).let_pass(BEYOND_DEBOUNCE);
    run.signal(SIGTERM).wait().expect_killed_by(SIGTERM);
    until_nobody_is_left(&world);
    std::fs::remove_file(world.path("linger")).unwrap();
    resumes(&world, &lingering, "cat big.txt");
}

/// Does not end of SIGTERM, nor at once of a closed input.
const DEAF: [&str; 3] = ["bash", "-c", concat!("trap '' TERM INT HUP; ", held!("cat; sleep 0.3"))];

#[test]
fn a_command_that_ignores_the_end_is_killed() {
    let world = super::world();
    let options = "big.txt -o out --grace 100ms --kill-after 300ms --block 256KiB --checkpoint-every 20ms";
    let run = pipe(&world, options, &["bash", "-c", "trap '' TERM; cat; while :; do sleep 1; done"]).start();
    let run = run.until("ready");
    until("commands at work", || !children_in(&world).is_empty());
    let begin = Instant::now();
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    expect_nobody_left(&world);
}

/// The lines wait in a pipe by the hundred thousand, and nobody has to hear them before it ends.
#[test]
fn a_command_that_complains_without_an_end_holds_nobody_up() {
    let world = super::world();
    for command in ["exec yes >&2", "yes >&2 & cat; exit 0"] {
        let options = "big.txt -o out --fresh --grace 100ms --kill-after 20s";
        // Whose line comes first is open: `yes` may begin when its task is over.
        let run = pipe(&world, options, &["sh", "-c", command]).start().until(": y");
        let begin = Instant::now();
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        assert!(begin.elapsed() < Duration::from_secs(10), "{command}: {:?}", begin.elapsed());
        expect_nobody_left(&world);
    }
}

/// How soon a state is free, and that nobody works on beside the next run.
fn killed_and_again(world: &World, command: &[&str], reference: &str) {
    let run = half_way(world, command);
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    again_when_free(world, command).expect_code(0);
    expect_bytes(world, &world.shell(reference));
    until_nobody_is_left(world);
}

#[test]
fn after_kill_no_command_is_left_and_the_state_is_free_soon() {
    killed_and_again(&super::world(), &HELD_TR, "tr a-z A-Z <big.txt");
}

#[test]
fn after_kill_no_deaf_command_and_no_descendant_is_left() {
    killed_and_again(&super::world(), &DEAF, "cat big.txt");
    // One that ends well leaves nobody: that would be none of ours.
    let families = concat!(
        "setsid sleep 1000 >/dev/null 2>&1 & (sleep 1000 >/dev/null 2>&1 & echo $! >orphan.$$); ",
        held!("cat; kill $! $(cat orphan.$$)")
    );
    let world = super::world();
    let run = half_way(&world, &["bash", "-c", families]);
    until("two families", || super::everybody_named(&world, "sleep 1000") >= 4);
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    until_nobody_is_left(&world);
}

/// Its own child that carries no name of a run.
fn watcher_of(run: &Running<'_>) -> Option<Pid> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut watchers = processes.filter(|process| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(1)?.parse().ok());
        line.starts_with(b"bivouac\0__watch\0") && parent == Some(run.pid().as_raw())
    });
    let pid = watchers.next()?.file_name()?.to_str()?.parse().ok()?;
    Some(Pid::from_raw(pid))
}

#[test]
fn a_watcher_that_is_killed_is_missed_once_and_the_job_goes_on() {
    let world = super::world();
    let run = half_way(&world, &HELD_TR);
    kill(watcher_of(&run).unwrap(), SIGKILL).unwrap();
    let run = run.until("watcher: was killed");
    open_all(&world);
    let ended = run.wait().expect_code(0);
    assert_eq!(ended.stderr.matches("watcher: was killed").count(), 1, "{}", ended.stderr);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
}

/// Whose working directory is that of the test, whatever the environment.
fn at_home(world: &World) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let here =
        processes.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|at| at == world.root()));
    here.filter_map(|process| fs::read(process.join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| !line.is_empty())
        .collect()
}

/// Nothing in its environment says whose it is; its group does, and that of what it has started.
#[test]
fn after_kill_no_command_without_our_mark_is_left() {
    let world = super::world();
    let unmarked = ["env", "-i", "/bin/sh", "-c", "/bin/sleep 1000 & exec /bin/sleep 1000"];
    let run = pipe(&world, "big.txt -o out --jobs 2 --block 1MiB", &unmarked).start().until("ready");
    until("two families", || {
        at_home(&world).iter().filter(|line| line.starts_with("/bin/sleep")).count() == 4
    });
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    until("all to be gone", || at_home(&world).is_empty());
    until_nobody_is_left(&world);
}

#[test]
fn an_abort_ends_whole_families() {
    let world = super::world();
    let family = concat!(
        "sleep 1000 >/dev/null 2>&1 & a=$!; setsid sleep 1000 >/dev/null 2>&1 & ",
        held!("cat; kill $a $!")
    );
    let run = half_way(&world, &["bash", "-c", family]);
    until("two families", || super::everybody_named(&world, "sleep 1000") >= 4);
    abort(run).wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    resumes(&world, &["bash", "-c", family], "cat big.txt");
}

#[test]
fn a_suspension_stops_the_commands_first_and_the_bytes_are_right() {
    for command in [&HELD_TR[..], &["bash", "-c", concat!("trap '' TSTP; ", held!("cat; sleep 0.01"))]] {
        let world = super::world();
        let mut run = half_way(&world, command);
        for round in 1..=3 {
            run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP);
            // All of them were told before, so there is nothing to wait for, but for a moment of the
            // kernel's.
            until_all_stand_still(&world);
            run = run.signal(SIGCONT).until_continued().until("phase running");
            open_to(&world, HALF_WAY + 2 * round);
            run = run.until_checkpoint_at_least((HALF_WAY + 2 * round).into());
        }
        open_all(&world);
        run.wait().expect_code(0);
        let reference = if command == HELD_TR { "tr a-z A-Z <big.txt" } else { "cat big.txt" };
        expect_bytes(&world, &world.shell(reference));
        expect_nobody_left(&world);
    }
}

#[test]
fn a_suspended_job_can_be_stopped_aborted_and_killed() {
    let world = super::world();
    let run = half_way(&world, &HELD_TR).signal(SIGTSTP).until_suspended_by(SIGTSTP);
    let run = run.signal(SIGTERM).signal(SIGCONT).until("phase stopping");
    open_all(&world);
    run.wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    let run = met_after(&world, HALF_WAY + 4, "", &HELD_TR).signal(SIGTSTP).until_suspended_by(SIGTSTP);
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    until_nobody_is_left(&world);
    resumes_tr(&world);
}

#[test]
fn a_status_in_between_changes_nothing() {
    let world = super::world();
    let run = half_way(&world, &HELD_TR).signal(SIGUSR1).until("status:");
    open_all(&world);
    run.wait().expect_code(0);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
    expect_nobody_left(&world);
}
