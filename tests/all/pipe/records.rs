//! Where the input is cut. That no record is torn is shown by filters to whom a torn one is visible:
//! they count the records that they are given, or put a mark before each.

use super::{expect_bytes, pipe};
use crate::data;
use crate::harness::{Input, World};
use std::fmt::Write;

/// Says of each record how long it is and how it begins.
fn lengths(separator: &str, keep: bool) -> String {
    let rest = if keep { "" } else { "[:-1]" };
    format!(
        "import sys\nfor r in sys.stdin.buffer.read().split({separator}){rest}:\n \
         sys.stdout.write('%d %r\\n' % (len(r), r[:9]))"
    )
}

#[test]
fn records_that_end_with_a_zero_byte() {
    let world = World::new();
    let text: Vec<u8> =
        data::text(7, 200_000).iter().map(|byte| if *byte == b'e' { 0 } else { *byte }).collect();
    world.write("in", [&text[..], b"\0"].concat());
    let script = lengths("b'\\0'", false);
    pipe(&world, "in -o out -0 --block 7k", &["python3", "-c", &script]).run().expect_code(0);
    expect_bytes(&world, &world.shell(&format!("python3 -c \"{script}\" <in")));
}

#[test]
fn records_of_a_fixed_length() {
    let world = World::new();
    let text = data::text(8, 100_000);
    world.write("in", &text);
    let script = "import sys\nd = sys.stdin.buffer.read()\nassert len(d) % 37 == 0 or len(d) < 2000, len(d)\n\
                  for i in range(0, len(d), 37): sys.stdout.buffer.write(d[i:i+37][::-1])";
    pipe(&world, "in -o out --fixed 37 --block 2000", &["python3", "-c", script]).run().expect_code(0);
    let wanted: Vec<u8> = text.chunks(37).flat_map(|record| record.iter().rev().copied()).collect();
    expect_bytes(&world, &wanted);
}

#[test]
fn records_that_end_with_some_bytes() {
    let world = World::new();
    let mut text = String::new();
    for n in 0..5000 {
        write!(text, "record {n}\n{}//\n", "a line\n".repeat(n % 5)).unwrap();
    }
    world.write("in", text);
    let script = lengths("b'//\\n'", false);
    pipe(&world, "in -o out --block 7k --record-end //\\n", &["python3", "-c", &script]).run().expect_code(0);
    expect_bytes(&world, &world.shell(&format!("python3 -c \"{script}\" <in")));
}

/// Three newlines are the end of a record and one byte of the next, as for whoever reads from the left.
#[test]
fn records_whose_ends_overlap() {
    let world = World::new();
    let text = "a\n\n\nb\n\n".repeat(3000) + &"\n".repeat(5000) + "c\n\n\n\n\nd\n";
    world.write("in", &text);
    // What stands behind the last end of a record is a record only if there is something.
    let script = "import sys\nparts = sys.stdin.buffer.read().split(b'\\n\\n')\n\
                  if not parts[-1]: parts.pop()\n\
                  for r in parts: sys.stdout.write('%d %r\\n' % (len(r), r[:9]))";
    let wanted = world.program_apart(&["sh", "-c", "exec python3 -c \"$0\" <in", script]).run().stdout;
    assert!(wanted.len() > 40_000, "{}", wanted.len());
    for (input, stdin) in [("in", Input::Nothing), ("-", Input::Piped(text.into_bytes()))] {
        for block in [1000, 8192] {
            let options = format!("{input} -o out --fresh --block {block} --record-end \\n\\n");
            let job = pipe(&world, &options, &["python3", "-c", script]);
            job.stdin(stdin.clone()).run().expect_code(0);
            expect_bytes(&world, &wanted);
        }
    }
}

#[test]
fn records_of_fasta_and_of_a_mailbox_begin_with_some_bytes() {
    for (start, separator) in [(">", "b'\\n>'"), ("From ", "b'\\nFrom '")] {
        let world = World::new();
        let mut text = String::new();
        for n in 0..4000 {
            write!(text, "{start}{n}\n{}", "ACGT\n".repeat(1 + n % 7)).unwrap();
        }
        world.write("in", text);
        // Each chunk begins with the mark, and what lies between the marks are whole records.
        let script = format!(
            "import sys\nd = sys.stdin.buffer.read()\nassert d.startswith(b'{start}')\n\
             for r in d.rstrip(b'\\n')[{}:].split({separator}): sys.stdout.write('%d %r\\n' % (len(r), r[:9]))",
            start.len()
        );
        let job = world.bivouac("pipe in -o out --block 7k --record-start").words(&[start, "--"]);
        job.words(&["python3", "-c", &script]).run().expect_code(0);
        expect_bytes(&world, &world.shell(&format!("python3 -c \"{script}\" <in")));
        assert_eq!(world.read("out").split(|byte| *byte == b'\n').count(), 4001);
    }
}

