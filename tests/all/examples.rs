//! The four exercises in `examples/`, in Rust and in Python: each is started as a real process and gets
//! real signals, from a parent that watches it or from the keys of a real terminal, and what it prints is
//! checked. Both languages must pass the same test.

use crate::harness::{BIVOUAC, Bivouac, World, python};
use crate::running::Running;
use crate::tty::{CTRL_C, CTRL_Z, Terminal};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// The program of an example, beside the programs that cargo has built for the tests.
///
/// `cargo test` builds the examples, `cargo test --test all` does not; so that nobody tests
/// yesterday's, its sources are looked at, which cargo lists in a `.d` file.
pub(crate) fn example(name: &str) -> String {
    let program = Path::new(BIVOUAC).with_file_name("examples").join(name);
    let built = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified());
    let remedy = "run `cargo build --examples` (with `--release`, if these are release tests)";
    let made = built(&program).unwrap_or_else(|e| panic!("{}: {e}; {remedy}", program.display()));
    let sources = fs::read_to_string(program.with_extension("d")).unwrap();
    for source in sources.split_whitespace().filter(|word| word.ends_with(".rs")) {
        let changed = built(Path::new(source)).unwrap_or_else(|e| panic!("{source}: {e}; {remedy}"));
        assert!(changed <= made, "{name} is older than {source}; {remedy}");
    }
    program.display().to_string()
}

/// An exercise in one of the languages: the words that start it.
#[derive(Clone, Debug)]
struct Exercise(Vec<String>);

impl Exercise {
    fn in_rust(name: &str) -> Self {
        Self(vec![example(name)])
    }

    fn in_python(name: &str) -> Self {
        let script = format!("{}/examples/python/{name}.py", env!("CARGO_MANIFEST_DIR"));
        Self(vec![python(), script])
    }

    fn run<'w>(&self, world: &'w World, arguments: &[&str]) -> Bivouac<'w> {
        world.program(&self.words(arguments))
    }

    fn words<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        self.0.iter().map(String::as_str).chain(arguments.iter().copied()).collect()
    }
}

/// Tests both programs of an exercise, at the same time. A panic in either fails the test.
fn in_both(name: &str, test: impl Fn(Exercise) + Sync) {
    thread::scope(|scope| {
        let rust = scope.spawn(|| test(Exercise::in_rust(name)));
        let python = scope.spawn(|| test(Exercise::in_python(name)));
        assert!(rust.join().is_ok(), "in Rust; see the panic above");
        assert!(python.join().is_ok(), "in Python; see the panic above");
    });
}

