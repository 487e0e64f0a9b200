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
    PackedInAStream(&'static str),
}

fn pack(world: &World, module: &str) {
    let pack = "sys.stdout.buffer.write(m.compress(sys.stdin.buffer.read()))";
    world.shell(&format!("python3 -c 'import sys, {module} as m; {pack}' <in >packed"));
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
            pack(&world, module);
            ("packed --decompress", Input::Nothing)
        }
        Lies::PackedInAStream(module) => {
            pack(&world, module);
            ("- --decompress", Input::Piped(world.read("packed")))
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
fn compressed_streams_are_continued_with_the_same_bytes() {
    for (kind, module) in [("csv", "gzip"), ("vcf", "lzma")] {
        is_interrupted_and_completes(kind, &[SIGTERM, SIGKILL], Lies::PackedInAStream(module));
    }
}

/// The records of a text as an independent parser finds them, and those in which a line has `7` and then `1`; each as
/// it stands in the text, without its end.
const PARSE: &str = r#"
import re, sys
kind, wanted = sys.argv[1:]
text = sys.stdin.buffer.read()
lines = text.split(b'\n')
def csv():
    at, inside = 0, False
    for i, byte in enumerate(text):
        if byte == 34: inside = not inside
        if byte == 10 and not inside:
            yield text[at:i]
            at = i + 1
def starting(mark):
    record = []
    for line in lines[:-1]:
        if line.startswith(mark) and record: yield b'\n'.join(record); record = []
        record.append(line)
    yield b'\n'.join(record)
def fastq():
    rest = iter(lines[:-1])
    for name in rest:
        record, bases, marks = [name], 0, 0
        for line in rest:
            record.append(line)
            if line[:1] == b'+': break
            bases += len(line)
        while marks < bases:
            record.append(next(rest)); marks += len(record[-1])
        yield b'\n'.join(record)
end = b'\0' if kind == 'nul' else b'\n'
records = list({'csv': csv, 'fasta': lambda: starting(b'>'), 'mbox': lambda: starting(b'From '), 'fastq': fastq,
    'nul': lambda: text.split(end)[:-1]}.get(kind, lambda: lines[:-1])())
if kind in ('csv', 'tsv'): records = records[1:]
if kind in ('sam', 'vcf'): records = [r for r in records if r[:1] not in (b'@', b'#')]
matches = lambda record: re.search(b'7.*1', record)
chosen = [(n, r) for n, r in enumerate(records, 1) if bool(matches(r)) != (wanted == 'v')]
out = sys.stdout.buffer
if wanted == 'count': print(len(records))
elif wanted == 'c': print(len(chosen))
elif wanted == 'n': out.write(b''.join(b'%d:' % n + r + end for n, r in chosen))
elif wanted == 'm': out.write(b''.join(r + end for n, r in chosen[:9]))
elif wanted == 'o': out.write(b''.join(m + end for _, r in chosen for m in re.findall(b'7.*1', r)))
else: out.write(b''.join(r + end for n, r in chosen))
"#;

/// The file is cut into several chunks, between records.
fn records_are_selected_and_counted(kinds: &[&str]) {
    let world = World::new();
    world.write("parse.py", PARSE);
    for kind in kinds {
        let text = text(kind);
        let header = match *kind {
            "csv" | "tsv" => {
                text.find("0,\"").filter(|_| *kind == "csv").or(text.find('\n').map(|i| i + 1)).unwrap()
            }
            "sam" | "vcf" => text.find("\n0\t").unwrap() + 1,
            _ => 0,
        };
        world.write("in", text[..header].to_string() + &text[header..].repeat(12));
        world.shell("gzip -1 <in >in.gz");
        let wanted = |what: &str| world.shell(&format!("python3 parse.py {kind} {what} <in"));
        let count = format!("count --format {kind}");
        let counted = String::from_utf8(wanted("count")).unwrap();
        world
            .bivouac(&format!("{count} in"))
            .run()
            .expect_code(0)
            .expect_stdout(format!("{} in\n", counted.trim()).as_bytes());
        let all = world.read("in");
        world
            .bivouac(&count)
            .stdin(Input::Piped(all.clone()))
            .run()
            .expect_code(0)
            .expect_stdout(counted.as_bytes());
        for (option, what) in [("", "all"), ("-v", "v"), ("-c", "c"), ("-n", "n"), ("-m9", "m"), ("-o", "o")]
        {
            let wanted = wanted(what);
            for inputs in ["in", "in.gz --decompress"] {
                let line = format!("grep --format {kind} 7.*1 {option} {inputs}");
                world.bivouac(&line).run().expect_code(0).expect_stdout(&wanted);
            }
            let line = format!("grep --format {kind} 7.*1 {option}");
            world.bivouac(&line).stdin(Input::Piped(all.clone())).run().expect_code(0).expect_stdout(&wanted);
        }
    }
}

#[test]
fn records_of_several_lines_are_selected_and_counted_whole() {
    records_are_selected_and_counted(&["csv", "fastq", "fasta", "mbox", "nul"]);
}

#[test]
fn records_that_are_lines_are_selected_and_counted_without_their_headers() {
    records_are_selected_and_counted(&["tsv", "sam", "vcf", "jsonl"]);
}

#[test]
fn records_have_names_colours_and_a_reason_for_what_they_do_not_have() {
    let world = World::new();
    world.write("a", ">1\nAC\nGT\n>2\nAA\n");
    world.write("b", ">3\nGT");
    world
        .bivouac("grep --format fasta GT a b")
        .run()
        .expect_code(0)
        .expect_stdout(b"a:>1\nAC\nGT\nb:>3\nGT\n");
    world.bivouac("grep --format fasta -l AA a b").run().expect_code(0).expect_stdout(b"a\n");
    world.bivouac("grep --format fasta -x AC a").run().expect_code(0).expect_stdout(b">1\nAC\nGT\n");
    world.bivouac("grep --format fasta ^T a").run().expect_code(1);
    let colours = world.bivouac("grep --format fasta --color=always A a").run().expect_code(0);
    drop(colours.expect_stdout_says("\x1b[01;31m\x1b[KA\x1b[m\x1b[KC\nGT"));
    world
        .bivouac("count --format fasta -l -c a b")
        .run()
        .expect_code(0)
        .expect_stdout(b" 2  5 15 a\n 1  1  5 b\n 3  6 20 total\n");
    world.bivouac("grep --format fasta -C1 AA a").run().expect_code(2).expect_says("records whole");
    world.bivouac("count --format fasta -m a").run().expect_code(2);
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
    // A match by chance. Where text was searched as well, the match may be in there.
    world.write("text", "words\n");
    world.bivouac("grep -c . t.gz").run().expect_code(0).expect_says("grep --decompress");
    world.bivouac("grep -c . t.gz text").run().expect_code(0).expect_says_not("--decompress");
    world.bivouac("grep -q . t.gz").run().expect_code(0).expect_says_not("--decompress");
    world.shell("cp t.gz t.csv.gz");
    world
        .bivouac("pipe t.csv.gz -o out -- cat")
        .run()
        .expect_code(0)
        .expect_says("--decompress --format csv");
    world.bivouac("count --decompress=zstd t.gz").run().expect_code(2).expect_says("t.gz: is gzip, not zstd");
    world
        .bivouac("count --decompress=zip t.gz")
        .run()
        .expect_code(2)
        .expect_says("none of auto, never, gzip");
    let counted = world.bivouac("count --decompress").stdin(Input::Piped(world.read("t.gz"))).run();
    counted.expect_code(0).expect_stdout(b"      3       4      20\n");
    let found = world.bivouac("grep --decompress words -").stdin(Input::Piped(world.read("t.gz"))).run();
    found.expect_code(0).expect_stdout(b"two words\n");
    let other = world.bivouac("count --decompress=xz").stdin(Input::Piped(world.read("t.gz"))).run();
    other.expect_code(2).expect_says("-: is gzip, not xz");
    world.shell("head -c 30 t.gz >cut.gz");
    let cut = world.bivouac("count --decompress cut.gz").run().expect_code(4);
    cut.expect_says("cut.gz: is damaged or cut off: gzip at byte").expect_stdout(b"");
}

#[test]
fn a_search_that_finds_nothing_names_a_compressed_file_by_its_first_bytes() {
    let world = World::new();
    let magics: [(&str, &[u8]); 6] = [
        ("gzip", b"\x1f\x8b\x08\0"),
        ("bgzip", b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("xz", b"\xfd7zXZ\0"),
        ("bzip2", b"BZh91AY"),
        ("lz4", b"\x04\x22\x4d\x18"),
    ];
    for (format, magic) in magics {
        world.write("plain", "one\n");
        world.write("log", [magic, b"some other bytes, as they may be"].concat());
        for options in ["", "-c", "-l", "-r"] {
            let ended = world.bivouac(&format!("grep {options} name plain log")).run().expect_code(1);
            drop(ended.expect_says(&format!("log: is compressed ({format}), and was read as it is")));
        }
        let asked = world.bivouac("grep --decompress=never name log").run().expect_code(1);
        assert!(!asked.stderr.contains("compressed"), "{}", asked.stderr);
    }
}

/// The sizes of the frames of a file of zstd by the table at its end, as its format says; each begins where they say.
fn frames_in_the_table(file: &[u8]) -> Vec<(u64, u64)> {
    let number = |at: usize| u64::from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap()));
    let end = file.len();
    assert_eq!(number(end - 4), 0x8f92_eab1);
    assert_eq!(file[end - 5], 0, "no checksums, nothing reserved");
    let frames = number(end - 9) as usize;
    let table = end - 9 - 8 * frames;
    assert_eq!((number(table - 8), number(table - 4)), (0x184d_2a5e, (8 * frames + 9) as u64));
    let sizes: Vec<_> = (0..frames).map(|n| (number(table + 8 * n), number(table + 8 * n + 4))).collect();
    let mut at = 0;
    for (packed, _) in &sizes {
        assert_eq!(number(at), 0xfd2f_b528);
        at += *packed as usize;
    }
    assert_eq!(at, table - 8);
    sizes
}

