//! Inputs of every kind: a right result or a clear error, never a panic.

use crate::harness::{Input, World};
use crate::jobs::{GREP, SLOW};
use crate::running::{DEADLINE, first_difference};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn an_empty_file() {
    let world = World::new();
    world.write("empty", "");
    let wanted = world.shell("wc empty");
    world.bivouac("count empty").run().expect_code(0).expect_stdout(&wanted);
    // As grep has it: nothing matched.
    world.bivouac("grep x empty").run().expect_code(1).expect_stdout(b"");
    let wanted = world.shell("sha256sum empty");
    world.bivouac("digest --algorithm sha256 empty").run().expect_code(0).expect_stdout(&wanted);
}

#[test]
fn an_empty_output_is_published_too() {
    let world = World::new();
    world.write("empty", "");
    world.bivouac("grep x empty --output out").run().expect_code(1);
    assert_eq!(world.read("out"), b"");
}

#[test]
fn a_last_line_without_a_newline() {
    let world = World::new();
    world.write("f", "one\ntwo");
    let wanted = world.shell("grep -a two f; wc f");
    let mut is = world.bivouac("grep two f").run().expect_code(0).stdout;
    is.extend(world.bivouac("count f").run().expect_code(0).stdout);
    assert_eq!(String::from_utf8_lossy(&is), String::from_utf8_lossy(&wanted));
}

#[test]
fn a_missing_file() {
    let world = World::new();
    world.write("here", "x\n");
    for (verb, code) in [("count", 1), ("grep x", 2), ("digest", 1)] {
        world.bivouac(&format!("{verb} missing")).run().expect_code(code).expect_says("missing");
        let line = format!("{verb} missing --output out");
        world.bivouac(&line).run().expect_code(2).expect_says("missing");
    }
    assert!(!world.exists(".bivouac"), "a state was made for a job that cannot begin");
}

#[test]
fn a_directory_where_a_file_is_wanted() {
    let world = World::new();
    fs::create_dir(world.path("dir")).unwrap();
    for (verb, code) in [("count", 1), ("grep x", 2)] {
        world.bivouac(&format!("{verb} dir")).run().expect_code(code).expect_says("directory");
    }
}

#[test]
fn a_file_that_may_not_be_read() {
    let world = World::new();
    world.write("secret", "x\n");
    fs::set_permissions(world.path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    for verb in ["count", "grep x", "digest"] {
        let run = world.bivouac(&format!("{verb} secret"));
        let run = match nix::unistd::geteuid().is_root() {
            // Root reads everything, unless it gives away the capability for that.
            true => run.under("setpriv --bounding-set -dac_override,-dac_read_search"),
            false => run,
        };
        let code = if verb == "grep x" { 2 } else { 1 };
        run.run().expect_code(code).expect_says("secret");
    }
}

#[test]
fn standard_input_and_pipes() {
    let world = World::new();
    let text = crate::data::text(5, 300_000);
    world.write("f", &text);
    let counted = world.shell("wc <f");
    let is = world.bivouac("count -").stdin(Input::Piped(text.clone())).run().expect_code(0).stdout;
    let words = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes).split_whitespace().take(3).map(str::to_string).collect()
    };
    assert_eq!(words(&is), words(&counted));
    let wanted = world.shell("grep -a -n spin_lock f");
    let run = world.bivouac("grep -n spin_lock -").stdin(Input::Piped(text)).run();
    run.expect_code(0).expect_stdout(&wanted);
}

#[test]
fn a_tree_with_a_pipe_in_it_is_said_not_to_be_resumable() {
    let world = World::new();
    let run = world.bivouac("digest - -o out").stdin(Input::Piped(crate::data::text(5, 300_000)));
    run.run().expect_code(0).expect_says("nothing continues");
}

/// Stopped in the stream, refused with another one, continued with the same one.
fn goes_on_with_the_same_stream(line: &str, reference: &str) {
    let world = World::new();
    let bytes = crate::data::large_text().to_vec();
    world.write("in", &bytes);
    world.write("one", crate::data::text(1, 150_000));
    let wanted = world.shell(reference);
    let job = |bytes: &[u8]| world.bivouac(line).stdin(Input::Piped(bytes.to_vec()));
    let run = job(&bytes).with(crate::jobs::SLOW).start().until_checkpoint_at_least(4);
    let stopped = run.signal(SIGTERM).wait();
    let last = stopped.last_checkpoint();
    stopped.expect_stopped_by(SIGTERM).expect_says("with the same standard input");
    world.bivouac("status").run().expect_code(0).expect_stdout_says("with the same standard input");
    assert!(!world.exists("out"), "{line}: it is published");
    let mut other = bytes.clone();
    other[1000] ^= 1;
    for other in [&other[..], &bytes[..100_000]] {
        job(other).run().expect_code(3).expect_says("is not the stream of the last run").expect_stdout(b"");
    }
    let ended = job(&bytes).run().expect_code(0).expect_resumed_at_least(last);
    let is = if world.exists("out") { world.read("out") } else { ended.stdout };
    assert!(is == wanted, "{line}: {}", first_difference(&is, &wanted));
    assert!(!world.exists(".bivouac"), "{line}: its state is left");
}

