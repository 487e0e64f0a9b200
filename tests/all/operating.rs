//! The files that `docs/operating.md` quotes: systemd accepts the units, logrotate and a shell do what the page says.

use crate::harness::{BIVOUAC, Bivouac, World};
use crate::jobcontrol::only_child;
use crate::running::Running;
use crate::warned::{calls, fake, with_fakes};
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM, SIGUSR2};
use nix::sys::signal::kill;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

const HELD: &str = "./held";

fn quoted(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating").join(name)).unwrap()
}

fn shell(world: &World, script: &str) -> Output {
    world.command("sh").args(["-c", script]).output().unwrap()
}

fn said(seen: &Output) -> String {
    String::from_utf8_lossy(&seen.stderr).into_owned()
}

/// The job of the page, with a command that waits for a file.
fn held(world: &World) -> Bivouac<'_> {
    world.write("huge.json", "{\"name\": 1}\n");
    world.write("held", "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\ncat\n");
    fs::set_permissions(world.path("held"), fs::Permissions::from_mode(0o755)).unwrap();
    world.bivouac("pipe huge.json -o names --log-file names.log --on HUP=reload -- ./held")
}

#[test]
fn systemd_accepts_the_units() {
    let world = World::new();
    let here = |name: &str| quoted(name).replace("/usr/local/bin/bivouac", BIVOUAC);
    if shell(&world, "command -v systemd-analyze").stdout.is_empty() {
        return crate::jobcontrol::say("SKIPPED: there is no systemd-analyze, so no unit is verified");
    }
    let verified = |unit: &str| {
        world.write("names.service", unit);
        world.write("names.timer", quoted("names.timer"));
        world.write("names@2026.service", here("names@.service"));
        said(&shell(&world, "systemd-analyze verify ./names.service ./names.timer ./names@2026.service"))
    };
    let unit = here("names.service");
    assert_eq!(verified(&unit), "");
    assert!(verified(&unit.replace("=mixed", "=gentle")).contains("gentle"), "a wrong unit is noticed");
}

#[test]
fn logrotate_gives_a_running_job_a_new_log_and_leaves_one_that_has_ended() {
    let world = World::new();
    let rotation = quoted("logrotate.conf");
    assert!(rotation.contains("/var/log/") && rotation.contains("/data/names"));
    let here = format!("{}/", world.root().display());
    world.write("rotation", rotation.replace("/var/log/", &here).replace("/data/names", "names"));
    let rotate = || {
        let seen =
            shell(&world, "chmod 755 . && chmod 644 rotation && /usr/sbin/logrotate -f -s rotated rotation");
        assert!(seen.status.success(), "{}", said(&seen));
    };
    let run = held(&world).start().until_at_work();
    rotate();
    let run = run.until("reloaded");
    world.write("go", "");
    run.wait().expect_code(0);
    let (old, new) = (world.read("names.log.1"), world.read("names.log"));
    assert!(String::from_utf8_lossy(&old).contains(" INFO started "));
    assert!(String::from_utf8_lossy(&new).contains(" INFO finished "));
    rotate();
    assert!(!world.exists("names.log"), "nothing writes it any more");
}

#[test]
fn the_hooks_send_a_mail_that_says_what_happened() {
    let world = World::new();
    world.write("hooks.toml", quoted("hooks.toml"));
    fake(&world, "mail", "cat >> mails");
    world.write("huge.json", "{}\n");
    let pipe = |command: &str| {
        let run = world.bivouac(&format!("pipe huge.json -o names --config hooks.toml -- {command}"));
        with_fakes(&world, run).run()
    };
    pipe("false").expect_code(4);
    pipe("cat").expect_code(0);
    let names = world.root().canonicalize().unwrap().join("names").display().to_string();
    assert_eq!(calls(&world), format!("mail -s {names}: code 4 root\nmail -s {names} is finished root\n"));
    let mails = String::from_utf8(world.read("mails")).unwrap();
    assert!(mails.contains("false") && mails.contains("\nfinished in "), "{mails}");
}

/// With the variables of the file of Compose.
#[test]
fn as_process_one_of_a_container_the_job_stops_answers_and_continues() {
    let world = World::new();
    let Some(namespace) = crate::jobcontrol::namespace() else { return };
    let compose = quoted("compose.yaml");
    assert!(
        compose.contains("BIVOUAC_JOBS: \"4\"") && compose.contains("BIVOUAC_METRICS_LISTEN: 0.0.0.0:9464")
    );
    let container = format!("env BIVOUAC_JOBS=4 BIVOUAC_METRICS_LISTEN=0.0.0.0:0 {namespace}");
    let run =
        held(&world).under(&container).start().until("metrics at http://0.0.0.0:").until("ready, 4 workers");
    kill(only_child(run.pid()), SIGTERM).unwrap();
    run.wait().expect_code(143);
    world.write("go", "");
    held(&world).under(&container).run().expect_code(0);
    assert_eq!(world.read("names"), b"{\"name\": 1}\n");
}

