//! Inputs of which some cannot be read: the others are done, a result in a file is whole, and nothing is
//! missing from it for ever.

use crate::harness::{Bivouac, World};
use nix::sys::signal::Signal::SIGTERM;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What a program of the system prints, and how it ends; what it complains of is not looked at.
fn system(world: &World, line: &str) -> (Vec<u8>, i32) {
    let output = world.command("bash").args(["-c", line]).stdin(Stdio::null()).output().unwrap();
    (output.stdout, output.status.code().unwrap())
}

fn some() -> World {
    let world = World::new();
    world.write("a", "a x\n");
    world.write("b", "2 x\n".repeat(3000));
    world.shell("sha256sum a b >list");
    fs::create_dir(world.path("d")).unwrap();
    world
}

#[test]
fn on_standard_output_the_others_are_done_as_wc_grep_and_sha256sum_do_it() {
    let world = some();
    for (verb, theirs, inputs) in [
        ("count", "wc", "a missing b"),
        ("count", "wc", "missing a"),
        ("count", "wc", "a d b missing d"),
        ("count -l", "wc -l", "d a"),
        ("count -c", "wc -c", "b missing"),
        ("grep x", "grep x", "a missing"),
        ("grep x", "grep x", "d a b"),
        ("grep -c x", "grep -c x", "a d b missing"),
        ("grep nothing", "grep nothing", "a missing"),
        ("grep -h x", "grep -h x", "missing a"),
        ("digest --algorithm sha256", "sha256sum", "a missing b"),
        ("digest --algorithm sha256 -c", "sha256sum -c", "list missing"),
        // Nothing is left to be done, and all are named.
        ("count", "wc", "missing"),
        ("count", "wc", "missing d gone"),
        ("count -l", "wc -l", "d"),
        ("grep x", "grep x", "missing gone"),
        ("grep -c x", "grep -c x", "d"),
        ("grep -c x", "grep -c x", "d missing"),
        ("digest --algorithm sha256", "sha256sum", "missing gone"),
        ("digest --algorithm sha256 -c", "sha256sum -c", "missing gone"),
    ] {
        let (wanted, code) = system(&world, &format!("{theirs} {inputs} 2>said"));
        let is = world.bivouac(&format!("{verb} {inputs}")).run().expect_code(code).expect_stdout(&wanted);
        for line in String::from_utf8(world.read("said")).unwrap().lines() {
            let (_, complaint) = line.split_once(": ").unwrap();
            assert!(is.stderr.contains(&format!("bivouac: {complaint}\n")), "{line}, and:\n{}", is.stderr);
        }
    }
    for line in ["count missing d -o out", "digest missing gone -o out --keep-going"] {
        world.bivouac(line).run().expect_code(2).expect_says_not("--keep-going");
        assert!(!world.exists("out"), "{line}");
    }
}

/// As a user who is not root: root reads everything, unless it gives away the capability for that.
fn may_not_read<'w>(world: &'w World, line: &str) -> Bivouac<'w> {
    let run = world.bivouac(line);
    match nix::unistd::geteuid().is_root() {
        true => run.under("setpriv --bounding-set -dac_override,-dac_read_search"),
        false => run,
    }
}

#[test]
fn what_may_not_be_read_is_as_what_is_missing_whatever_it_is() {
    let world = some();
    world.shell("echo >file; : >empty; mkfifo fifo; mkdir dir; chmod 0 file empty fifo dir");
    for name in ["file", "empty", "fifo", "dir"] {
        for (verb, behind, code) in [
            ("count", "", 1),
            ("grep x", "", 2),
            ("digest", "", 1),
            ("count --keep-going -o out", "", 1),
            ("pipe --keep-going", "-- cat", 1),
            ("digest --keep-going -o out", "", 1),
        ] {
            let ended = may_not_read(&world, &format!("{verb} {name} a {behind}")).run();
            ended.expect_code(code).expect_says(&format!("{name}: "));
        }
        for (verb, behind) in [("count", ""), ("grep x", ""), ("digest", ""), ("pipe", "-- cat")] {
            world.shell("rm -rf out out.bivouac");
            let line = format!("{verb} a {name} --output out {behind}");
            may_not_read(&world, &line).run().expect_code(2).expect_says("--keep-going");
            assert!(!world.exists("out") && !world.exists("out.bivouac"), "{line}");
        }
    }
    world.shell("chmod 700 dir; echo x >in; mkdir shut; chmod 0 shut");
    may_not_read(&world, "count in -o shut/out").run().expect_code(2).expect_says_not("make it first");
    may_not_read(&world, "grep -r x shut").run().expect_says("shut: Permission denied\n");
    world.bivouac("count in -o out").run().expect_code(0);
    world.shell("chmod 0 out.bivouac");
    for line in ["status out", "log out", "stop out", "count in -o out"] {
        may_not_read(&world, line).run().expect_says("out.bivouac: ").expect_says_not("plan.json");
    }
    world.shell("chmod 700 shut out.bivouac");
}

