//! What shells, terminals and parents do with a job: `fg`, `bg`, `kill %1`, a closed window,
//! `nohup`, `setsid`, `&` in a script, `timeout`, process 1 of a container.
//!
//! The program alone decides none of this. Each of these sends its own mixture of HUP, TERM, CONT and
//! TSTP, or starts the program with some signals ignored, or in a process group that no process could
//! continue. So these tests use the real thing, bash and dash on a real pseudo-terminal
//! ([`crate::tty`]), and after each the same command again must give the right bytes.

use crate::harness::{Bivouac, World};
use crate::jobs::{BRAKED, GREP, SLOW, brake, let_go};
use crate::running::{DEADLINE, Running};
use crate::tty::{CTRL_C, CTRL_Z, Lifeline, Shell, Terminal};
use nix::sys::signal::Signal::{self, SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Generous, for a machine that does a hundred other things; measured it takes milliseconds.
const AT_ONCE: Duration = Duration::from_secs(1);

fn line(options: &str) -> String {
    line_at(SLOW, options)
}

fn line_at(pace: &str, options: &str) -> String {
    format!("bivouac {} {pace} {options} {}", GREP.arguments, Lifeline::REDIRECTION)
}

/// A job in the foreground, with a checkpoint behind it. It says on the screen what happens, and draws no line.
fn at_work(world: &World, shell: Shell) -> (Terminal, Lifeline) {
    let life = Lifeline::new(world);
    let terminal = Terminal::with(world, shell)
        .types(&line("--verbose --progress never"))
        .until("bivouac: checkpoint at ");
    (terminal, life)
}

fn suspended(terminal: Terminal) -> Terminal {
    terminal.presses(CTRL_Z).until("Stopped").until("prompt> ")
}

/// What was interrupted goes on and gives the right bytes.
fn resumes(world: &World) {
    GREP.expect_interrupted_state(world);
    GREP.command(world).run().expect_code(0);
    GREP.expect_right_output(world);
}

#[test]
fn ctrl_z_and_fg_and_once_more() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        brake(&world);
        let _life = Lifeline::new(&world);
        let mut terminal = Terminal::with(&world, shell)
            .types(&line_at(BRAKED, "--verbose --progress never"))
            .until("bivouac: checkpoint at ");
        for _ in 0..2 {
            terminal = suspended(terminal).types("fg").until("phase running").until("checkpoint at ");
        }
        let_go(&world);
        drop(terminal.until("prompt> ").until_status(0));
        GREP.expect_right_output(&world);
    });
}

#[test]
fn ctrl_z_and_bg_goes_on_without_drawing_and_fg_draws_again() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let life = Lifeline::new(&world);
        let drawn = "elapsed";
        let terminal = Terminal::with(&world, shell)
            .types(&line("--verbose --progress always --limit-rate 1MiB"))
            .until(drawn);
        let mut terminal = suspended(terminal).types("bg").until("phase running");
        let mark = terminal.mark();
        // Thirty checkpoints, 20 ms apart and more: a line that is drawn would have been drawn often.
        for _ in 0..30 {
            terminal = terminal.until("bivouac: checkpoint at ");
        }
        let shown = terminal.since(mark);
        assert!(!shown.contains(drawn), "drawn in the background: {}", shown.escape_debug());
        // In the foreground it belongs to the person again.
        let terminal = terminal.brings_to_the_foreground("fg").until(drawn).presses(CTRL_C);
        let terminal = terminal.until("prompt> ").until_status(130);
        expect_clean(&terminal);
        life.until_gone();
        resumes(&world);
    });
}

/// The cursor is visible, and nothing of the line stands in the row of the prompt.
fn expect_clean(terminal: &Terminal) {
    let shown = &terminal.seen;
    assert!(
        shown.rfind("\u{1b}[?25l") <= shown.rfind("\u{1b}[?25h"),
        "the cursor was left hidden:\n{}",
        shown.escape_debug()
    );
    for (at, _) in shown.match_indices("prompt> ") {
        let row = shown[..at].rsplit('\n').next().unwrap();
        // What stands before the last return or erasure of the row is not to be seen any more.
        let visible = row.rsplit(['\r']).next().unwrap().rsplit("\u{1b}[2K").next().unwrap();
        assert!(!visible.contains("elapsed"), "half a line before the prompt: {}", row.escape_debug());
    }
}