#[test]
fn count_and_grep_go_on_with_a_stream_that_is_given_again() {
    let lines = [
        ("grep -n spin_lock - --output out", "grep -a -n spin_lock in"),
        ("grep -c spin_lock one - one --output out", "cat in | grep -a -c spin_lock one - one"),
        ("grep -v -c spin_lock -", "grep -a -v -c spin_lock in"),
        ("count one - -o out", "cat in | wc one -"),
        ("count -", "cat in | wc -"),
    ];
    std::thread::scope(|scope| {
        for (line, reference) in lines {
            scope.spawn(move || goes_on_with_the_same_stream(line, reference));
        }
    });
}

/// In a pipeline that never ends nothing waits for a block to be full.
#[test]
fn what_grep_prints_into_a_pipe_comes_as_soon_as_its_line() {
    let world = World::new();
    let mut program = world.command(crate::harness::BIVOUAC);
    program.args(["grep", "2", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = program.spawn().unwrap();
    let (mut lines, mut printed) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
    for line in ["1\n", "2\n", "12\n"] {
        lines.write_all(line.as_bytes()).unwrap();
        let end = Instant::now() + DEADLINE;
        let wanted = if line == "1\n" { 0 } else { line.len() as u64 };
        while rustix::io::ioctl_fionread(&printed).unwrap() < wanted {
            assert!(Instant::now() < end, "{line:?} is not printed");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut bytes = vec![0; wanted as usize];
        printed.read_exact(&mut bytes).unwrap();
        assert!(wanted == 0 || bytes == line.as_bytes());
    }
    drop(lines);
    assert!(program.wait().unwrap().success());
}

#[test]
fn a_file_that_grew_between_runs_is_processed_to_its_old_size() {
    let world = GREP.world();
    let run = GREP.slow(&world).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let old = world.shell("grep -a -E '[a-z]+_[0-9]+_[a-z]+' big.txt");
    world.append("big.txt", "\nadded_1_later\n");
    GREP.command(&world).run().expect_code(0).expect_says("grew");
    assert_eq!(world.read("out").len(), old.len());
    assert!(world.read("out") == old, "what was added later is in the output");
}

#[test]
fn a_file_that_is_changed_while_it_is_read_is_a_refusal() {
    let world = GREP.world();
    let run = GREP.braked(&world).start().until_checkpoint_at_least(1);
    let mut text = world.read("big.txt");
    let last = text.len() - 20;
    text[last] ^= 1;
    let file = fs::File::options().write(true).open(world.path("big.txt")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &text[last..], u64::try_from(last).unwrap()).unwrap();
    run.let_go().wait().expect_code(3).expect_says("big.txt");
    assert!(!world.exists("out"));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_a_refusal() {
    let world = GREP.world();
    let run = GREP.braked(&world).start().until_checkpoint_at_least(1);
    fs::File::options().write(true).open(world.path("big.txt")).unwrap().set_len(100).unwrap();
    run.let_go().wait().expect_code(3).expect_says("big.txt");
    assert!(!world.exists("out"));
}

#[test]
fn names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let name = std::ffi::OsStr::from_bytes(b"tree/bad\xff");
    fs::create_dir(world.path("tree")).unwrap();
    fs::write(world.root().join(name), "x").unwrap();
    let wanted = world.shell("sha256sum tree/*");
    world.bivouac("digest --algorithm sha256 tree").run().expect_code(0).expect_stdout(&wanted);
}

#[test]
fn a_killed_run_on_many_inputs_continues_in_the_right_file() {
    let world = GREP.world();
    world.write("first.txt", crate::data::text(7, 1 << 20));
    world.write("last.txt", crate::data::text(8, 100));
    let arguments = "grep -n spin_lock first.txt big.txt tree/d0/e0/file0.txt last.txt --output out";
    let run = world.bivouac(arguments).with(SLOW).start().until_checkpoint_at_least(2);
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    world.bivouac(arguments).run().expect_code(0);
    let wanted = world.shell("grep -a -n spin_lock first.txt big.txt tree/d0/e0/file0.txt last.txt");
    assert!(world.read("out") == wanted);
}