#[test]
fn a_list_in_a_file_lacks_nothing_that_is_found_in_a_tree_and_goes_on_there() {
    for (make, mend) in
        [("echo 2 >t/2", "chmod 600 t/2"), (": >t/2", "chmod 600 t/2"), ("mkdir t/2", "chmod 700 t/2")]
    {
        let world = World::new();
        world.write("t/1", "1");
        world.write("t/3", "3");
        world.shell(&format!("{make}; chmod 0 t/2"));
        let named = "leave it out with --keep-going";
        may_not_read(&world, "digest t -o out").run().expect_code(4).expect_says("t/2: ").expect_says(named);
        assert!(!world.exists("out"));
        may_not_read(&world, "digest t").run().expect_code(1).expect_says("t/2: ");
        may_not_read(&world, "digest t --keep-going -o without").run().expect_code(1);
        assert_eq!(String::from_utf8(world.read("without")).unwrap().lines().count(), 2);
        world.shell(mend);
        may_not_read(&world, "digest t -o out").run().expect_code(0);
        assert!(world.read("out") == world.bivouac("digest t").run().expect_code(0).stdout);
    }
}

#[test]
fn a_result_in_a_file_is_whole_unless_that_was_asked_for() {
    let world = some();
    for (verb, code) in
        [("count --output out", 1), ("grep x --output out", 2), ("digest -o out", 1), ("pipe -o out", 1)]
    {
        let behind = if verb.starts_with("pipe") { "-- cat" } else { "" };
        let line = |option: &str| format!("{verb} {option} a missing b {behind}");
        world.bivouac(&line("")).run().expect_code(2).expect_says("missing").expect_says("--keep-going");
        assert!(!world.exists("out") && !world.exists("out.part") && !world.exists("out.bivouac"), "{verb}");
        for _ in 0..2 {
            world.bivouac(&line("--keep-going")).run().expect_code(code);
        }
        let without = world.read("out");
        // What is there now was not there when the job was done: it is another job.
        world.write("missing", "and now it is x\n");
        world.bivouac(&line("--keep-going")).run().expect_code(0);
        assert!(world.read("out").len() > without.len(), "{verb}: what is new is missing");
        fs::remove_file(world.path("missing")).unwrap();
        world.shell("rm -r out out.bivouac");
    }
    // A pipe with several files is refused on standard output too: its chunks are one result.
    world.bivouac("pipe a missing b -- cat").run().expect_code(2).expect_stdout(b"");
}

#[test]
fn what_was_left_out_must_be_the_same_when_the_job_goes_on() {
    let world = some();
    world.text("big.txt");
    for verb in ["count --output out", "grep line --output out", "pipe -o out"] {
        let behind = if verb.starts_with("pipe") { "-- cat" } else { "" };
        let line = format!("{verb} --keep-going big.txt missing a {behind}");
        let slow = line.replace("big.txt", "--limit-rate 192KiB --checkpoint-every 20ms big.txt");
        let run = world.bivouac(&slow).start().until_checkpoint_at_least(1);
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        world.write("missing", "x\n");
        world.bivouac(&line).run().expect_code(3);
        fs::remove_file(world.path("missing")).unwrap();
        world.bivouac(&line).run().expect_code(if verb.starts_with("grep") { 2 } else { 1 });
        world.shell("rm -r out out.bivouac");

        let run = world.bivouac(&slow).start().until_checkpoint_at_least(1);
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        fs::remove_file(world.path("a")).unwrap();
        world.bivouac(&line).run().expect_code(3);
        world.write("a", "a x\n");
        world.shell("rm -r out.part out.bivouac");
    }
}

/// A file that goes away between its listing and its reading: it is held up there by the rate limit of the
/// files before it, which is read only when the first checkpoint has been seen.
fn digest_while(options: &str, change: impl FnOnce(&World)) -> (World, i32, String) {
    let world = World::new();
    for number in 10..60 {
        world.write(&format!("t/{number}"), vec![number; 30_000]);
    }
    let line = format!("digest t -o out -j1 {options}");
    let run = crate::jobs::braked(&world, &line).start().until_checkpoint_at_least(1);
    change(&world);
    let ended = run.let_go().wait();
    let (code, said) = (ended.code().unwrap(), ended.stderr.clone());
    (world, code, said)
}