#[test]
fn ctrl_z_leaves_the_terminal_clean() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let _life = Lifeline::new(&world);
        let terminal = Terminal::with(&world, shell).types(&line("--progress always")).until("elapsed");
        let terminal = suspended(terminal);
        expect_clean(&terminal);
        let terminal = terminal.types("fg").until("elapsed").presses(CTRL_C).until("prompt> ");
        expect_clean(&terminal.until_status(130));
        resumes(&world);
    });
}

#[test]
fn kill_by_job_number_ends_a_job_in_the_background() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let (terminal, life) = at_work(&world, shell);
        let terminal = suspended(terminal).types("bg").until("phase running").until("checkpoint at ");
        drop(terminal.types("kill %1; wait %1").until("SIGTERM (from pid").until_status(143));
        life.until_gone();
        resumes(&world);
    });
}

#[test]
fn kill_by_job_number_ends_a_suspended_job() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let (terminal, life) = at_work(&world, shell);
        let terminal = suspended(terminal).types("kill %1");
        // bash sends CONT behind the TERM; under dash the job ends as soon as it is continued.
        let terminal = match shell {
            Shell::Bash => terminal,
            Shell::Dash => terminal.types("fg"),
        };
        let terminal = terminal.until("SIGTERM (from pid");
        life.until_gone();
        drop(terminal);
        resumes(&world);
    });
}

#[test]
fn ctrl_c_right_after_fg_stops() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let (terminal, life) = at_work(&world, shell);
        // As soon as the job has the terminal, which is before the shell has even continued it.
        let terminal = suspended(terminal).brings_to_the_foreground("fg").presses(CTRL_C);
        drop(terminal.until("SIGINT (from the kernel").until("prompt> ").until_status(130));
        life.until_gone();
        resumes(&world);
    });
}

#[test]
fn closing_the_terminal_stops_with_a_checkpoint() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let (terminal, life) = at_work(&world, shell);
        terminal.close();
        life.until_gone();
        resumes(&world);
    });
}

#[test]
fn closing_the_terminal_stops_a_suspended_job() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        let (terminal, life) = at_work(&world, shell);
        // The kernel sends HUP and CONT to a group that is stopped and becomes an orphan.
        suspended(terminal).close();
        life.until_gone();
        resumes(&world);
    });
}

/// Started in the background by `before`, the job outlives its terminal and finishes.
fn outlives_its_terminal(shell: Shell, before: &str) {
    let world = GREP.world();
    brake(&world);
    let life = Lifeline::new(&world);
    Terminal::with(&world, shell)
        .types(&format!("{before} {} 2>said &", line_at(BRAKED, "--verbose")))
        .until("prompt> ")
        .types("until grep -q 'checkpoint at' said; do :; done; echo at'_'work")
        .until("at_work")
        .close();
    assert!(!life.is_gone(), "it ended with its terminal:\n{}", said(&world));
    let_go(&world);
    life.until_gone();
    assert!(said(&world).contains("phase finishing"), "{}", said(&world));
    // Nothing is left to be resumed.
    GREP.expect_right_output(&world);
}

fn said(world: &World) -> String {
    String::from_utf8_lossy(&world.read("said")).into_owned()
}

#[test]
fn under_nohup_it_outlives_the_terminal() {
    Shell::under_both(|shell| outlives_its_terminal(shell, "nohup"));
}

#[test]
fn under_setsid_it_outlives_the_terminal() {
    Shell::under_both(|shell| outlives_its_terminal(shell, "setsid"));
}

#[test]
fn in_the_background_of_a_script_int_and_quit_stay_ignored_and_term_stops() {
    Shell::under_both(|shell| {
        let world = GREP.world();
        world.write(
            "script",
            format!(
                "bivouac {} {SLOW} --verbose &\njob=$!\necho \"job $job.\"\nwait $job\necho \"status $?.\"\n",
                GREP.arguments
            ),
        );
        let name = if shell == Shell::Bash { "bash" } else { "dash" };
        let run = world.program(&[name, "script"]).start().until("job ");
        let job = number_behind(run.said(), "job ");
        let run = run.until("checkpoint at ");
        // The script has not waited for it to the end, so the number is still its.
        for ignored in [SIGINT, SIGQUIT] {
            kill(job, ignored).unwrap();
        }
        kill(job, SIGUSR1).unwrap();
        let run = run.until("status: running").until("checkpoint at ");
        kill(job, SIGTERM).unwrap();
        run.until("SIGTERM (from pid").until("status 143.").wait().expect_code(0);
        resumes(&world);
    });
}

