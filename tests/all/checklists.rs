//! `digest --check` beside `sha256sum --check`: the same lists, the same options, the same answer.

use crate::harness::{Input, World};
use std::fs;
use std::process::Stdio;

/// Files `a`, `b c` and one with a newline in its name; `changed` is not what its checksum says.
fn world() -> World {
    let world = World::new();
    for (name, text) in [("a", "hi\n"), ("b c", "ho\n"), ("new\nline", "x"), ("changed", "one\n")] {
        world.write(name, text);
    }
    fs::create_dir(world.path("d")).unwrap();
    world
}

fn hash(world: &World, name: &str) -> String {
    let line = String::from_utf8(world.shell(&format!("sha256sum < '{name}'"))).unwrap();
    line.split(' ').next().unwrap().to_string()
}

/// What a command prints, says (without its name), and ends with. Without --verbose, which --quiet excludes.
fn answer(world: &World, program: &str, line: &str) -> (String, Vec<String>, i32) {
    let line = format!("{program} {line}");
    let output = world.command("bash").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.lines().filter_map(|line| line.split_once(": ")).map(|(_, said)| said.to_string());
    (String::from_utf8(output.stdout).unwrap(), said.collect(), output.status.code().unwrap())
}

/// That ours is the same; of what is said, all but the reasons why a file could not be read.
fn compare(world: &World, options: &str, list: &str) {
    let theirs = answer(world, "sha256sum", &format!("--check {options} {list}"));
    let ours = answer(world, "bivouac digest --algorithm sha256", &format!("--check {options} {list}"));
    let counts = |line: &&String| ["WARNING", "format", "no file was"].iter().any(|part| line.contains(part));
    let of = |(stdout, said, code): &(String, Vec<String>, i32)| {
        (stdout.clone(), said.iter().filter(counts).cloned().collect::<Vec<_>>(), *code)
    };
    let (mut is, mut wanted) = (of(&ours), of(&theirs));
    // Several lists are summed up at the end.
    is.1.sort();
    wanted.1.sort();
    assert_eq!(is, wanted, "{options} {list}");
}

#[test]
fn every_form_of_a_line_with_every_option_is_as_sha256sum_has_it() {
    let world = world();
    let (a, bc, newline) = (hash(&world, "a"), hash(&world, "b c"), hash(&world, "new\nline"));
    let lists = [
        format!("{a}  a\n{bc}  b c\n"),
        format!("{a} *a\n\\{newline}  new\\nline\n"),
        format!("  {a}  a\n\t{bc}  b c\n"),
        format!("{a} a\n{bc} b c\n"),
        format!("{a}\ta\n"),
        format!("{a}  a\r\n{bc}  b c\r\n"),
        format!("{}  a", a.to_uppercase()),
        format!("SHA256 (a) = {a}\nSHA256 (b c) = {bc}\n"),
        format!("SHA256(a)= {a}\n\\SHA256 (new\\nline) = {newline}\n"),
        format!("SHA256 (a) = {a} \nSHA256 (a = {a}\nsha256 (a) = {a}\nSHA256  (a) = {a}\n"),
        format!("{a}  a\njunk\n# a comment\n\n{bc}  b c\n{a}x  a\n{}  a\n", &a[1..]),
        format!("{a}  a\n{a}  changed\n"),
        format!("{a}  gone\n"),
        format!("{a}  a\n{a}  gone\njunk\n"),
        format!("{a}  gone\n{a}  changed\n"),
        format!("{a}  d\n{a}  a\n"),
        "junk\nmore junk\n".to_string(),
        "# nothing but a comment\n\n".to_string(),
        String::new(),
    ];
    let options = [
        "",
        "--ignore-missing",
        "--quiet",
        "--status",
        "--strict",
        "--warn",
        "--ignore-missing --quiet",
        "--ignore-missing --status --strict",
        "--strict --warn",
        // The last of these wins.
        "--quiet --status",
        "--status --quiet",
        "--quiet --warn",
        "--warn --quiet",
        "--warn --status --quiet -w",
    ];
    for (number, list) in lists.iter().enumerate() {
        world.write(&format!("list{number}"), list);
        for options in options {
            compare(&world, options, &format!("list{number}"));
        }
    }
    compare(&world, "", "list0 list10 list7");
    compare(&world, "-w", "list16 list0");
}

#[test]
fn what_sha256sum_does_not_read_is_read_or_told() {
    let world = world();
    let list = world.shell("sha256sum a 'b c'");
    let check = || world.bivouac("digest --algorithm sha256 -c list").run();
    world.write("list", [b"\xef\xbb\xbf", list.as_slice()].concat());
    check().expect_code(0).expect_stdout(b"a: OK\nb c: OK\n");
    world.shell("sha256sum a | iconv -t UTF-16 > list");
    check().expect_code(1).expect_says("list: is UTF-16").expect_says("iconv");
    world.write("list", format!("SHA2-256(a)= {}\n", hash(&world, "a")));
    check().expect_code(0).expect_stdout(b"a: OK\n");
    // A list of the other checksum.
    let blake3 = world.bivouac("digest --tag a").run().expect_code(0).stdout;
    world.write("list", &blake3);
    check().expect_code(1).expect_says("--algorithm blake3");
    world.bivouac("digest -c").stdin(Input::Piped(blake3)).run().expect_code(0).expect_stdout(b"a: OK\n");
}

