//! What does the service manager get to know? With a socket in its place.

use crate::harness::{Bivouac, World, python};
use crate::jobs::{GREP, brake};
use crate::running::{DEADLINE, Running};
use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// A manager that keeps what it was told.
struct Manager {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    fn of(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, told: Vec::new() }
    }

    fn at(world: &World) -> Self {
        Self::of(UnixDatagram::bind(world.path("notify")).unwrap())
    }

    fn next(&mut self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap_or_else(|e| panic!("{e} after {:?}", self.told));
        let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
        self.told.push(message.clone());
        message
    }

    /// Waits for a message with such a line.
    fn until(&mut self, beginning: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|line| line.starts_with(beginning)) {
                return message;
            }
        }
    }

    /// All that is still there.
    fn rest(mut self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            self.told.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        self.told
    }
}

fn under<'w>(run: Bivouac<'w>, more: &str) -> Bivouac<'w> {
    let socket = run.world.path("notify").display().to_string();
    run.under(&format!("env NOTIFY_SOCKET={socket} {more}"))
}

/// A job whose command waits for a file.
fn held<'w>(world: &'w World, options: &str) -> Bivouac<'w> {
    let run = world.bivouac(&format!("each {options}"));
    run.words(&["sh", "-c", "until [ -e go ]; do sleep 0.02; done", "sh", ":::", "1"])
}

fn place(told: &[String], beginning: &str) -> usize {
    let at = told.iter().position(|message| message.starts_with(beginning));
    at.unwrap_or_else(|| panic!("no {beginning} in {told:?}"))
}

#[test]
fn a_job_is_ready_alive_has_a_status_and_stops() {
    let world = GREP.world();
    let mut manager = Manager::at(&world);
    let run = under(GREP.slow(&world), "WATCHDOG_USEC=400000").start();
    assert_eq!(manager.next(), "READY=1");
    manager.until("WATCHDOG=1");
    assert!(manager.until("STATUS=").starts_with("STATUS=running  "), "{:?}", manager.told);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let told = manager.rest();
    assert_eq!(told[place(&told, "STOPPING=1")], "STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000");
    assert_eq!(told.iter().filter(|message| message.contains("STOPPING")).count(), 1, "{told:?}");
    assert!(told.last().unwrap().starts_with("STATUS=stopped by SIGTERM"), "{told:?}");
}

#[test]
fn a_stop_asks_for_time_as_long_as_it_takes() {
    let world = World::new();
    let mut manager = Manager::at(&world);
    let run = under(held(&world, "--grace inf"), "").start().until_at_work().signal(SIGTERM);
    manager.until("STOPPING=1");
    for _ in 0..2 {
        assert_eq!(manager.until("EXTEND_TIMEOUT_USEC="), "EXTEND_TIMEOUT_USEC=10000000");
    }
    world.write("go", "");
    run.wait().expect_code(0);
    assert!(!manager.rest().iter().any(|message| message.contains("WATCHDOG")), "it was not asked for");
}

#[test]
fn a_reload_says_when_it_began_and_that_it_is_done() {
    let world = GREP.world();
    brake(&world);
    let mut manager = Manager::at(&world);
    let run = under(GREP.braked(&world).with("--on HUP=reload"), "").start().until("ready");
    manager.until("READY=1");
    run.signal(SIGHUP).until("reloaded").signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let message = manager.until("RELOADING=1");
    let micros: u64 = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = u64::try_from(now.tv_sec).unwrap() * 1_000_000;
    assert!(micros <= now + 1_000_000 && micros > now.saturating_sub(60_000_000), "{micros}, and now {now}");
    manager.until("READY=1");
}

#[test]
fn a_job_that_is_finished_already_was_ready_too() {
    let world = GREP.world();
    GREP.command(&world).run().expect_code(0);
    let manager = Manager::at(&world);
    under(GREP.command(&world), "").run().expect_code(0);
    let told = manager.rest();
    assert!(place(&told, "READY=1") < place(&told, "STOPPING=1"), "{told:?}");
    assert!(told.last().unwrap().starts_with("STATUS=already finished: "), "{told:?}");
}

#[test]
fn a_refused_job_was_never_ready() {
    let world = GREP.world();
    let manager = Manager::at(&world);
    under(world.bivouac("grep x missing --output out"), "").run().expect_code(2);
    assert!(!manager.rest().iter().any(|message| message.contains("READY")));
}