fn number_behind(text: &str, word: &str) -> Pid {
    let digits = text.rsplit(word).next().unwrap().split('.').next().unwrap();
    Pid::from_raw(digits.parse().unwrap_or_else(|_| panic!("no number behind “{word}” in {text}")))
}

/// Ended by `timeout`, which may deliver the signal to the child and to the group, and CONT with it.
fn times_out(options: &str, signal: &str) {
    let world = GREP.world();
    let ended = GREP.slow(&world).under(&format!("timeout {options}")).run().expect_code(124);
    assert!(ended.advertised().is_some(), "no command that continues: {}", ended.stderr);
    drop(ended.expect_says(signal).expect_says("phase stopping").expect_says_not("phase aborting"));
    resumes(&world);
}

#[test]
fn timeout_is_one_stop() {
    times_out("1", "SIGTERM (from pid");
}

#[test]
fn timeout_with_another_signal_is_one_stop() {
    times_out("-s INT 1", "SIGINT (from pid");
}

#[test]
fn timeout_in_the_foreground_is_one_stop() {
    times_out("--foreground 1", "SIGTERM (from pid");
}

#[test]
fn timeout_with_a_kill_behind_it_is_not_needed() {
    times_out("-k 20 1", "SIGTERM (from pid");
}

#[test]
fn timeout_kills_what_may_take_for_ever_and_the_checkpoint_stands() {
    let world = GREP.world();
    // At this rate a task takes hours, and with this grace it may. `timeout` dies as its child did.
    let patient = "--limit-rate 1KiB --grace inf --jobs 2 --checkpoint-every 20ms";
    let run = GREP.command(&world).with(patient).under("timeout -k 0.5 1").start();
    run.until("phase stopping").wait().expect_killed_by(SIGKILL);
    resumes(&world);
}

/// Process 1 of a pid namespace, or nothing where the kernel does not let us make one.
fn as_process_one<'w>(job: &Bivouac<'w>) -> Option<Running<'w>> {
    let wrapper = namespace()?;
    Some(job.clone().under(wrapper).start())
}

/// How to become process 1: as root, or as root of a user namespace of one's own.
pub(crate) fn namespace() -> Option<&'static str> {
    let ways = [
        "unshare --pid --fork --mount-proc --kill-child",
        "unshare --user --map-root-user --pid --fork --mount-proc --kill-child",
    ];
    let found = ways.into_iter().find(|way| {
        let words: Vec<&str> = way.split(' ').collect();
        let quiet = || Stdio::null();
        let tried =
            Command::new(words[0]).args(&words[1..]).arg("true").stdout(quiet()).stderr(quiet()).status();
        tried.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        say("SKIPPED: the kernel lets us make no pid namespace, so nothing is shown about process 1");
    }
    found
}

/// Past libtest, which shows what a test prints only when it fails.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