/// The page of a machine that may go, as it answers: nothing for two rounds, and then the notice.
const METADATA: &str = "case $* in
*api/token*) echo token;;
*instance-action*) [ -e noticed ] && echo terminate || { [ -e asked ] && : > noticed; : > asked; exit 22; };;
esac";

#[test]
fn the_loop_beside_a_job_stops_it_when_the_machine_will_go() {
    let world = World::new();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
    let (_, rest) = page.split_once("```bash\nurl=").unwrap();
    let script = format!("url={}", rest.split_once("```").unwrap().0).replace("/data/names", "names");
    fake(&world, "curl", METADATA);
    fake(&world, "sleep", "");
    let run = held(&world).start().until_at_work();
    let path = format!("PATH={}/fakes:{}", world.root().display(), crate::harness::path_variable());
    world.program(&["env", &path, "bash", "-c", &script]).run().expect_code(0);
    run.wait().expect_stopped_by(SIGTERM);
    assert_eq!(calls(&world).matches("instance-action").count(), 3, "{}", calls(&world));
}

#[test]
fn the_line_of_cron_is_silent_about_a_busy_state_only() {
    let world = World::new();
    let page = quoted("crontab");
    let line = page.lines().find_map(|line| line.split_once("cd /data && ")).unwrap().1;
    let line = line.replace("jq -c .name", HELD);
    let run = held(&world).start().until_at_work();
    let seen = shell(&world, &line);
    assert_eq!(seen.status.code(), Some(0), "{}", said(&seen));
    assert_ne!(shell(&world, &line.replace("--quiet", "--silence")).status.code(), Some(0), "wrong usage");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.write("go", "");
    assert_eq!(shell(&world, &line).status.code(), Some(0));
    assert_eq!(world.read("names"), b"{\"name\": 1}\n");
}

/// What `docker stop` does, by its documentation: the signal to process 1, so much time, and SIGKILL. The exit code, if it
/// ended in time. (What `unshare` ends with after a SIGKILL depends on its version.)
fn docker_stop(run: Running<'_>, signal: Signal, within: Duration) -> Option<i32> {
    let (first, end) = (only_child(run.pid()), Instant::now() + within);
    kill(first, signal).unwrap();
    while kill(first, None).is_ok() && Instant::now() < end {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let is_killed = kill(first, SIGKILL).is_ok();
    run.wait().code().filter(|_| !is_killed)
}

/// The command of the line on the page, and the seconds that it gives.
fn docker_run(page: &str) -> (String, Duration) {
    let line = page.lines().find(|line| line.starts_with("$ docker run ")).unwrap();
    let (options, command) = line.split_once(" IMAGE bivouac ").unwrap();
    let seconds = options.split_once("--stop-timeout ").unwrap().1.split(' ').next().unwrap();
    (command.replace("jq -c .name", HELD), Duration::from_secs(seconds.parse().unwrap()))
}

/// The command of the page as one that has begun, and may not want to end.
fn begins(world: &World, trap: &str) {
    drop(held(world)); // for its files
    let script = format!("#!/bin/sh\n{trap}\n: >at_work; until [ -e go ]; do sleep 0.02; done\ncat\n");
    world.write("held", script);
}

/// The job is process 1 of the namespace that `run` has made, or its child, and its command has begun.
fn at_work(run: Bivouac<'_>) -> Running<'_> {
    fs::remove_file(run.world.path("at_work")).ok();
    let world = run.world;
    let run = run.start();
    crate::pipe::until("the command has begun", || world.exists("at_work"));
    run
}

#[test]
fn a_container_that_is_stopped_has_a_checkpoint_and_continues() {
    let world = World::new();
    let Some(namespace) = crate::jobcontrol::namespace() else { return };
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
    let (command, time) = docker_run(&page);
    begins(&world, "");
    let container = || world.bivouac(&command).under(namespace);
    assert_eq!(docker_stop(at_work(container()), SIGTERM, time), Some(143));
    // STOPSIGNAL of an image, and --stop-signal.
    assert_eq!(docker_stop(at_work(container()), SIGUSR2, time), Some(75));
    // A command that does not want to end is killed by bivouac, in time.
    begins(&world, "trap '' TERM");
    assert_eq!(docker_stop(at_work(container()), SIGTERM, time), Some(143));
    // With less time than grace and kill together, docker kills bivouac.
    assert_eq!(docker_stop(at_work(container()), SIGTERM, Duration::from_secs(1)), None);
    world.write("go", "");
    container().run().expect_code(0);
    assert_eq!(world.read("names"), b"{\"name\": 1}\n");
}

/// An entry point without brackets.
#[test]
fn a_shell_that_is_process_one_of_a_container_does_not_pass_the_signal_on() {
    let world = World::new();
    let Some(namespace) = crate::jobcontrol::namespace() else { return };
    begins(&world, "");
    let line = format!("{BIVOUAC} pipe huge.json -o names -- ./held; exit $?");
    let words: Vec<&str> = namespace.split(' ').chain(["sh", "-c", &line]).collect();
    let run = at_work(world.program(&words));
    assert_eq!(docker_stop(run, SIGTERM, Duration::from_secs(1)), None);
}