/// As `cksum --check` does it, which knows no BLAKE3.
#[test]
fn a_line_that_names_its_checksum_needs_no_option() {
    let world = world();
    let (a, bc) = (hash(&world, "a"), hash(&world, "b c"));
    let blake3 = |name: &str| {
        String::from_utf8(world.bivouac("digest --tag").words(&[name]).run().expect_code(0).stdout).unwrap()
    };
    world.shell(
        "sha256sum --tag a 'b c' changed > tagged; sed 's/^SHA256 (a)/SHA256 (gone)/' tagged > lacking",
    );
    for list in ["tagged", "lacking"] {
        for options in ["", "--quiet", "--status", "--ignore-missing", "--strict"] {
            let line = format!("--check {options} {list}");
            let (ours, theirs) = (answer(&world, "bivouac digest", &line), answer(&world, "cksum", &line));
            assert_eq!((&ours.0, ours.2), (&theirs.0, theirs.2), "{line}");
        }
    }
    // Each line by its own.
    let both = format!("SHA256 (a) = {a}\n{}{}SHA256 (b c) = {bc}\n", blake3("a"), blake3("changed"));
    world.write("both", &both);
    let check = |line: &str| world.bivouac(&format!("digest --check {line}")).run();
    check("both").expect_code(0).expect_stdout(b"a: OK\na: OK\nchanged: OK\nb c: OK\n");
    world.append("changed", "x");
    drop(check("both").expect_code(1).expect_says_not("--algorithm").expect_stdout_says("changed: FAILED"));
    // One that was asked for is the only one.
    let only = check("both -a sha256").expect_code(0).expect_says("--algorithm blake3");
    only.expect_stdout(b"a: OK\nb c: OK\n");
    // A line without a name is of BLAKE3, as in lists of `b3sum`.
    world.write("plain", format!("{a}  a\nSHA256 (a) = {a}\n"));
    check("plain").expect_code(1).expect_stdout(b"a: FAILED\na: OK\n");
    // Those that are not computed here are not passed over in silence.
    world.shell("md5sum --tag a > md5; sha256sum --tag a >> md5");
    let unknown = check("md5 -w").expect_code(1).expect_says("`cksum -c` verifies those");
    unknown.expect_says("md5: 1: improperly formatted checksum line").expect_stdout(b"a: OK\n");
}

#[test]
fn with_blake3_a_line_that_cannot_be_read_is_a_failure() {
    let world = world();
    let mut list = world.bivouac("digest a").run().expect_code(0).stdout;
    list.extend_from_slice(b"mangled\n");
    world.write("list", list);
    for options in ["", "--status", "--quiet"] {
        assert_eq!(answer(&world, "bivouac digest", &format!("--check list {options}")).2, 1, "{options}");
    }
}

#[test]
fn lists_are_written_as_sha256sum_writes_them() {
    let world = world();
    world.write("back\\slash", "");
    for options in ["", "--tag", "--zero", "--tag -z"] {
        let wanted = world.shell(&format!("sha256sum {options} a new* 'b c' back*"));
        let words = ["a", "new\nline", "b c", "back\\slash"];
        let run = world.bivouac(&format!("digest --algorithm sha256 {options}")).words(&words).run();
        run.expect_code(0).expect_stdout(&wanted);
    }
    // The parts of a large file come to the same line.
    world.text("big.txt");
    let whole = world.bivouac("digest --tag big.txt").run().expect_code(0).stdout;
    world.bivouac("digest --tag big.txt --limit-rate 40MiB").run().expect_code(0).expect_stdout(&whole);
    for line in
        ["digest --tag --check list", "digest --status a", "digest --strict a", "digest --ignore-missing a"]
    {
        world.bivouac(line).run().expect_code(2);
    }
}

#[test]
fn what_a_person_reads_of_a_list_has_nothing_that_a_terminal_obeys() {
    let world = world();
    for name in ["clear\x1b[2J", "bell\x07", "turned\u{202e}", "c1\u{9b}2J", "del\x7f"] {
        world.write(name, "x");
        let list = world.bivouac("digest").words(&[name]).run().expect_code(0).stdout;
        assert!(list.ends_with(format!("  {name}\n").as_bytes()), "a list has the name as it is");
        world.write("list", &list);
        let good = world.bivouac("digest --check list").run().expect_code(0);
        world.write(name, "y");
        let bad = world.bivouac("digest --check list").run().expect_code(1);
        fs::remove_file(world.path(name)).unwrap();
        let gone = world.bivouac("digest --check list").run().expect_code(1);
        for ended in [good, bad, gone] {
            let seen = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!seen.contains(obeyed), "{}", seen.escape_debug());
        }
        for verb in ["count", "grep x", "digest"] {
            let seen = world.bivouac(&format!("{verb} a")).words(&[name]).run().stderr;
            assert!(!seen.contains(|c: char| c.is_control() && c != '\n'), "{}", seen.escape_debug());
        }
    }
}