#[test]
fn several_files_one_of_them_empty_one_without_a_newline_at_its_end() {
    let world = World::new();
    world.write("one", data::text(1, 150_000));
    world.write("two", "");
    world.write("three", data::text(3, 70_000));
    world.write("four", "x");
    pipe(&world, "one two three four -o out --block 10k", &["cat"]).run().expect_code(0);
    expect_bytes(&world, &world.shell("cat one two three four"));
    // A record does not reach from one file into the next: `tac` would show it.
    pipe(&world, "one two three four -o out --fresh --block 1G", &["tac"]).run().expect_code(0);
    expect_bytes(&world, &world.shell("for f in one two three four; do tac <$f; done"));
}

#[test]
fn an_empty_file_gives_an_empty_result_and_a_single_record_is_one_chunk() {
    let world = World::new();
    world.write("in", "");
    pipe(&world, "in -o out", &["cat"]).run().expect_code(0);
    expect_bytes(&world, b"");
    let long = [vec![b'x'; 3_000_000], b"\n".to_vec()].concat();
    world.write("in", &long);
    pipe(&world, "in -o out --block 10k", &["sh", "-c", "wc -c | tr -d ' '"]).run().expect_code(0);
    expect_bytes(&world, b"3000001\n");
}

#[test]
fn standard_input_as_a_pipe_and_as_one_of_several() {
    let world = World::new();
    world.write("one", data::text(1, 50_000));
    let bytes = data::text(9, 400_000);
    let job = pipe(&world, "one - -o out --block 10k", &["tr", "a-z", "A-Z"]);
    job.stdin(Input::Piped(bytes.clone())).run().expect_code(0);
    world.write("two", &bytes);
    expect_bytes(&world, &world.shell("cat one two | tr a-z A-Z"));
}

/// The record without its own history.
fn what_is_committed(record: &[u8]) -> serde_json::Value {
    let mut record: serde_json::Value = serde_json::from_slice(record).unwrap();
    for history in ["epoch", "seq", "saved_at", "checksum"] {
        record.as_object_mut().unwrap().remove(history);
    }
    record
}

/// The same stream goes on; another one is refused and nothing is changed by it.
#[test]
fn a_stream_that_is_given_again_goes_on_and_another_is_refused() {
    let world = World::new();
    let bytes = data::large_text().to_vec();
    let options = "- -o out --checkpoint-every 20ms --jobs 2 --block 256KiB --grace 0s";
    let job = pipe(&world, options, &super::HELD_TR);
    super::open_to(&world, 4);
    let run = job.clone().stdin(Input::Piped(bytes.clone())).start().until_checkpoint_at_least(4);
    run.signal(nix::sys::signal::SIGTERM).wait().expect_stopped_by(nix::sys::signal::SIGTERM);
    super::open_all(&world);
    let before = world.contents(".");
    let mut other = bytes.clone();
    other[1000] ^= 1;
    let fast = pipe(&world, "- -o out --block 256KiB", &super::HELD_TR);
    let ended = fast.clone().stdin(Input::Piped(other)).run().expect_code(3);
    drop(ended.expect_says("standard input is not the stream of the last run, or is shorter"));
    let after = world.contents(".");
    assert_eq!(before.len(), after.len());
    for ((path, before), (_, after)) in before.into_iter().zip(after) {
        // But for who held the lock last, and how often the record was opened.
        let same = match path.file_name().unwrap().to_str().unwrap() {
            "lock" | "status.json" => true,
            "checkpoint.json" => what_is_committed(&before) == what_is_committed(&after),
            _ => before == after,
        };
        assert!(same, "the refusal changed {}", path.display());
    }
    fast.stdin(Input::Piped(bytes.clone())).run().expect_code(0).expect_resumed_at_least(4);
    world.write("in", &bytes);
    expect_bytes(&world, &world.shell("tr a-z A-Z <in"));
}