#[test]
fn the_name_of_an_output_says_that_it_is_compressed_unless_its_command_has_done_so() {
    let world = World::new();
    let text = text("jsonl");
    world.write("in", &text);
    let job = |options: &str, command: &[&str]| {
        let line = format!("pipe in --block 100KiB -j2 {options}");
        world.bivouac(&line).words(&["--"]).words(command).run()
    };
    let plain = |file: &str| world.shell(&format!("gzip -dc <{file}"));
    job("-o cat.gz", &["cat"]).expect_code(0);
    assert!(world.read("cat.gz").starts_with(b"\x1f\x8b") && plain("cat.gz") == text.as_bytes());
    job("-o gzip.gz", &["gzip", "-n"]).expect_code(0);
    assert!(plain("gzip.gz") == text.as_bytes(), "once, and not twice");
    job("-o asked.gz --compress gzip", &["gzip"]).expect_code(0);
    assert!(plain("asked.gz").starts_with(b"\x1f\x8b"), "it was asked for");
    job("-o none.gz --compress none", &["cat"]).expect_code(0);
    assert!(world.read("none.gz") == text.as_bytes());
    let some = "if [ $BIVOUAC_SEQ = 2 ]; then cat; else gzip; fi";
    let mixed = job("-o mixed.gz", &["sh", "-c", some]).expect_code(4);
    drop(mixed.expect_says("is not compressed, and was before").expect_says("--compress zstd, gzip or none"));
    assert!(!world.exists("mixed.gz"));
    // A copy of a compressed file.
    world.shell("gzip -n <in >in.gz");
    world.bivouac("pipe in.gz -o copy.gz --block 10KiB -- cat").run().expect_code(0);
    assert!(world.read("copy.gz") == world.read("in.gz"));
    job("-o cat.zst", &["cat"]).expect_code(0);
    assert!(frames_in_the_table(&world.read("cat.zst")).len() > 2);
    // Nothing at all is an empty file, of one frame.
    job("-o no.zst", &["true"]).expect_code(0);
    assert_eq!(frames_in_the_table(&world.read("no.zst")).len(), 1);
    job("-o no.gz", &["true"]).expect_code(0);
    assert_eq!(plain("no.gz"), b"");
    world
        .bivouac("count --decompress no.zst cat.zst")
        .run()
        .expect_code(0)
        .expect_stdout_says(" 0       0       0 no.zst");
    // The header is a frame of its own, once.
    world.write("table", "id,name\n".to_string() + &"1,a\n".repeat(100_000));
    let table = "pipe table --block 100KiB --format csv --output-header";
    world.bivouac(&format!("{table} -o table.csv.gz -- cat")).run().expect_code(0);
    assert!(plain("table.csv.gz") == world.read("table"));
    world.bivouac(&format!("{table} -o table.csv.zst -- cat")).run().expect_code(0);
    let frames = frames_in_the_table(&world.read("table.csv.zst"));
    assert!(frames[0].1 == 8 && frames[1..].iter().all(|(_, plain)| *plain > 8), "{frames:?}");
    world.bivouac("pipe table.csv.zst --decompress -o back -- cat").run().expect_code(0);
    assert!(world.read("back") == world.read("table"));
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
        if unpack.is_empty() {
            let frames = frames_in_the_table(&world.read("whole"));
            let plain: u64 = frames.iter().map(|(_, plain)| plain).sum();
            assert!(frames.len() > 5 && plain == text.len() as u64, "{frames:?}");
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