/// `unshare` waits for process 1 of the new namespace, which is its only child.
pub(crate) fn only_child(of: Pid) -> Pid {
    let end = Instant::now() + DEADLINE;
    loop {
        let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
        if let Some(child) = children.split_whitespace().next() {
            return Pid::from_raw(child.parse().unwrap());
        }
        assert!(Instant::now() < end, "{of} has no child");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn as_process_one_a_stop_ends_with_128_and_the_number() {
    for (signal, code) in [(SIGTERM, 143), (SIGINT, 130), (SIGQUIT, 131)] {
        let world = GREP.world();
        // For process 1 the kernel skips default actions, so death by the signal is not to be had.
        let Some(run) = as_process_one(&GREP.slow(&world)) else { return };
        let run = run.until_checkpoint_at_least(1);
        kill(only_child(run.pid()), signal).unwrap();
        run.wait().expect_code(code);
        resumes(&world);
    }
}

#[test]
fn as_process_one_a_suspension_is_a_pause() {
    let world = GREP.world();
    let Some(run) = as_process_one(&GREP.braked(&world)) else { return };
    let run = run.until_checkpoint_at_least(1);
    let one = only_child(run.pid());
    kill(one, SIGTSTP).unwrap();
    let run =
        run.until("phase paused").until("not suspended").without_checkpoint_for(Duration::from_millis(300));
    kill(one, SIGCONT).unwrap();
    let run = run.until("phase running").until_further_checkpoint();
    world.write("brake.toml", "");
    kill(one, Signal::SIGPWR).unwrap();
    run.wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn in_an_orphaned_group_a_suspension_is_a_pause_and_the_way_out_is_named() {
    let world = GREP.world();
    let run = GREP.braked(&world).under("setsid").start().until_checkpoint_at_least(1).signal(SIGTSTP);
    let way_out = format!("kill -CONT {}", run.pid());
    run.until(&way_out)
        .signal(SIGCONT)
        .until("phase running")
        .until_further_checkpoint()
        .let_go()
        .wait()
        .expect_code(0);
    GREP.expect_right_output(&world);
}

/// How long from the signal to state T as the parent sees it (`WUNTRACED`).
fn expect_suspension_at_once(run: Running<'_>) -> Running<'_> {
    let sent = Instant::now();
    let run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP);
    let took = sent.elapsed();
    assert!(took < AT_ONCE, "the suspension took {took:?}");
    // And `WCONTINUED`.
    run.signal(SIGCONT).until_continued()
}

#[test]
fn a_suspension_waits_for_no_task() {
    // One that waits for its turn under a rate limit, for hours.
    let world = GREP.world();
    let run = GREP.command(&world).with("--limit-rate 1KiB --jobs 2").start().until_at_work();
    expect_suspension_at_once(run).until("phase running").signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    // One that never looks up.
    let run = crate::stubborn::start(&world).until("at work");
    expect_suspension_at_once(run).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
}

#[test]
fn the_clock_of_work_does_not_count_the_suspension() {
    let world = GREP.world();
    let apart = Duration::from_millis(1500);
    let began = Instant::now();
    let run = GREP.command(&world).with("--limit-rate 64KiB --jobs 2").start().until_at_work();
    let run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP);
    let run = run.let_pass(apart).signal(SIGCONT).until_continued().until("phase running");
    let run = run.signal(SIGUSR1).until("status: ");
    let worked = worked_in(run.said());
    let most = began.elapsed() - apart;
    assert!(worked <= most, "worked {worked:?}, of at most {most:?}");
    // And neither does a stop that nobody announced, if it is longer than a busy machine may delay
    // the supervisor.
    let unannounced = Duration::from_millis(2500);
    let run = run.signal(Signal::SIGSTOP).until_suspended_by(Signal::SIGSTOP);
    let run = run.let_pass(unannounced).signal(SIGCONT).until_continued();
    let run = run.signal(SIGUSR1).until("status: ");
    let worked = worked_in(run.said());
    let most = began.elapsed() - apart - unannounced;
    assert!(worked <= most, "worked {worked:?}, of at most {most:?}");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    resumes(&world);
}

/// The 1.2 s of `status: …, worked 1.2 s, …`.
fn worked_in(said: &str) -> Duration {
    let status = said.lines().rev().find(|line| line.contains("worked ")).unwrap();
    let rest = status.split("worked ").nth(1).unwrap().split(',').next().unwrap();
    let (number, unit) = rest.split_once(' ').unwrap();
    let number: f64 = number.parse().unwrap();
    match unit {
        "s" => Duration::from_secs_f64(number),
        "ms" => Duration::from_secs_f64(number / 1000.0),
        "µs" => Duration::from_secs_f64(number / 1_000_000.0),
        _ => panic!("in what unit is {rest}?"),
    }
}

/// A stop that is suspended goes on with what was left of its grace. The wait is longer than the grace.
#[test]
fn a_suspension_in_the_midst_of_a_stop_takes_nothing_off_the_grace() {
    let world = World::new();
    world.write("held", "until [ -e go ]; do sleep 0.02; done\n");
    let run = world.bivouac("each --grace 8s -o out sh held ::: a b").start().until_at_work();
    let run = run.signal(SIGTERM).until("phase stopping").signal(SIGTSTP).until_suspended_by(SIGTSTP);
    let run = run.let_pass(Duration::from_secs(9)).signal(SIGCONT).until_continued();
    world.write("go", "");
    run.wait().expect_code(0);
}
