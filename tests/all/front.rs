//! The front door: programs of a few lines, interrupted again and again, come to the bytes of an undisturbed run.
//! `scripts/torture-front` does the same with more rounds.

use crate::examples::example;
use crate::harness::{Bivouac, World};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// A program in `examples/`: its words, where it keeps its state, and its output if that is a file.
struct Front {
    words: &'static [&'static str],
    state: &'static str,
    output: Option<&'static str>,
}

const SQUARES: Front =
    Front { words: &["squares"], state: "squares.txt.bivouac", output: Some("squares.txt") };
const WORDS: Front = Front { words: &["words", "text"], state: "words.state", output: None };
const TREE: Front =
    Front { words: &["tree", "tree"], state: "fingerprints.txt.bivouac", output: Some("fingerprints.txt") };
const COMMANDS: Front =
    Front { words: &["commands", "list"], state: "commands.txt.bivouac", output: Some("commands.txt") };
const RAYON: Front =
    Front { words: &["rayon_inside"], state: "primes.txt.bivouac", output: Some("primes.txt") };

impl Front {
    fn world() -> World {
        let world = World::new();
        let line = |n: u32| format!("the {n} lines of this text have words, and {} has {n} of them\n", n % 7);
        world.write("text", (0..3000).map(line).collect::<String>());
        world.write("list", (0..150).map(|n| format!("item{n}\n")).collect::<String>());
        fs::create_dir(world.path("tree")).unwrap();
        for n in 0..300_usize {
            world.write(&format!("tree/{n:03}"), "x".repeat(n * n));
        }
        world
    }

    fn program<'w>(&self, world: &'w World) -> Bivouac<'w> {
        let program = example(self.words[0]);
        let words: Vec<&str> =
            std::iter::once(program.as_str()).chain(self.words[1..].iter().copied()).collect();
        world.program(&words)
    }

    fn result(&self, world: &World, printed: &[u8]) -> Vec<u8> {
        self.output.map_or_else(|| printed.to_vec(), |name| world.read(name))
    }

    /// Four interruptions at moments that nothing depends on; the fifth run is left alone.
    fn interrupted_comes_to_the_same_bytes(&self) {
        let (undisturbed, world) = (Self::world(), Self::world());
        let mut published = None;
        let wanted = thread::scope(|scope| {
            let wanted = scope.spawn(|| self.program(&undisturbed).run().expect_code(0).stdout);
            let record: PathBuf = world.path(self.state).join("checkpoint.json");
            for (round, signal) in [SIGTERM, SIGKILL, SIGTERM, SIGKILL].into_iter().enumerate() {
                let run = self.program(&world).start();
                crate::pipe::until("a checkpoint", || record.exists());
                let run = run.let_pass(Duration::from_millis(60 + 40 * round as u64));
                if !run.try_signal(signal) || run.wait().code() == Some(0) {
                    break; // It was faster than we.
                }
                published =
                    self.output.filter(|name| world.exists(name)).map(|name| (name, world.read(name)));
                if published.is_some() {
                    break; // The signal came after the output had its name.
                }
            }
            wanted.join().unwrap()
        });
        if let Some((name, output)) = published {
            assert!(output == undisturbed.read(name), "an output is never partial");
        }
        let printed = self.program(&world).run().expect_code(0).stdout;
        assert_eq!(self.result(&world, &printed), self.result(&undisturbed, &wanted));
        // Finished is finished, and says the same once more.
        let printed = self.program(&world).run().expect_code(0).stdout;
        assert_eq!(self.result(&world, &printed), self.result(&undisturbed, &wanted));
    }
}

#[test]
fn nine_lines_of_squares() {
    SQUARES.interrupted_comes_to_the_same_bytes();
}

#[test]
fn a_count_of_words_hands_its_total_back() {
    WORDS.interrupted_comes_to_the_same_bytes();
}

#[test]
fn a_tree_of_files() {
    TREE.interrupted_comes_to_the_same_bytes();
}

#[test]
fn commands() {
    COMMANDS.interrupted_comes_to_the_same_bytes();
}

#[test]
fn rayon_inside() {
    RAYON.interrupted_comes_to_the_same_bytes();
}

#[test]
fn a_stop_ends_the_program_by_the_signal_and_says_how_to_go_on() {
    let world = Front::world();
    let run = SQUARES.program(&world).start();
    crate::pipe::until("a checkpoint", || world.path(SQUARES.state).join("checkpoint.json").exists());
    run.signal(SIGTERM)
        .wait()
        .expect_killed_by(SIGTERM)
        .expect_says("squares: squares.txt.bivouac: stopped by SIGTERM after ")
        .expect_says(" of 2000 tasks; run the same program again: it continues");
    SQUARES.program(&world).run().expect_code(0);
    let again = SQUARES.program(&world).run().expect_code(0);
    again.expect_says("squares: had finished before; remove squares.txt.bivouac to do it again");
}

/// Files may mean much work each: what a stop or a kill can cost is the one at work.
#[test]
fn a_file_is_a_task() {
    let world = World::new();
    fs::create_dir(world.path("tree")).unwrap();
    (0..900).for_each(|n| world.write(&format!("tree/{n}"), "x"));
    let record = || -> Option<serde_json::Value> {
        serde_json::from_slice(&fs::read(world.path(TREE.state).join("checkpoint.json")).ok()?).ok()
    };
    let run = TREE.program(&world).start();
    crate::pipe::until("a file that is done", || record().is_some_and(|record| record["frontier"] != 0));
    run.signal(SIGTERM).wait().expect_killed_by(SIGTERM);
    let record = record().unwrap();
    let bytes = usize::try_from(record["output"]["bytes"].as_u64().unwrap()).unwrap();
    let printed = &world.read("fingerprints.txt.part")[..bytes];
    assert_eq!(record["frontier"], printed.iter().filter(|byte| **byte == b'\n').count(), "{record}");
    TREE.program(&world).run().expect_code(0).expect_says("tree: resumed after ");
}
