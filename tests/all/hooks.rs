//! What do `--on-finish`, `--on-stop` and `--on-failure` run, when, and what do they get to know?

use crate::harness::{Bivouac, World};
use crate::jobs::GREP;
use crate::running::BEYOND_DEBOUNCE;
use nix::sys::signal::Signal::{SIGINT, SIGTERM};

/// Writes down what it gets to know, one line for each call.
const NOTE: &str = "echo \"$BIVOUAC_EVENT $BIVOUAC_EXIT_CODE $BIVOUAC_SHARE $BIVOUAC_FAILED\" >> told";

fn with_all<'w>(run: Bivouac<'w>, command: &str) -> Bivouac<'w> {
    run.words(&["--on-finish", command, "--on-stop", command, "--on-failure", command])
}

/// The hooks stand before the command of the job.
fn each<'w>(world: &'w World, command: &str, words: &[&str]) -> Bivouac<'w> {
    with_all(world.bivouac("each"), command).words(words)
}

fn told(world: &World) -> String {
    if world.exists("told") { String::from_utf8(world.read("told")).unwrap() } else { String::new() }
}

#[test]
fn a_hook_runs_when_the_output_has_its_name_and_not_for_a_job_that_was_finished_before() {
    let world = GREP.world();
    let job = || with_all(GREP.command(&world), &format!("test -e out && test ! -e out.part && {NOTE}"));
    job().run().expect_code(0);
    assert_eq!(told(&world), "finish 0 100 0\n");
    job().run().expect_code(0).expect_says("already finished");
    assert_eq!(told(&world), "finish 0 100 0\n");
}

#[test]
fn a_hook_after_a_stop_finds_a_durable_record_and_a_free_lock() {
    let world = GREP.world();
    let command = "grep -c frontier out.bivouac/checkpoint.json > told; \
         echo \"$BIVOUAC_MESSAGE\" | head -n 1 >> told; echo \"$BIVOUAC_STATE $BIVOUAC_OUTPUT\" >> told; \
         bivouac clean --force out.bivouac";
    let run = with_all(GREP.slow(&world), command).start().until_checkpoint_at_least(1);
    let ended = run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let root = world.root().canonicalize().unwrap().display().to_string();
    let told = told(&world);
    assert!(told.starts_with("1\nstopped by SIGTERM at "), "{told}{}", ended.stderr);
    assert!(told.ends_with(&format!("\n{root}/out.bivouac {root}/out\n")), "{told}");
    assert!(!world.exists("out.bivouac"));
}

#[test]
fn the_command_that_a_hook_gets_continues_the_job() {
    let world = GREP.world();
    let run = GREP
        .braked(&world)
        .words(&["--on-stop", "rm brake.toml; touch brake.toml; eval \"$BIVOUAC_COMMAND\""]);
    let run = run.start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    GREP.expect_right_output(&world);
}

#[test]
fn a_failure_is_reported_and_a_busy_state_is_not() {
    let world = World::new();
    world.write("in", "1\n");
    let pipe = |words: &[&str]| with_all(world.bivouac("pipe in -o out"), NOTE).words(&["--"]).words(words);
    pipe(&["false"]).run().expect_code(4);
    assert_eq!(told(&world), "failure 4 0 0\n");
    let busy = each(&world, NOTE, &["sh", "-c", "until [ -e go ]; do sleep 0.02; done", "sh", ":::", "1"]);
    let run = busy.start().until("ready");
    busy.run().expect_code(5);
    world.write("go", "");
    run.wait().expect_code(0);
    assert_eq!(told(&world), "failure 4 0 0\nfinish 0 100 0\n");
    each(&world, NOTE, &["false", ":::", "1"]).run().expect_code(1);
    assert_eq!(told(&world).lines().last(), Some("finish 1 100 1"));
    with_all(world.bivouac("grep x missing --output found"), NOTE).run().expect_code(2);
    assert_eq!(told(&world).lines().last(), Some("failure 2  0"));
}

#[test]
fn the_configuration_names_hooks_too_and_one_that_fails_changes_no_code() {
    let world = World::new();
    world.write("c.toml", "on-finish = 'echo no mail here >&2; exit 75'\n");
    let run = world.bivouac("each --config c.toml --log-file log true ::: 1");
    run.run()
        .expect_code(0)
        .expect_says("no mail here")
        .expect_says("warning: --on-finish, 'echo no mail here >&2; exit 75': exited with 75");
    let log = String::from_utf8(world.read("log")).unwrap();
    assert!(log.contains("hook failed event=\"finish\" how=\"exited with 75\""), "{log}");
}

#[test]
fn a_signal_ends_a_hook_and_the_code_stays_that_of_the_job() {
    let world = World::new();
    for signal in [SIGTERM, SIGINT] {
        let run = each(&world, "echo begun >&2; exec sleep 60", &["--fresh", "true", ":::", "1"]).start();
        let ended = run.until("begun").signal(signal).wait().expect_code(0);
        ended.expect_says(&format!("was ended, because {signal} came"));
    }
    // The second one kills what does not listen.
    let stubborn = "trap '' TERM; echo begun >&2; while :; do sleep 1; done";
    let run = each(&world, stubborn, &["--fresh", "true", ":::", "1"]).start();
    let run = run.until("begun").signal(SIGTERM).let_pass(BEYOND_DEBOUNCE).signal(SIGTERM);
    run.wait().expect_code(0);
}

#[test]
fn a_hook_and_a_command_get_the_same_signals_limits_and_variables() {
    let world = World::new();
    let look =
        "{ grep SigIgn /proc/self/status; ulimit -Sn; env | grep -E '^(NOTIFY|WATCHDOG|BIVOUAC_JOB)'; ";
    let look = |name: &str| format!("{look}:; }} > {name}");
    let run = world.bivouac("each --on-finish").words(&[&look("hook"), "--", "sh", "-c", &look("command")]);
    let environment = "env NOTIFY_SOCKET=/nowhere WATCHDOG_USEC=9 BIVOUAC_JOBBING=1";
    run.words(&["sh", ":::", "1"]).under(environment).run().expect_code(0);
    let seen = |name: &str| {
        let text = String::from_utf8(world.read(name)).unwrap();
        let mask = |line: &str| u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        // 32 and 33 belong to the C library, whose `posix_spawn` ignores them.
        (mask(first) & 0x7fff_ffff, rest.to_string())
    };
    assert_eq!(seen("hook"), seen("command"));
    assert_eq!((seen("hook").0, seen("hook").1.lines().count()), (0, 1), "only the limit");
}

/// As programs of some window managers begin. The kernel would reap the hook, and its exit status would be lost.
#[test]
fn a_hook_has_an_exit_status_where_sigchld_was_ignored() {
    let world = World::new();
    let run = each(&world, "exit 3", &["true", ":::", "1"]).under("env --ignore-signal=CHLD");
    run.run().expect_code(0).expect_says("warning: --on-finish, 'exit 3': exited with 3");
}

#[test]
fn of_a_job_in_shards_the_merge_reports_that_it_is_finished() {
    let world = GREP.world();
    for shard in ["1/2", "2/2"] {
        with_all(GREP.command(&world).with("--shard").with(shard), NOTE).run().expect_code(0);
    }
    assert_eq!(told(&world).split(' ').next(), Some("finish"));
    assert_eq!(told(&world).lines().count(), 1);
    GREP.expect_right_output(&world);
}