#[test]
fn an_abstract_socket_is_one_too() {
    let world = GREP.world();
    let name = format!("bivouac-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let mut manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap());
    GREP.command(&world).under(&format!("env NOTIFY_SOCKET=@{name}")).run().expect_code(0);
    manager.until("READY=1");
    manager.until("STOPPING=1");
}

#[test]
fn a_manager_that_does_not_read_or_is_not_there_delays_nothing() {
    let world = World::new();
    // Its queue takes ten messages or so.
    let manager = Manager::at(&world);
    let run = under(held(&world, ""), "WATCHDOG_USEC=1000").start().until_at_work();
    let run = run.let_pass(Duration::from_secs(3)).asked_until(nix::sys::signal::Signal::SIGUSR1, |_| true);
    world.write("go", "");
    run.wait().expect_code(0);
    assert_eq!(manager.rest()[0], "READY=1");
    world.bivouac("each true ::: 2").under("env NOTIFY_SOCKET=/nowhere/at/all").run().expect_code(0);
    let odd = world.bivouac("each true ::: 3").under("env NOTIFY_SOCKET=vsock:2:1").run().expect_code(0);
    odd.expect_says("warning: NOTIFY_SOCKET, vsock:2:1: cannot tell the manager");
}

#[test]
fn the_watchdog_of_another_process_is_not_ours() {
    let world = World::new();
    let manager = Manager::at(&world);
    let run = under(held(&world, ""), "WATCHDOG_USEC=200000 WATCHDOG_PID=1").start().until_at_work();
    let run = run.let_pass(Duration::from_millis(500));
    world.write("go", "");
    run.wait().expect_code(0);
    assert!(!manager.rest().iter().any(|message| message.contains("WATCHDOG")));
}

/// Stops the main thread, and no other one, as a debugger does, until it is killed itself.
const STOP_ONE_THREAD: &str = "
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
for request in (SEIZE, INTERRUPT):
    if libc.ptrace(request, int(sys.argv[1]), 0, 0) != 0:
        sys.exit('not permitted')
print('stopped', flush=True)
sys.stdin.read()
";

fn silence_after(run: &Running<'_>, manager: &mut Manager) -> Option<Duration> {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut debugger = Command::new(python())
        .args(["-c", STOP_ONE_THREAD, &run.pid().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(debugger.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let silence = (line == "stopped\n").then(|| {
        manager.socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let since = Instant::now();
        // What was on its way comes first.
        let mut bytes = [0; 4096];
        while manager.socket.recv(&mut bytes).is_ok() {
            assert!(since.elapsed() < DEADLINE, "it is never silent");
        }
        since.elapsed()
    });
    drop(debugger.stdin.take());
    debugger.wait().unwrap();
    manager.socket.set_read_timeout(Some(DEADLINE)).unwrap();
    silence
}

#[test]
fn a_supervisor_that_hangs_gives_no_sign_of_life() {
    let world = World::new();
    let mut manager = Manager::at(&world);
    let run = under(held(&world, ""), "WATCHDOG_USEC=200000").start().until_at_work();
    manager.until("WATCHDOG=1");
    if silence_after(&run, &mut manager).is_none() {
        crate::jobcontrol::say("SKIPPED: no process may stop a thread of another one here");
    }
    manager.until("WATCHDOG=1");
    world.write("go", "");
    run.wait().expect_code(0);
}

#[test]
fn to_the_journal_each_line_says_how_urgent_it_is() {
    let world = World::new();
    let run = |stream: &str| {
        let script = format!("export JOURNAL_STREAM={stream}; exec bivouac each --verbose false ::: 1");
        world.program_apart(&["bash", "-c", &script]).run().expect_code(1).stderr
    };
    let said = run("$(stat -L -c %d:%i /proc/$$/fd/2)");
    assert!(said.lines().all(|line| line.starts_with('<') && line[2..].starts_with('>')), "{said}");
    for line in ["<7>bivouac: ready, ", "<4>bivouac: item 1 failed"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let refused = world.program_apart(&[
        "bash",
        "-c",
        "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/$$/fd/2); exec bivouac count missing -o n",
    ]);
    let refused = refused.run().expect_code(2);
    assert!(refused.stderr.starts_with("<3>bivouac: missing: "), "{}", refused.stderr);
    // The variable of a service whose standard error was sent elsewhere.
    assert!(run("1:2").starts_with("bivouac: "));
}
