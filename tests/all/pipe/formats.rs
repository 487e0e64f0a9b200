//! Files as they lie around: a table with a header and newlines in its fields, FASTQ with wrapped lines, VCF. Each is
//! interrupted, and read by a program to which a record that was cut, and a header that is missing, is visible.

use super::{expect_bytes, open_all, open_to, pipe};
use crate::data::Random;
use crate::harness::{Bivouac, Input, World};
use crate::running::DEADLINE;
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM};
use std::time::Instant;

/// Prints something of each record, and fails if what it reads is not of its kind.
const SHOW: &str = r#"
import csv, io, json, sys
kind = sys.argv[1]
data = sys.stdin.buffer.read()
if kind in ('csv', 'tsv', 'semicolon'):
    form = {'csv': {}, 'tsv': {'delimiter': '\t'}, 'semicolon': {'delimiter': ';', 'quotechar': "'"}}[kind]
    rows = csv.reader(io.StringIO(data.decode(), newline=''), strict=True, **form)
    head = next(rows)
    assert head == ['id', 'na\nme', 'text'] or kind == 'tsv' and head == ['id', 'name', 'text'], head
    for row in rows:
        assert len(row) == 3, row
        print(json.dumps(row))
elif kind == 'again':
    rows = csv.reader(io.StringIO(data.decode(), newline=''), strict=True)
    out = io.StringIO(newline='')
    csv.writer(out).writerows(row[:2] for row in rows)
    sys.stdout.write(out.getvalue())
elif kind == 'fastq':
    lines = iter(data.decode().splitlines())
    for name in lines:
        assert name[0] == '@', name
        bases = ''
        for line in lines:
            if line[0] == '+': break
            bases += line
        marks = ''
        while len(marks) < len(bases): marks += next(lines)
        assert len(marks) == len(bases)
        print(name, len(bases), marks[:3])
elif kind in ('sam', 'vcf'):
    mark = {'sam': '@', 'vcf': '#'}[kind]
    lines = data.decode().splitlines()
    assert [line[0] for line in lines[:3]] == [mark] * 3 and lines[3][0] != mark, lines[:4]
    for line in lines[3:]: print(line.split('\t')[0])
elif kind == 'jsonl':
    for line in data.splitlines(): print(json.loads(line)['id'])
elif kind == 'triples':
    lines = data.splitlines()
    assert len(lines) % 3 == 0
    for i in range(0, len(lines), 3): print(lines[i:i + 3])
else:
    start = {'fasta': b'>', 'mbox': b'From ', 'nul': b''}[kind]
    assert data.startswith(start)
    for r in data.split(b'\0')[:-1] if kind == 'nul' else data[len(start):].split(b'\n' + start): print(len(r.rstrip()), r[:5])
"#;

fn text(kind: &str) -> String {
    let mut random = Random::new(5);
    let mut text = String::from(match kind {
        "csv" | "again" => "id,\"na\nme\",text\r\n",
        "tsv" => "id\tname\ttext\n",
        "semicolon" => "id;'na\nme';text\n",
        "sam" => "@HD\n@SQ\n@PG\n",
        "vcf" => "##fileformat\n##x\n#CHROM\n",
        _ => "",
    });
    for n in 0..4000 {
        let long = "ACGT".repeat(1 + random.below(30));
        text += &match kind {
            "csv" | "again" => {
                format!("{n},\"a \"\"{n}\"\",\n\n{n},\",\"{}{long}\"\r\n", "x,\n".repeat(random.below(6)))
            }
            "tsv" => format!("{n}\t{n}\t{long}\n"),
            "semicolon" => format!("{n};'\n;''{long}';\"\n"),
            "fastq" => format!("@{n}\n{long}\n{long}\n+\n@{}\n+{}\n", &long[1..], &long[1..]),
            "sam" | "vcf" => format!("{n}\t@#\t{long}\n"),
            "jsonl" => format!("{{\"id\": {n}, \"text\": \"{long}\"}}\n"),
            "triples" => format!("{n}\n\n{long}\n"),
            "fasta" => format!(">{n}\n{long}\n{long}>\n"),
            "mbox" => format!("From {n}\n{long}\n>From x\n\n"),
            _ => format!("{n}\n{long}\0"),
        };
    }
    text
}

fn options(kind: &str) -> Vec<&str> {
    match kind {
        "semicolon" => vec!["--csv", "--csv-quote", "'", "--csv-separator", ";", "--header"],
        "again" => vec!["--csv", "--header", "--output-header=2"],
        "triples" => vec!["--record-lines", "3"],
        _ => vec!["--format", kind],
    }
}

fn job<'w>(world: &'w World, input: &str, kind: &str) -> Bivouac<'w> {
    let line = format!("pipe {input} -o out --checkpoint-every 20ms --jobs 2 --block 32KiB --grace 0s");
    let script = super::held!("exec python3 show.py \"$0\"");
    world.bivouac(&line).words(&options(kind)).words(&["--", "sh", "-c", script, kind])
}