#[test]
fn a_file_of_a_tree_that_goes_away_or_changes_is_left_out_and_named() {
    for what in ["gone", "written", "shorter"] {
        let (world, code, said) = digest_while("", |world| {
            let path = world.path("t/59");
            match what {
                "gone" => fs::remove_file(path).unwrap(),
                "written" => fs::write(path, vec![1; 30_000]).unwrap(),
                _ => fs::write(path, "1").unwrap(),
            }
        });
        let lines = String::from_utf8(world.read("out")).unwrap().lines().count();
        // The last file may not have been listed when it was changed: then it is only listed as it is.
        match (what, code) {
            ("gone", 0) => assert_eq!(lines, 49),
            (_, 0) => assert_eq!(lines, 50),
            (_, 1) => assert!(lines == 49 && said.contains("t/59: "), "{what}: {said}"),
            _ => panic!("{what}: {code}\n{said}"),
        }
        world.bivouac("digest t -o out").run().expect_code(0);
        assert!(world.read("out") == world.bivouac("digest t").run().expect_code(0).stdout, "{what}");
    }
}

#[test]
fn a_tree_that_is_another_one_when_the_job_goes_on_is_refused_and_the_difference_named() {
    for (change, named) in [("rm t/10", "t was changed last"), ("echo >> t/11", "t/11 was changed last")] {
        let world = World::new();
        for number in 10..60 {
            world.write(&format!("t/{number}"), vec![number; 30_000]);
        }
        let slow = "digest t -o out --limit-rate 64KiB --checkpoint-every 20ms";
        let run = world.bivouac(slow).start().until_checkpoint_at_least(1);
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        world.shell(change);
        world.bivouac("digest t -o out").run().expect_code(3).expect_says(named);
        assert!(!world.exists("out"));
    }
}

/// With every limit of open files from too few to enough: an error of the machine is never one of the command
/// line, and never a hole in a list.
#[test]
fn too_few_descriptors_are_no_wrong_usage_and_leave_no_hole() {
    let world = World::new();
    let mut path = "t".to_string();
    for depth in 0..12 {
        world.write(&format!("{path}/file"), depth.to_string());
        path.push_str("/deeper");
    }
    let file = "t/deeper/deeper/file";
    world.shell("bivouac digest t >list");
    let on_stdout = ["digest t -j2 --state out.bivouac", "digest -c list --state out.bivouac"];
    for limit in 5..48 {
        for line in on_stdout {
            let ended = world.bivouac(line).under(&format!("prlimit --nofile={limit}:{limit}")).run();
            assert!([0, 4, 127].contains(&ended.code().unwrap()), "{line} with {limit}: {}", ended.stderr);
            world.shell("rm -rf out.bivouac");
        }
    }
    let jobs = [
        "digest t -o out -j2",
        &format!("count {file} -o out"),
        &format!("grep x {file} {file} --output out"),
    ];
    for (job, finished) in jobs.iter().zip([0, 0, 1]) {
        let whole = {
            world.bivouac(job).run().expect_code(finished);
            let whole = world.read("out");
            world.shell("rm -r out out.bivouac");
            whole
        };
        let mut broke = 0;
        for limit in 5..48 {
            let ended = world.bivouac(job).under(&format!("prlimit --nofile={limit}:{limit}")).run();
            let code = ended.code().unwrap();
            match code {
                4 => broke += 1,
                // So few that not even the program is loaded, or its threads are not.
                127 => continue,
                _ => assert_eq!(code, finished, "{job} with {limit}: {}", ended.stderr),
            }
            assert_eq!(world.exists("out"), code == finished, "{job} with {limit}");
            world.bivouac(job).run().expect_code(finished);
            assert!(world.read("out") == whole, "{job} with {limit}: something is missing");
            world.shell("rm -r out out.bivouac");
        }
        assert!(broke > 0, "{job}: no limit was too low");
    }
}

/// The end of a FIFO for who writes to it, as soon as the program has opened the other.
fn writing_end(world: &World, name: &str) -> fs::File {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(world.path(name)) {
            Ok(file) => return file,
            Err(error) => assert!(Instant::now() < deadline, "{name} is not opened: {error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What takes the place of a file that is listed and not read yet is never waited for. A FIFO before it holds its
/// reading up, and one behind it shows that it is listed.
#[test]
fn a_file_whose_place_something_else_has_taken_has_changed() {
    for replace in ["mkfifo t/b", "mkdir t/b", "ln -s /dev/zero t/b", "ln -s b t/b"] {
        for (line, code) in [
            ("digest before t behind -j1", 1),
            ("count before t/b behind", 3),
            ("grep -c zzz before t/b behind", 3),
            ("pipe before t/b behind --output out -- wc -c", 3),
            ("digest before t/b behind -o out", 3),
        ] {
            let world = World::new();
            world.write("t/b", "b\n");
            world.shell("mkfifo before behind");
            let run = world.bivouac(line).start();
            let ends = ["before", "behind"].map(|name| writing_end(&world, name));
            fs::remove_file(world.path("t/b")).unwrap();
            world.shell(replace);
            drop(ends);
            run.wait().expect_code(code).expect_says("t/b: changed while it was read");
            assert!(!world.exists("out"), "{line}");
        }
    }
}
