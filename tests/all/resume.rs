//! Continuing: after several interruptions, with other workers, at another pace; and what a
//! finished job answers.

use crate::jobs::{CASES, GREP, SLOW};
use crate::running::first_difference;
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGTERM};

#[test]
fn any_number_of_interruptions_give_the_same_bytes() {
    for case in CASES {
        let world = case.world();
        let mut committed = 0;
        for signal in [SIGKILL, SIGTERM, SIGKILL, SIGINT] {
            let run = case.slow(&world).start();
            let run = run.until_checkpoint_at_least(committed + 1).signal(signal).wait();
            committed = run.last_checkpoint();
            run.expect_killed_by(signal);
        }
        case.command(&world).run().expect_code(0).expect_resumed_at_least(committed);
        case.expect_right_output(&world);
    }
}

#[test]
fn the_number_of_workers_may_change_between_runs() {
    for (first, second) in [(1, 4), (4, 1), (2, 3)] {
        let world = GREP.world();
        let run = GREP.slow(&world).with(&format!("--jobs {first}")).start();
        run.until_checkpoint_at_least(1).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        GREP.command(&world).with(&format!("--jobs {second}")).run().expect_code(0);
        GREP.expect_right_output(&world);
    }
}

#[test]
fn after_an_orderly_stop_no_finished_task_runs_again() {
    let world = GREP.world();
    let run =
        GREP.slow(&world).with("--grace inf").start().until_checkpoint_at_least(1).signal(SIGTERM).wait();
    let last = run.last_checkpoint();
    run.expect_stopped_by(SIGTERM);
    GREP.command(&world).run().expect_code(0).expect_resumed_at_least(last);
    GREP.expect_right_output(&world);
}

/// What is printed depends on lines of the chunks before, and those may have been read by another run.
#[test]
fn lines_near_a_match_and_a_limit_are_right_after_any_interruption() {
    for options in
        ["-n -B 3 -A 2 unlock", "-C 40 -m 900 lock", "-m 1500 -n lock", "-c -m 99999 lock", "-v -C 1 -n lock"]
    {
        let world = GREP.world();
        let wanted = world.shell(&format!("grep -aE {options} big.txt"));
        for signal in [SIGKILL, SIGTERM, SIGKILL] {
            let slow = "--limit-rate 300KiB --checkpoint-every 20ms --jobs 2";
            let run = world.bivouac(&format!("grep {slow} {options} big.txt --output out")).start();
            run.until_further_checkpoint().signal(signal).wait().expect_killed_by(signal);
        }
        world.bivouac(&format!("grep {options} big.txt --output out")).run().expect_code(0);
        let is = world.read("out");
        assert!(is == wanted, "{options}: {}", first_difference(&is, &wanted));
    }
    let world = GREP.world();
    let run = world.bivouac("grep --limit-rate 300KiB -A 1 lock big.txt --output out").start();
    run.until_further_checkpoint().signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    world.bivouac("grep -A 2 lock big.txt --output out").run().expect_code(3).expect_says("options.around");
}

/// Two jobs whose output comes as they go, and goes into a pipe; and the bytes that they print alone.
const STREAMING: [(&str, &str); 2] = [
    ("pipe big.txt --block 300k -- tr a-z A-Z", "tr a-z A-Z <big.txt"),
    ("grep [a-z] big.txt", "grep -a '[a-z]' big.txt"),
];

/// Nobody knows that a pipe leads to a place where the beginning is: `| wc -l`, say.
#[test]
fn what_was_printed_into_a_pipe_comes_again_from_its_beginning() {
    for (arguments, reference) in STREAMING {
        let world = GREP.world();
        let wanted = world.shell(reference);
        let (verb, rest) = arguments.split_once(' ').unwrap();
        for signal in [SIGTERM, SIGKILL] {
            let slow = "--limit-rate 192KiB --checkpoint-every 20ms --jobs 2";
            let run = world.bivouac(&format!("{verb} {slow} {rest}")).start().until_further_checkpoint();
            let ended = run.signal(signal).wait().expect_killed_by(signal);
            if signal == SIGTERM {
                ended.expect_says("starts from the beginning").expect_says("--output OUT");
                assert!(!world.exists(".bivouac"), "{arguments}");
            }
            crate::pipe::until_nobody_is_left(&world);
            world.bivouac(arguments).run().expect_code(0).expect_stdout(&wanted);
        }
    }
}

/// `bivouac … --state DIR | cat >>all`, again and again: every byte comes once.
#[test]
fn into_a_pipe_that_is_read_every_byte_comes_once_however_often_it_is_stopped() {
    for (arguments, reference) in STREAMING {
        let world = GREP.world();
        let (verb, rest) = arguments.split_once(' ').unwrap();
        let job = |options: &str| world.bivouac(&format!("{verb} --state state {options} {rest}"));
        let mut all = Vec::new();
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGTERM] {
            let run = job("--limit-rate 192KiB --checkpoint-every 20ms --jobs 2").start();
            let ended = run.until_further_checkpoint().signal(signal).wait().expect_stopped_by(signal);
            all.extend(ended.stdout);
        }
        all.extend(job("").run().expect_code(0).stdout);
        let wanted = world.shell(reference);
        assert!(all == wanted, "{arguments}: {}", first_difference(&all, &wanted));
    }
}