/// As soon as the state is free.
fn completes(job: &Bivouac<'_>) {
    let end = Instant::now() + DEADLINE;
    loop {
        let ended = job.run();
        if ended.code() != Some(5) {
            drop(ended.expect_code(0).expect_resumed_at_least(2));
            return;
        }
        assert!(Instant::now() < end, "the state is never free: {}", ended.stderr);
    }
}

/// How a table lies around.
#[derive(Clone, Copy)]
enum Lies {
    InAFile,
    InAStream,
    /// Compressed by this module of Python.
    Packed(&'static str),
}

fn is_interrupted_and_completes(kind: &str, signals: &[Signal], lies: Lies) {
    let world = World::new();
    let text = text(kind);
    world.write("show.py", SHOW);
    world.write("in", &text);
    let wanted = world.shell(&format!("python3 show.py {kind} <in"));
    let (input, stdin) = match lies {
        Lies::InAFile => ("in", Input::Nothing),
        Lies::InAStream => ("-", Input::Piped(text.into_bytes())),
        Lies::Packed(module) => {
            let pack = "sys.stdout.buffer.write(m.compress(sys.stdin.buffer.read()))";
            world.shell(&format!("python3 -c 'import sys, {module} as m; {pack}' <in >packed"));
            ("packed --decompress", Input::Nothing)
        }
    };
    let job = job(&world, input, kind).stdin(stdin);
    for signal in signals {
        open_to(&world, 3);
        let run = job.start().until_checkpoint_at_least(2).signal(*signal);
        drop(run.wait());
        open_all(&world);
        completes(&job);
        expect_bytes(&world, &wanted);
        std::fs::remove_file(world.path("out")).unwrap();
        std::fs::remove_dir_all(world.path("out.bivouac")).ok();
    }
}

#[test]
fn tables_are_continued_with_the_same_bytes() {
    for kind in ["csv", "again", "tsv", "semicolon"] {
        is_interrupted_and_completes(kind, &[SIGTERM, SIGKILL], Lies::InAFile);
    }
}

#[test]
fn reads_and_records_of_several_lines_are_continued_with_the_same_bytes() {
    for kind in ["fastq", "triples", "fasta", "mbox"] {
        is_interrupted_and_completes(kind, &[SIGTERM, SIGKILL], Lies::InAFile);
    }
}

#[test]
fn records_that_are_lines_after_a_header_are_continued_with_the_same_bytes() {
    for kind in ["sam", "vcf", "jsonl", "nul"] {
        is_interrupted_and_completes(kind, &[SIGTERM, SIGKILL], Lies::InAFile);
    }
}

#[test]
fn streams_are_continued_with_the_same_bytes() {
    for kind in ["csv", "again", "fastq", "vcf"] {
        is_interrupted_and_completes(kind, &[SIGTERM, SIGKILL], Lies::InAStream);
    }
}

#[test]
fn compressed_tables_are_continued_with_the_same_bytes() {
    for (kind, module) in [("csv", "gzip"), ("again", "bz2"), ("fastq", "lzma"), ("vcf", "gzip")] {
        is_interrupted_and_completes(kind, &[SIGTERM, SIGKILL], Lies::Packed(module));
    }
}

#[test]
fn what_is_in_compressed_files_is_counted_and_searched() {
    let world = World::new();
    world.write("t", "one\ntwo words\nthree\n");
    world.shell("gzip <t >t.gz");
    world
        .bivouac("count --decompress t.gz")
        .run()
        .expect_code(0)
        .expect_stdout(b"      3       4      20 t.gz\n");
    world
        .bivouac("count --decompress t.gz t")
        .run()
        .expect_code(0)
        .expect_stdout_says("      3       4      20 t\n");
    world.bivouac("grep --decompress words t.gz").run().expect_code(0).expect_stdout(b"two words\n");
    world.bivouac("grep -q --decompress=gzip words t.gz").run().expect_code(0);
    let ended = world.bivouac("grep words t.gz").run().expect_code(1);
    ended.expect_says("t.gz: is compressed (gzip), and was read as it is").expect_says("grep --decompress");
    world.bivouac("pipe t.gz -o out -- cat").run().expect_code(0).expect_says("give --decompress");
    world.bivouac("count --decompress=zstd t.gz").run().expect_code(2).expect_says("t.gz: is gzip, not zstd");
    world
        .bivouac("count --decompress=zip t.gz")
        .run()
        .expect_code(2)
        .expect_says("none of auto, never, gzip");
    world.bivouac("count --decompress -").run().expect_code(2).expect_says("only files are decompressed");
    world.shell("head -c 30 t.gz >cut.gz");
    let cut = world.bivouac("count --decompress cut.gz").run().expect_code(4);
    cut.expect_says("cut.gz: is damaged or cut off: gzip at byte").expect_stdout(b"");
}

#[test]
fn a_compressed_output_is_the_same_after_an_interruption() {
    for (compress, unpack) in [("gzip", "gzip -dc"), ("zstd=1", "")] {
        let world = World::new();
        let text = text("jsonl");
        world.write("in", &text);
        open_all(&world);
        let job = |out: &str| {
            let line =
                format!("pipe in -o {out} --compress {compress} --block 32KiB --checkpoint-every 20ms -j2");
            world.bivouac(&line).words(&["--", "sh", "-c", super::held!("exec tr a-z A-Z")])
        };
        job("whole").run().expect_code(0);
        for signal in [SIGTERM, SIGKILL] {
            open_to(&world, 3);
            drop(job("out").start().until_checkpoint_at_least(2).signal(signal).wait());
            open_all(&world);
            completes(&job("out"));
            expect_bytes(&world, &world.read("whole"));
            std::fs::remove_file(world.path("out")).unwrap();
            std::fs::remove_dir_all(world.path("out.bivouac")).ok();
        }
        let back = match unpack {
            "" => {
                world.bivouac("pipe whole --decompress -o back -- cat").run().expect_code(0);
                world.read("back")
            }
            unpack => world.shell(&format!("{unpack} <whole")),
        };
        assert!(back == text.to_uppercase().into_bytes(), "{compress}");
        world
            .bivouac("pipe in -o whole --compress zip -- cat")
            .run()
            .expect_code(2)
            .expect_says("neither zstd nor gzip");
    }
}

#[test]
fn each_file_gives_its_own_header_and_the_output_has_one() {
    let world = World::new();
    world.write("show.py", SHOW);
    let rows = |from: u32| {
        (from..from + 2000).fold("id,name\n".to_string(), |text, n| text + &format!("{n},\"a\n{n}\"\n"))
    };
    world.write("one", rows(0));
    world.write("only", "id,name\n");
    world.write("empty", "");
    world.write("two", rows(2000));
    let command = ["python3", "show.py", "again"];
    let inputs = "one only empty two -o out --block 8KiB --format csv --output-header";
    pipe(&world, inputs, &command).run().expect_code(0);
    let all = (0..4000).fold("id,name\r\n".to_string(), |text, n| text + &format!("{n},\"a\n{n}\"\r\n"));
    expect_bytes(&world, all.as_bytes());
    // Another header: an error, with the chunk.
    world.write("two", rows(2000).replace("id,name", "id,title"));
    let ended = pipe(&world, &format!("--fresh {inputs}"), &command).run().expect_code(4);
    drop(ended.expect_says("two, bytes 0 to").expect_says("begins with another header"));
    assert!(!world.exists("out.part") || !world.read("out.part").ends_with(b"title"));
}

#[test]
fn other_records_or_headers_are_refused_by_name() {
    let world = World::new();
    world.write("in", text("csv"));
    let hold = super::held!("cat");
    open_to(&world, 3);
    let begun = pipe(
        &world,
        "in -o out --block 32KiB --csv --header --checkpoint-every 20ms --grace 0s",
        &["sh", "-c", hold],
    );
    drop(begun.start().until_checkpoint_at_least(2).signal(SIGTERM).wait());
    let again =
        |options: &str| pipe(&world, &format!("in -o out --block 32KiB {options}"), &["sh", "-c", hold]);
    for (options, what) in [
        ("--csv", "is about inputs with a header of 1, not without a header"),
        ("--csv --header=2", "not with a header of 2"),
        (
            "--record-lines 3 --header",
            "was begun with records cut after lines with fields between , and quotes \\\"",
        ),
        ("--csv --header --output-header", "with an output header of 1"),
    ] {
        drop(again(options).run().expect_code(3).expect_says(what));
    }
    open_all(&world);
    again("--format csv").run().expect_code(0);
}

#[test]
fn what_is_no_table_ends_the_job_with_its_place_and_what_was_done_stands() {
    let world = World::new();
    let rows = "a,\"b\nc\"\n".repeat(20_000);
    world.write("in", format!("{rows}d,\"e\n{}", "f,g\n".repeat(1000)));
    let job = pipe(&world, "in -o out --block 16KiB --csv", &["cat"]);
    let ended = job.run().expect_code(4);
    drop(
        ended.expect_says(&format!("in: byte {}: a quoted field begins here and never ends", rows.len() + 2)),
    );
    assert!(!world.exists("out"));
    assert!(rows.as_bytes().starts_with(&world.read("out.part")));
}

#[test]
fn a_name_is_a_hint_and_changes_nothing() {
    let world = World::new();
    world.write("in.csv", "a,b\n".repeat(600_000));
    let ended = pipe(&world, "in.csv -o out", &["cat"]).run().expect_code(0);
    drop(ended.expect_says("in.csv: each line is a record").expect_says("--format csv"));
    expect_bytes(&world, &world.read("in.csv"));
}
