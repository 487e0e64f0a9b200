//! The output has no room, or no reader.

use crate::harness::World;
use nix::sys::signal::Signal::SIGPIPE;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A file system of a given size, which only root can make.
#[derive(Debug)]
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(world: &World, name: &str, size: &str) -> Option<Self> {
        let at = world.path(name);
        std::fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let made = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at).output();
        made.is_ok_and(|output| output.status.success()).then_some(Self { at })
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.at).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.at).status());
    }
}

#[test]
fn a_full_disk_ends_the_run_and_with_more_room_the_same_command_continues() {
    let whole = "cat small/out";
    let jobs = [
        ("grep line big.txt --output small/out", "3m", whole, "grep -a line big.txt"),
        // Among the outputs of chunks, and in the merge.
        ("pipe big.txt -o small/out --merge od -- cat", "400k", whole, "od big.txt"),
        ("pipe big.txt -o small/out --merge od -- cat", "8m", whole, "od big.txt"),
        ("pipe big.txt -o small/out --compress gzip -- cat", "800k", "gzip -dc small/out", "cat big.txt"),
        (
            "pipe big.txt --split-output small/part-{#} -- cat",
            "3m",
            "cat $(ls -v small/part-[0-9]*)",
            "cat big.txt",
        ),
    ];
    for (arguments, size, made, wanted) in jobs {
        let world = World::new();
        world.text("big.txt");
        let Some(disk) = SmallDisk::mount(&world, "small", size) else {
            // Not through println!, which a passing test would swallow.
            drop(writeln!(std::io::stderr(), "skipped 1 test: only root can mount a small file system"));
            return;
        };
        let job = world.bivouac(&arguments.replacen(" big.txt", " --checkpoint-every 20ms big.txt", 1));
        job.run().expect_code(4).expect_says("No space left").expect_says("small/");
        for name in ["out", "part-manifest.jsonl"] {
            assert!(
                !world.exists(&format!("small/{name}")),
                "an incomplete output was published: {arguments}"
            );
        }
        disk.grow("64m");
        job.run().expect_code(0);
        assert!(world.shell(made) == world.shell(wanted), "{arguments}");
    }
}

#[test]
fn standard_output_closed_early_ends_as_by_sigpipe() {
    let world = World::new();
    world.text("big.txt");
    let codes = world.shell("bivouac grep line big.txt 2>said | head -1 >first; echo ${PIPESTATUS[@]}");
    assert_eq!(String::from_utf8_lossy(&codes), "141 0\n");
    assert!(!world.read("first").is_empty());
    assert_eq!(String::from_utf8_lossy(&world.read("said")), "", "a reader that has enough is no error");
}

#[test]
fn nobody_at_all_reads_standard_output() {
    let world = World::new();
    world.text("big.txt");
    let run = world.bivouac("grep line big.txt").stdout_unread().start();
    // Ends only when the pipe is closed, which `wait` does not do before the end; so close it.
    run.close_stdout().wait().expect_killed_by(SIGPIPE);
}

#[test]
fn an_output_directory_that_does_not_exist() {
    let world = World::new();
    world.text("big.txt");
    world.bivouac("grep line big.txt --output none/out").run().expect_code(2).expect_says("none");
}

/// The kernel answers such a write with a signal that kills; it must be an error instead.
#[test]
fn the_limit_of_file_sizes_ends_the_run_with_the_state_standing() {
    let world = World::new();
    world.text("big.txt");
    let command =
        world.bivouac("grep [a-z]+_[0-9]+_[a-z]+ big.txt --output out --checkpoint-every 1ms --jobs 1");
    command
        .clone()
        .under("prlimit --fsize=65536")
        .run()
        .expect_code(4)
        .expect_says("raise the limit of file size (ulimit -f)");
    command.run().expect_code(0);
    assert!(world.read("out") == world.shell("grep -a -E '[a-z]+_[0-9]+_[a-z]+' big.txt"));
}