/// The reader stands still, so what a task has printed is taken in part. What the pipe has taken counts,
/// to the byte, and nothing that was done is lost.
#[test]
fn into_a_pipe_that_is_not_read_on_every_byte_comes_once_too() {
    for (arguments, reference) in STREAMING {
        let world = GREP.world();
        let (verb, rest) = arguments.split_once(' ').unwrap();
        let job = |options: &str| world.bivouac(&format!("{verb} --state state {options} {rest}"));
        let mut all = Vec::new();
        for _ in 0..3 {
            let run = job("--jobs 2 --grace 100ms").stdout_unread().start();
            let ended = run.until_pipe_is_full().signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
            all.extend(ended.expect_says("the checkpoint is").stdout);
        }
        all.extend(job("").run().expect_code(0).expect_says("resumed").stdout);
        let wanted = world.shell(reference);
        assert!(all == wanted, "{arguments}: {}", first_difference(&all, &wanted));
    }
}

#[test]
fn without_an_output_file_the_state_is_found_again_and_removed_at_the_end() {
    let world = GREP.world();
    let run = world.bivouac("count big.txt").with(SLOW).start();
    run.until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert_eq!(
        world.contents(".bivouac").iter().filter(|(path, _)| path.ends_with("checkpoint.json")).count(),
        1
    );
    let wanted = world.shell("wc big.txt");
    let ended = world.bivouac("count big.txt").run().expect_code(0).expect_stdout(&wanted);
    assert!(ended.stderr.contains("resumed after"), "{}", ended.stderr);
    let left = if world.exists(".bivouac") { world.contents(".bivouac") } else { Vec::new() };
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_finished_job_says_so_and_does_nothing() {
    let world = GREP.world();
    GREP.command(&world).run().expect_code(0);
    let before = world.contents(".");
    let again = GREP.command(&world).with("--limit-rate 1KiB").run().expect_code(0);
    assert!(again.stderr.contains("finished"), "{}", again.stderr);
    assert_eq!(world.read("out"), before.iter().find(|(path, _)| path.ends_with("out")).unwrap().1);
    GREP.expect_right_output(&world);
}

#[test]
fn a_finished_job_whose_output_is_gone_starts_anew() {
    let world = GREP.world();
    GREP.command(&world).run().expect_code(0);
    std::fs::remove_file(world.path("out")).unwrap();
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn fresh_forgets_what_was_done() {
    let world = GREP.world();
    let run = world.bivouac("grep EXPORT big.txt --output out").with(SLOW).start();
    run.until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    GREP.command(&world).with("--fresh").run().expect_code(0).expect_says_not("resumed after");
    GREP.expect_right_output(&world);
}

#[test]
fn clean_removes_the_state_of_a_finished_job_and_not_its_output() {
    let world = GREP.world();
    GREP.command(&world).run().expect_code(0);
    assert!(world.exists("out.bivouac"));
    world.bivouac("clean out.bivouac").run().expect_code(0);
    assert!(!world.exists("out.bivouac"));
    GREP.expect_right_output(&world);
}

#[test]
fn clean_leaves_an_unfinished_job_alone() {
    let world = GREP.world();
    let run = GREP.slow(&world).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.bivouac("clean out.bivouac").run();
    GREP.expect_interrupted_state(&world);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn an_output_that_is_replaced_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let world = GREP.world();
    world.write("out", "what was here before");
    std::fs::set_permissions(world.path("out"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let run = GREP.slow(&world).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert_eq!(world.read("out"), b"what was here before", "touched before the end");
    GREP.command(&world).run().expect_code(0);
    let mode = std::fs::metadata(world.path("out")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    GREP.expect_right_output(&world);
}

/// The most natural place for a list of checksums is the tree itself.
#[test]
fn what_the_job_itself_makes_is_no_input_of_it() {
    let world = crate::harness::World::new();
    world.tree("tree");
    let expected = world.shell("cd tree; find . -type f -print0 | sort -z | xargs -0 sha256sum");
    for (name, options) in
        [("in the tree", "-o tree/sums"), ("a state in the tree", "--state tree/state -o sums")]
    {
        let command = world.bivouac(&format!("digest tree --algorithm sha256 {options}"));
        let slow = command.clone().with(crate::jobs::SLOW);
        slow.start().until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        command.run().expect_code(0);
        let sums = if options.contains("tree/sums") { "tree/sums" } else { "sums" };
        let text = String::from_utf8(world.read(sums)).unwrap().replace(" tree/", " ./");
        assert!(text == String::from_utf8(expected.clone()).unwrap(), "{name}");
        // Again, with the old output in its place.
        world.bivouac(&format!("digest tree --algorithm sha256 {options} --fresh")).run().expect_code(0);
        let text = String::from_utf8(world.read(sums)).unwrap().replace(" tree/", " ./");
        assert!(text == String::from_utf8(expected.clone()).unwrap(), "{name}, again");
        std::fs::remove_file(world.path(sums)).unwrap();
        std::fs::remove_dir_all(world.path(&format!("{sums}.bivouac"))).ok();
        std::fs::remove_dir_all(world.path("tree/state")).ok();
    }
}

#[test]
fn a_redirected_output_that_the_shell_has_emptied_is_refused_and_appended_to_it_is_right() {
    let world = crate::harness::World::new();
    world.text("big.txt");
    let line = "bivouac grep -n spin_lock big.txt";
    let slow = format!("timeout 1 {line} --limit-rate 4MiB --checkpoint-every 20ms");
    // One shell for all three, and what each of them ended with.
    let script = format!(
        "exec 2>/dev/null; {slow} > so; echo $?; cp so so1; {line} > so; echo $?; cp so1 so; {line} >> so; echo $?"
    );
    assert_eq!(String::from_utf8(world.shell(&script)).unwrap(), "124\n3\n0\n");
    assert!(world.read("so") == world.shell("grep -a -n spin_lock big.txt"));
}
