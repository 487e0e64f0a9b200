//! The jobs that the interruption tests interrupt: one row each, with the GNU command whose
//! output is the right one.

use crate::harness::{Bivouac, World};
use crate::running::first_difference;
use nix::sys::signal::{SIGPWR, kill};
use nix::unistd::Pid;

/// Holds a job of our own so that it can be met half-way. Its tasks start no command that could wait for a file, so
/// the brake is a rate, at which the first tasks end at once and all of them together would take longer than any
/// [`DEADLINE`](crate::running::DEADLINE): no test waits for that. The limit is no part of what identifies a job,
/// so the continued run may go without it.
pub(crate) const SLOW: &str = "--limit-rate 192KiB --checkpoint-every 20ms --jobs 2";

/// The same limit in a file, for a run that is to go on to its end: [`Running::let_go`](crate::running::Running::let_go).
const BRAKE: &str = "limit-rate = '192KiB'\n";
pub(crate) const BRAKED: &str = "--config brake.toml --on PWR=reload --checkpoint-every 20ms --jobs 2";

/// A job with an output file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What to type after `bivouac`.
    pub(crate) arguments: &'static str,
    /// Where the result goes.
    pub(crate) output: &'static str,
    /// What prints the right result.
    reference: &'static str,
}

pub(crate) const GREP: Case = Case {
    name: "grep",
    arguments: "grep [a-z]+_[0-9]+_[a-z]+ big.txt --output out",
    output: "out",
    reference: "grep -a -E '[a-z]+_[0-9]+_[a-z]+' big.txt",
};

pub(crate) const CASES: [Case; 5] = [
    GREP,
    Case {
        name: "grep with line numbers, two files",
        arguments: "grep -n spin_lock big.txt tree/d1/e1/file1.txt --output out",
        output: "out",
        reference: "grep -a -n spin_lock big.txt tree/d1/e1/file1.txt",
    },
    Case {
        name: "count",
        arguments: "count big.txt tree/d1/e1/file1.txt --output out",
        output: "out",
        reference: "wc big.txt tree/d1/e1/file1.txt",
    },
    Case {
        name: "digest of a tree",
        arguments: "digest tree --algorithm sha256 -o out",
        output: "out",
        reference: "find tree -type f -print0 | sort -z | xargs -0 sha256sum",
    },
    Case {
        name: "digest of one large file",
        arguments: "digest big.txt -o out",
        output: "out",
        reference: "",
    },
];

/// What [`BRAKED`] needs.
pub(crate) fn brake(world: &World) {
    world.write("brake.toml", BRAKE);
}

/// Lets a job go that a shell has started.
pub(crate) fn let_go(world: &World) {
    world.write("brake.toml", "");
    let lock: serde_json::Value = serde_json::from_slice(&world.read("out.bivouac/lock")).unwrap();
    let pid = i32::try_from(lock["pid"].as_u64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), SIGPWR).unwrap();
}

/// This command, until the test lets it go.
pub(crate) fn braked<'w>(world: &'w World, line: &str) -> Bivouac<'w> {
    brake(world);
    // Options stand before a command.
    match line.split_once(" -- ") {
        Some((before, command)) => world.bivouac(&format!("{before} {BRAKED} -- {command}")),
        None => world.bivouac(line).with(BRAKED),
    }
}

impl Case {
    /// A directory with the inputs.
    pub(crate) fn world(&self) -> World {
        let world = World::new();
        world.text("big.txt");
        world.tree("tree");
        world
    }

    /// The command at full speed.
    pub(crate) fn command<'w>(&self, world: &'w World) -> Bivouac<'w> {
        world.bivouac(self.arguments)
    }

    /// The command, slow enough to be met half-way.
    pub(crate) fn slow<'w>(&self, world: &'w World) -> Bivouac<'w> {
        self.command(world).with(SLOW)
    }

    /// The same, until the test lets it go.
    pub(crate) fn braked<'w>(&self, world: &'w World) -> Bivouac<'w> {
        braked(world, self.arguments)
    }

    /// Checks the published output against the GNU counterpart, and against a run that nobody
    /// interrupted, in a directory of its own.
    pub(crate) fn expect_right_output(&self, world: &World) {
        let is = world.read(self.output);
        let wanted = self.right_output(world);
        assert!(is == wanted, "{}: {}", self.name, first_difference(&is, &wanted));
        let calm = self.world();
        self.command(&calm).run().expect_code(0);
        let calm = calm.read(self.output);
        assert!(is == calm, "{}: not as an uninterrupted run: {}", self.name, first_difference(&is, &calm));
        assert!(!world.exists("out.part"), "{}: the part file is still there", self.name);
    }

    fn right_output(&self, world: &World) -> Vec<u8> {
        match self.reference {
            // There is no b3sum in a distribution; the crate is the reference for its own hash.
            "" => format!("{}  big.txt\n", blake3::hash(&world.read("big.txt"))).into_bytes(),
            script => world.shell(script),
        }
    }

    /// What an interrupted run must leave behind: no output, a part of it, and the record.
    pub(crate) fn expect_interrupted_state(&self, world: &World) {
        assert!(!world.exists(self.output), "{}: the output was published", self.name);
        assert!(world.exists("out.part"), "{}: no part file", self.name);
        let record = world.read("out.bivouac/checkpoint.json");
        let record: serde_json::Value = serde_json::from_slice(&record).expect("the record is JSON");
        assert!(record.is_object(), "{}: {record}", self.name);
    }
}