/// The number behind `word` in the last line that has it.
pub(crate) fn number_behind(word: &str, text: &str) -> u64 {
    let line = text.lines().rev().find_map(|line| line.split_once(word));
    let (_, rest) = line.unwrap_or_else(|| panic!("no “{word}” in:\n{text}"));
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn the_timer_counts_and_tells_the_total_on_interrupt() {
    in_both("timer", |timer| {
        let world = World::new();
        let began = Instant::now();
        let ended = timer
            .run(&world, &[])
            .start()
            .until("1 s")
            .until("2 s")
            .signal(Signal::SIGINT)
            .until("Total elapsed time: ")
            .wait()
            .expect_killed_by(Signal::SIGINT);
        let line = ended.stderr.lines().last().unwrap();
        let total: f64 = line.split(' ').nth(3).unwrap().parse().unwrap();
        let most = began.elapsed().as_secs_f64();
        assert!((1.95..=most + 0.05).contains(&total), "{total} s of at most {most} s");
    });
}

#[test]
fn the_timer_hears_ctrl_c_from_a_terminal() {
    in_both("timer", |timer| {
        let world = World::new();
        Terminal::open(&world)
            .types(&timer.words(&[]).join(" "))
            .until("1 s")
            .presses(CTRL_C)
            .until("Total elapsed time: ")
            .until("(SIGINT)")
            .until("prompt> ")
            .until_status(130);
    });
}

#[test]
fn a_custom_signal_is_answered_each_time_and_listening_goes_on() {
    in_both("custom_signal", |listener| {
        for stop in [Signal::SIGTERM, Signal::SIGINT] {
            let world = World::new();
            let mut run = listener.run(&world, &[]).start().until("waiting for SIGUSR1");
            for _ in 0..5 {
                run = run.signal(Signal::SIGUSR1).until("Received custom signal");
            }
            let ended = run.signal(stop).wait().expect_killed_by(stop).expect_says(&format!("{stop}: end"));
            let sender = format!("Received custom signal (from pid {},", std::process::id());
            assert_eq!(ended.stderr.matches(&sender).count(), 5, "{}", ended.stderr);
        }
    });
}

#[test]
fn custom_signals_sent_faster_than_heard_are_fewer_but_never_none() {
    const SENT: usize = 2_000;
    in_both("custom_signal", |listener| {
        let world = World::new();
        let mut run = listener.run(&world, &[]).start().until("waiting for SIGUSR1");
        for _ in 0..SENT {
            run = run.signal(Signal::SIGUSR1);
        }
        let run = run.until("Received custom signal").signal(Signal::SIGTERM);
        let ended = run.wait().expect_killed_by(Signal::SIGTERM);
        let heard = ended.stderr.matches("Received custom signal").count();
        assert!((1..=SENT).contains(&heard), "{heard} of {SENT}");
    });
}

/// How many blocks the tests have: more than two seconds of work.
const BLOCKS: &str = "50";

/// Waits until progress is saved; returns how much.
fn until_saved(mut run: Running<'_>) -> (Running<'_>, u64) {
    loop {
        run = run.until("saved: ");
        let saved = number_behind("saved: ", run.said());
        if saved > 0 {
            return (run, saved);
        }
    }
}

fn long_job_resumes_after(signal: Signal) {
    // What must come out, in either language: the same bytes.
    let undisturbed = World::new();
    let reference = Exercise::in_rust("long_job").run(&undisturbed, &["result", BLOCKS]).start();
    let results = Mutex::new(Vec::new());

    in_both("long_job", |job| {
        let world = World::new();
        let (run, saved) = until_saved(job.run(&world, &["result", BLOCKS]).start());
        let ended = run.signal(signal).wait().expect_killed_by(signal);
        assert!(!world.exists("result"), "a result is never partial");
        if signal == Signal::SIGKILL {
            assert!(!ended.stderr.contains("stopped, "), "nobody hears SIGKILL");
        } else {
            let line = ended.stderr.lines().find(|line| line.starts_with("stopped, "));
            assert!(number_behind("stopped, ", line.expect("it says what is safe")) >= saved);
        }

        let resumed = job.run(&world, &["result", BLOCKS]).run().expect_code(0).expect_says("finished");
        let before = number_behind("going on: ", &resumed.stderr);
        assert!((saved..50).contains(&before), "{saved} were saved, it went on at {before}");
        let result = String::from_utf8(world.read("result")).unwrap();
        job.run(&world, &["result", BLOCKS]).run().expect_code(0).expect_says("was finished before");
        results.lock().unwrap().push(result);
    });

    reference.wait().expect_code(0).expect_says_not("going on");
    let wanted = String::from_utf8(undisturbed.read("result")).unwrap();
    assert!(wanted.starts_with("block 0: ") && wanted.ends_with('\n'), "{wanted}");
    assert_eq!(results.into_inner().unwrap(), [wanted.clone(), wanted]);
}

#[test]
fn the_long_job_goes_on_after_sigterm_to_the_same_bytes() {
    long_job_resumes_after(Signal::SIGTERM);
}

#[test]
fn the_long_job_goes_on_after_sigint_to_the_same_bytes() {
    long_job_resumes_after(Signal::SIGINT);
}

#[test]
fn the_long_job_goes_on_after_sigkill_to_the_same_bytes() {
    long_job_resumes_after(Signal::SIGKILL);
}

/// Twenty files and what is to be said of them: some four seconds of work.
fn files(world: &World) -> (Vec<String>, String) {
    let mut names = Vec::new();
    let mut wanted = String::new();
    for number in 0..20 {
        let name = format!("file{number:02}");
        let text = "a line of text\n".repeat(1600 + number);
        wanted += &format!("{name}: {} lines, {} bytes\n", 1600 + number, text.len());
        world.write(&name, text);
        names.push(name);
    }
    (names, wanted)
}

/// What the kernel has counted for this process: processor time, and bytes read and written.
pub(crate) fn work_done(run: &Running<'_>) -> (String, Vec<String>) {
    let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", run.pid())).unwrap();
    let stat = of("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let moved = of("io").lines().map(str::to_string).collect();
    (format!("state {}, user {}, system {}", fields[0], fields[11], fields[12]), moved)
}

#[test]
fn file_processing_stands_still_while_stopped_and_goes_on() {
    in_both("pausable_files", |processing| {
        let world = World::new();
        let (names, wanted) = files(&world);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let run = processing.run(&world, &names).start().until("file03: ");

        let run = run.signal(Signal::SIGTSTP).until("paused").until_suspended_by(Signal::SIGTSTP);
        let before = work_done(&run);
        assert!(before.0.starts_with("state T"), "{}", before.0);
        let run = run.let_pass(Duration::from_millis(500));
        assert_eq!(work_done(&run), before, "it worked while it was stopped");
        assert!(!run.said().contains("file19: "), "it was done before it was stopped");

        let ended = run.signal(Signal::SIGCONT).until_continued().until("going on").wait().expect_code(0);
        let results: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("file")).collect();
        assert_eq!(results.join("\n") + "\n", wanted);
    });
}

#[test]
fn file_processing_is_paused_by_ctrl_z_and_continued_by_fg() {
    in_both("pausable_files", |processing| {
        let world = World::new();
        files(&world);
        Terminal::open(&world)
            .types(&processing.words(&["file*"]).join(" "))
            .until("file02: ")
            .presses(CTRL_Z)
            .until("paused")
            .until("Stopped")
            .until("prompt> ")
            .types("fg")
            .until("going on")
            .until("file19: ")
            .until("prompt> ")
            .until_status(0);
    });
}

/// The SIGCONT comes before the program is at a place where it may rest. Nobody sends a second one.
#[test]
fn file_processing_is_never_left_standing_by_a_pause_that_is_over() {
    in_both("pausable_files", |processing| {
        let world = World::new();
        let (names, _) = files(&world);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut run = processing.run(&world, &names).start().until("file00: ");
        for name in &names[1..18] {
            run = run.signal(Signal::SIGTSTP).signal(Signal::SIGCONT).until(name);
        }
        run.wait().expect_code(0).expect_says("file19: ");
    });
}

#[test]
fn file_processing_prints_results_to_stdout_and_errors_to_stderr() {
    in_both("pausable_files", |processing| {
        let world = World::new();
        world.write("one", "a\nb\n");
        let run = |names: &[&str]| world.program_apart(&processing.words(names)).run();
        let ended = run(&["one", "missing"]).expect_code(4).expect_says("missing");
        let stdout = String::from_utf8_lossy(&ended.stdout);
        assert!(stdout.contains(": 2 files\n"), "{stdout}");
        let ended = run(&["one"]).expect_code(0);
        assert_eq!(ended.stderr, "");
        assert!(ended.stdout.ends_with(b"one: 2 lines, 4 bytes\n"));
    });
}
