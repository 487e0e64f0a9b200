//! What is read of a pipe, a FIFO, a socket or a terminal: when its end is an end, what it may cost, and what
//! an error of it is.
//!
//! A signal to a pipeline reaches all of it at once, and its producer dies first. So each pipeline here is a
//! process group of two: `cat`, which hands on what the test gives it, and the program. The test sends the signal
//! when the program has read everything. `scripts/torture-streams` does it at random moments.

use crate::harness::{BIVOUAC, Input, World};
use crate::running::DEADLINE;
use crate::tty::{CTRL_C, Shell, Terminal};
use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR2};
use nix::sys::signal::{kill, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// All of the stream.
fn whole() -> String {
    (1..=60).map(|n| format!("/data/user{n}/old\n")).collect()
}

/// What has come of it. Its last line is the path of something else.
fn part() -> String {
    let lines: Vec<_> = whole().split_inclusive('\n').take(50).map(str::to_string).collect();
    lines.concat() + "/data/us"
}

/// A pipeline whose producer has more to write.
struct Pipeline {
    producer: Child,
    program: Child,
    /// The producer lives as long as this is open.
    more: PipeWriter,
    /// The same pipes that the two read, to see whether they have.
    pipes: [PipeReader; 2],
}

impl Pipeline {
    /// The program, with the stream as its standard input.
    fn start(world: &World, words: &[&str]) -> Self {
        let ((given, mut more), (stream, to)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        more.write_all(part().as_bytes()).unwrap();
        let mut cat = world.command("cat");
        cat.stdin(given.try_clone().unwrap()).stdout(to).process_group(0);
        let producer = cat.spawn().unwrap();
        drop(cat);
        let printed = File::options().create(true).append(true).open(world.path("printed")).unwrap();
        let mut program = world.command(BIVOUAC);
        program.args(words).stdin(stream.try_clone().unwrap()).stdout(printed);
        program.stderr(File::create(world.path("said")).unwrap());
        program.process_group(i32::try_from(producer.id()).unwrap());
        let program = program.spawn().unwrap();
        Self { producer, program, more, pipes: [given, stream] }
    }

    /// Until all that was given has gone through both.
    fn until_read(mut self, world: &World) -> Self {
        let end = Instant::now() + DEADLINE;
        while self.pipes.iter().any(|pipe| rustix::io::ioctl_fionread(pipe).unwrap() > 0) {
            assert!(self.program.try_wait().unwrap().is_none(), "it has ended: {}", said(world));
            assert!(Instant::now() < end, "it does not read: {}", said(world));
            thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// To both at once, as Ctrl-C and `kill -- -PGID` do it.
    fn killed_by(mut self, signal: Signal) -> ExitStatus {
        killpg(Pid::from_raw(i32::try_from(self.producer.id()).unwrap()), signal).unwrap();
        self.producer.wait().unwrap();
        drop(self.more);
        self.program.wait().unwrap()
    }
}

fn said(world: &World) -> String {
    String::from_utf8_lossy(&world.read("said")).into_owned()
}

/// How the result is had.
#[derive(Clone, Copy)]
enum Wanted {
    /// Every line is printed once, by both runs together.
    Lines,
    /// `out` is the same as the stream.
    Out,
    /// The second run prints it.
    Printed(fn() -> String),
}

type Form = (&'static [&'static str], Wanted);

const FORMS: [Form; 12] = [
    (&["each", "-j1", "echo"], Wanted::Lines),
    (&["each", "-k", "--shell", "echo {}"], Wanted::Lines),
    (&["each", "-n", "7", "printf", "%s\\n"], Wanted::Lines),
    (&["each", "-a", "/dev/stdin", "echo"], Wanted::Lines),
    (&["each", "--results", "results", "echo"], Wanted::Lines),
    (&["each", "-o", "out", "echo"], Wanted::Out),
    (&["grep", "old", "-", "--output", "out"], Wanted::Out),
    (&["pipe", "-", "-o", "out", "--", "cat"], Wanted::Out),
    (&["pipe", "-", "-o", "out", "--block", "100", "--", "cat"], Wanted::Out),
    (&["grep", "-c", "old", "-"], Wanted::Printed(|| "60\n".to_string())),
    (&["count", "-l", "-"], Wanted::Printed(|| "60 -\n".to_string())),
    (&["digest", "-"], Wanted::Printed(|| format!("{}  -\n", blake3::hash(whole().as_bytes())))),
];

fn nothing_is_made_of_a_part((words, wanted): Form, signal: Signal) {
    let world = World::new();
    let what = format!("{words:?}, {signal}");
    let status = Pipeline::start(&world, words).until_read(&world).killed_by(signal);
    if signal == SIGUSR2 {
        assert_eq!(status.code(), Some(75), "{what}: {}", said(&world));
    } else {
        assert_eq!(status.signal(), Some(signal as i32), "{what}: {}", said(&world));
    }
    assert!(!world.exists("out"), "{what}: a part is published");
    let first = String::from_utf8(world.read("printed")).unwrap();
    let again = world.bivouac("").words(words).stdin(Input::Piped(whole().into())).run().expect_code(0);
    let second = String::from_utf8(again.stdout).unwrap();
    match wanted {
        Wanted::Lines => {
            let both = first + &second;
            let sorted = |text: &str| text.lines().map(str::to_string).collect::<BTreeSet<_>>();
            assert_eq!(sorted(&both), sorted(&whole()), "{what}");
            assert_eq!(both.len(), whole().len(), "{what}: each once");
        }
        Wanted::Out => assert_eq!(world.read("out"), whole().as_bytes(), "{what}"),
        Wanted::Printed(wanted) => assert_eq!((first, second), (String::new(), wanted()), "{what}"),
    }
}

#[test]
fn a_stream_that_ends_together_with_us_has_not_ended() {
    thread::scope(|scope| {
        for forms in FORMS.chunks(3) {
            scope.spawn(move || {
                for form in forms {
                    [SIGTERM, SIGINT].into_iter().for_each(|signal| nothing_is_made_of_a_part(*form, signal));
                }
            });
        }
        scope.spawn(|| {
            [SIGHUP, SIGUSR2].into_iter().for_each(|signal| nothing_is_made_of_a_part(FORMS[0], signal))
        });
    });
}

/// The list of a job that is finished is read again before there is a supervisor.
#[test]
fn a_finished_job_makes_nothing_of_a_part_either() {
    for (words, wanted) in [FORMS[0], FORMS[5], FORMS[7]] {
        let world = World::new();
        world.bivouac("").words(words).stdin(Input::Piped(whole().into())).run().expect_code(0);
        let status = Pipeline::start(&world, words).until_read(&world).killed_by(SIGTERM);
        assert_eq!(status.signal(), Some(SIGTERM as i32), "{words:?}: {}", said(&world));
        let again = world.bivouac("").words(words).stdin(Input::Piped(whole().into())).run();
        again.expect_code(0).expect_says("already finished").expect_stdout(b"");
        assert!(world.read("printed").is_empty(), "{words:?}: something ran again");
        if let Wanted::Out = wanted {
            assert_eq!(world.read("out"), whole().as_bytes());
        }
    }
}

/// The producer is not of our group, and nothing but its death tells of it: nobody can know.
#[test]
fn a_producer_that_dies_alone_ends_the_stream() {
    let world = World::new();
    let mut pipeline = Pipeline::start(&world, &["each", "-k", "echo"]).until_read(&world);
    kill(Pid::from_raw(i32::try_from(pipeline.producer.id()).unwrap()), SIGKILL).unwrap();
    assert_eq!(pipeline.program.wait().unwrap().code(), Some(0));
    pipeline.producer.wait().unwrap();
    assert_eq!(String::from_utf8(world.read("printed")).unwrap(), part() + "\n");
}

#[test]
fn ctrl_c_on_a_terminal_runs_no_command_for_an_item_that_it_has_cut() {
    Shell::under_both(|shell| {
        let world = World::new();
        mkfifo(&world.path("more"), Mode::S_IRWXU).unwrap();
        let terminal =
            Terminal::with(&world, shell).types("cat more | bivouac each -k -o out --verbose echo");
        let mut more = File::options().write(true).open(world.path("more")).unwrap();
        more.write_all(part().as_bytes()).unwrap();
        let terminal = terminal.until("checkpoint at 50").presses(CTRL_C).until("prompt> ").until_status(130);
        drop((more, terminal));
        assert!(!world.exists("out"));
        let again = world.bivouac("each -k -o out echo").stdin(Input::Piped(whole().into()));
        again.run().expect_code(0).expect_resumed_at_least(50);
        assert_eq!(world.read("out"), whole().as_bytes());
    });
}

/// What may be in memory is bounded by bytes, whatever the blocks and however fast the producer is.
#[test]
fn a_stream_that_is_faster_than_its_commands_is_not_gathered_in_memory() {
    for (words, megabytes) in [
        (vec!["pipe", "-", "--", "sh", "-c", "cat hold"], 60),
        (vec!["pipe", "-", "--block", "4MiB", "--", "sh", "-c", "cat hold"], 60),
        (vec!["pipe", "-", "--block", "16MiB", "--", "sh", "-c", "cat hold"], 130),
        // What is to be tried again is in memory until then, at work or not.
        (vec!["pipe", "-", "--retries", "9", "--", "sh", "-c", "cat >/dev/null; exit 1"], 60),
        (vec!["each", "-n", "100000", "-o", "out", "sh", "-c", "cat hold"], 100),
    ] {
        let world = World::new();
        mkfifo(&world.path("hold"), Mode::S_IRWXU).unwrap();
        let mut yes = world.command("yes");
        let (stream, to) = std::io::pipe().unwrap();
        let mut yes = yes.stdout(to).spawn().unwrap();
        let mut program = world.command(BIVOUAC);
        program
            .arg(words[0])
            .args(["-q", "--state", "state", "--jobs", "2", "--grace", "1ms"])
            .args(&words[1..]);
        let mut program = program.stdin(stream.try_clone().unwrap()).stderr(Stdio::null()).spawn().unwrap();
        let (mut before, mut still, end) = (0, 0, Instant::now() + DEADLINE);
        // It reads no more when nothing of its memory has changed for so many looks, and the pipe is full.
        while still < 100 {
            let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
            assert!(peak < megabytes << 10, "{words:?}: {peak} kB and growing");
            let is_full = rustix::io::ioctl_fionread(&stream).unwrap() > 60_000;
            still = if is_full && peak == before { still + 1 } else { 0 };
            before = peak;
            assert!(Instant::now() < end, "{words:?}: it reads on");
            thread::sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(i32::try_from(program.id()).unwrap()), SIGTERM).unwrap();
        program.wait().unwrap();
        yes.kill().unwrap();
        yes.wait().unwrap();
    }
}

/// What a shell makes of a line: its code, and what was printed and said.
fn shell(world: &World, line: &str) -> (Option<i32>, String, String) {
    let output = world.command("sh").args(["-c", line]).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_closed_standard_output_takes_nothing_and_nothing_is_counted() {
    let world = World::new();
    world.write("in", "1\n2\n3\n");
    world.shell("sha256sum in >sums");
    for line in [
        "count in",
        "grep 3 in",
        "digest in",
        "digest --algorithm sha256 --check sums",
        "pipe in --state s -- tee -a ran",
        "each --state s sh -c 'echo $0 | tee -a ran' ::: 1 2",
        "each --state s --ungroup sh -c 'echo $0 | tee -a ran' ::: 1 2",
        "each --state s --results results sh -c 'echo $0 | tee -a ran' ::: 1 2",
        "each --dry-run echo ::: 1",
        "signals",
        "completions bash",
        "--help",
        "--version",
    ] {
        for closed in [">&-", ">&- <&-"] {
            let (code, _, said) = shell(&world, &format!("bivouac {line} {closed}"));
            assert_eq!(code, Some(4), "{line}: {said}");
            assert!(said.contains("standard output: is closed"), "{line}: {said}");
            assert_eq!(shell(&world, &format!("bivouac {line} {closed} 2>&-")).0, Some(4), "{line}");
        }
        assert!(!world.exists("ran") && !world.exists("s"), "{line}: something ran");
    }
    let (code, printed, _) = shell(&world, "bivouac each --state s echo ::: 1 2");
    assert_eq!((code, printed.lines().count()), (Some(0), 2), "it is all still to do");
}

#[test]
fn a_closed_standard_input_is_not_an_empty_one() {
    let world = World::new();
    for line in [
        "count -",
        "grep 3 -",
        "grep 3 /dev/stdin",
        "digest --check -",
        "pipe - -- cat",
        "each echo",
        "each -a - echo",
        "each -a /dev/fd/0 echo",
    ] {
        let (code, printed, said) = shell(&world, &format!("bivouac {line} <&-"));
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{line}: {said}");
        assert!(said.contains("standard input: is closed"), "{line}: {said}");
    }
    let (code, printed, said) = shell(&world, "bivouac digest - <&-");
    assert_eq!((code, printed.as_str()), (Some(1), ""), "{said}");
}

#[test]
fn nothing_is_removed_if_nobody_could_be_told_what() {
    let world = World::new();
    world.write("in", "1\n");
    world.bivouac("count in -o out").run().expect_code(0);
    let (code, _, said) = shell(&world, "bivouac clean >&-");
    assert_eq!((code, world.exists("out.bivouac")), (Some(4), true), "{said}");
}

#[test]
fn closed_streams_that_are_not_used_do_no_harm() {
    let world = World::new();
    world.write("in", "1\n2\n3\n");
    for (n, closed) in
        ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"].iter().enumerate()
    {
        for (line, wanted) in [
            ("grep -v 2 in --output OUT", "1\n3\n"),
            ("pipe in -o OUT -- cat", "1\n2\n3\n"),
            ("each -o OUT echo ::: 1 2 3", "1\n2\n3\n"),
        ] {
            let out = format!("{}{n}", line.split(' ').next().unwrap());
            let typed = format!("bivouac {} {closed}", line.replace("OUT", &out));
            assert_eq!(shell(&world, &typed).0, Some(0), "{typed}");
            assert_eq!(String::from_utf8(world.read(&out)).unwrap(), wanted, "{typed}");
        }
    }
    // Nothing is printed.
    world.write("wrong", format!("{}  in\n", "0".repeat(64)));
    world.shell("sha256sum in >sums; bivouac config --example >settings");
    for (line, code) in [
        ("grep -q 2 in", 0),
        ("grep -q x in", 1),
        ("digest -a sha256 --status -c sums", 0),
        ("digest -a sha256 --status -c wrong", 1),
        ("digest --status -c sums wrong", 1),
        ("config settings", 0),
    ] {
        for closed in [">&-", ">/dev/full", "<&- >&-"] {
            let ended = shell(&world, &format!("bivouac {line} {closed}"));
            assert_eq!(ended, (Some(code), String::new(), String::new()), "{line} {closed}");
        }
    }
    // What is open for both directions was given so: by Python, or by a daemon.
    for line in ["bivouac grep 2 in <>/dev/null 1<>/dev/null", "bivouac count - <>/dev/null"] {
        assert_eq!(shell(&world, line).0, Some(0), "{line}");
    }
    assert_eq!(shell(&world, "bivouac grep 2 in <&- 2>&-"), (Some(0), "2\n".to_string(), String::new()));
}

/// A file that claims to be empty, and a read of which fails: the memory of a process, which begins with a
/// page that nobody may have.
#[test]
fn a_file_that_cannot_be_read_is_not_an_empty_one() {
    let world = World::new();
    for line in [
        "count /proc/self/mem",
        "grep x /proc/self/mem --output out",
        "pipe /proc/self/mem -- cat",
        "each -a /proc/self/mem echo",
    ] {
        let (code, printed, said) = shell(&world, &format!("bivouac {line}"));
        assert_eq!((code, printed.as_str()), (Some(4), ""), "{line}: {said}");
        assert!(said.contains("/proc/self/mem: cannot read"), "{line}: {said}");
        assert!(!world.exists("out"), "{line}");
    }
}

/// A connection that the other side resets has not ended.
#[test]
fn an_error_of_a_stream_is_not_its_end() {
    let world = World::new();
    for words in [vec!["each", "echo"], vec!["pipe", "-", "-o", "out", "--", "cat"], vec!["count", "-"]] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let mut program = world.command(BIVOUAC);
        program.args(&words).stdin(std::os::fd::OwnedFd::from(theirs.try_clone().unwrap()));
        let program = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (&ours).write_all(b"one\ntwo\nthr").unwrap();
        // Who closes with something unread resets the connection.
        (&theirs).write_all(b"x").unwrap();
        let end = Instant::now() + DEADLINE;
        while rustix::io::ioctl_fionread(&ours).unwrap() == 0 {
            assert!(Instant::now() < end, "the byte does not arrive");
            thread::sleep(Duration::from_millis(1));
        }
        drop(ours);
        let ended = program.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(4), "{words:?}: {said}");
        assert!(said.contains("cannot read"), "{words:?}: {said}");
        assert!(
            !String::from_utf8(ended.stdout).unwrap().contains("thr") && !world.exists("out"),
            "{words:?}"
        );
    }
}

/// Rust aborts where memory is not there; what grows with the input asks before.
#[test]
fn a_line_that_is_larger_than_memory_is_an_error_that_names_it() {
    let world = World::new();
    let big = File::create(world.path("big")).unwrap();
    big.set_len(700 << 20).unwrap();
    drop(big);
    world.append("big", "END\n");
    for (line, wanted) in [
        ("grep -c END big --output out", "big: the record at byte 0 has up to 734003204 bytes"),
        ("grep -c END - <big", "standard input: has from byte 0 on a record of more than"),
        ("pipe - --fresh -o out -- wc -c", "standard input: has from byte 0 on a record of more than"),
        ("grep END -", "standard input: has from byte 0 on a record of more than"),
    ] {
        let fed = if line.contains('<') { "" } else { "cat big |" };
        let (code, printed, said) = shell(&world, &format!("ulimit -v 800000; {fed} bivouac {line}"));
        assert_eq!((code, printed.as_str()), (Some(4), ""), "{line}: {said}");
        assert!(said.contains(wanted), "{line}: {said}");
        assert!(!world.exists("out"), "{line}");
    }
    for line in ["count -l big", "digest big", "pipe big -- wc -l"] {
        assert_eq!(
            shell(&world, &format!("ulimit -v 800000; bivouac {line}")).0,
            Some(0),
            "{line} keeps no line"
        );
    }
}
