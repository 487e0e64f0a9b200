//! The verbs beside their GNU counterparts: the same bytes, whatever the options and the text.

use crate::data;
use crate::harness::{Input, World};
use crate::tty::Terminal;
use std::process::Stdio;

/// Runs both and compares.
fn same(world: &World, ours: &str, theirs: &str) {
    // A shell that ends with 1 because nothing matched is no failure of the comparison.
    let wanted = world.shell(&format!("{theirs} || test $? -eq 1"));
    let is = world.bivouac(ours).run();
    assert!(
        is.stdout == wanted,
        "bivouac {ours}\n{theirs}\n{}",
        crate::running::first_difference(&is.stdout, &wanted)
    );
}

fn world_with_texts() -> World {
    let world = World::new();
    world.write("a.txt", data::text(11, 200_000));
    world.write("b.txt", data::text(12, 5_000));
    world.write("empty", "");
    world.write("odd.bin", (0..=255u8).cycle().take(70_000).collect::<Vec<u8>>());
    world.text("big.txt");
    world
}

#[test]
fn count_counts_as_wc_does() {
    let world = world_with_texts();
    for files in ["a.txt", "a.txt b.txt empty", "odd.bin", "empty", "big.txt a.txt"] {
        same(&world, &format!("count {files}"), &format!("wc {files}"));
    }
}

#[test]
fn grep_greps_as_grep_does() {
    let world = world_with_texts();
    for files in ["a.txt", "a.txt b.txt empty", "big.txt", "odd.bin"] {
        for options in ["", "-c", "-v", "-n", "-o", "-i", "-F", "-c -v", "-n -o", "-n -v -i", "-o -i"] {
            for pattern in
                ["spin_lock", "[a-z]+_[0-9]+_[a-z]+", "^line", "newline$", "EXPORT|unlock", "nowhere"]
            {
                let same_words = format!("{options} {pattern} {files}");
                let mode = if options.contains("-F") { "" } else { "-E" };
                same(
                    &world,
                    &format!("grep {same_words}"),
                    &format!("grep -a {mode} {options} '{pattern}' {files}"),
                );
            }
        }
    }
}

/// Options that people type, each with a pattern and files: the same bytes and the same code.
#[test]
fn grep_has_the_options_of_grep() {
    let world = world_with_texts();
    world.write("patterns", "spin_lock\n[0-9]{3}\n");
    world.write("none", "");
    for (line, files) in [
        ("-E lock", "a.txt b.txt"),
        ("-w lock", "a.txt"),
        ("-ow [a-z]+_lock", "a.txt b.txt"),
        ("-x line", "a.txt empty"),
        ("-l spin_lock", "a.txt b.txt empty odd.bin"),
        ("-L spin_lock", "a.txt b.txt empty odd.bin"),
        ("-lc spin_lock", "a.txt empty"),
        ("-m 3 lock", "a.txt b.txt"),
        ("-m 1 -c lock", "a.txt b.txt"),
        ("-m 0 lock", "a.txt"),
        ("-m 0 lock", "a.txt missing"),
        ("-L -m 0 lock", "a.txt b.txt"),
        ("-nm 2 -v lock", "a.txt empty b.txt"),
        ("-f patterns", "a.txt b.txt"),
        ("-F -f patterns -c", "a.txt b.txt"),
        ("-f none", "a.txt"),
        ("-f patterns -e unlock -on", "a.txt"),
        ("-nA 2 unlock", "a.txt b.txt"),
        ("-B 1 -m 2 unlock", "a.txt b.txt"),
        ("-C 3 --color=always unlock", "a.txt"),
        ("-Z -l lock", "a.txt b.txt"),
        ("-hs lock", "a.txt missing b.txt"),
        ("-y LOCK -c", "a.txt"),
        ("-r lock -n", "tree"),
        ("-rc lock", "tree a.txt"),
        ("-rc --exclude-dir=tree lock", "tree a.txt"),
        ("-rc --exclude-dir=1* --exclude-dir=2/ lock", "tree"),
        ("-rc --include=*[0-4] --include=a.* --exclude=?1? lock", "tree a.txt b.txt"),
        ("--include=*.bin -c lock", "a.txt odd.bin"),
        ("-n --exclude=b* --exclude empty lock", "a.txt b.txt empty missing"),
        ("-h --include=[!a].txt lock", "a.txt b.txt"),
        ("--include=*.c lock", "a.txt b.txt"),
        ("-q lock", "a.txt b.txt"),
        ("--quiet nowhere_at_all", "a.txt empty"),
        ("--silent -nC 2 lock", "b.txt"),
        ("-qv ^", "a.txt empty"),
        ("-qs lock", "missing a.txt"),
        ("-qs nowhere_at_all", "missing a.txt"),
        ("-qL nowhere_at_all", "a.txt"),
        ("-q -m 0 lock", "a.txt"),
    ] {
        if line.contains("-r") {
            world.tree("tree");
        }
        let ours = world.bivouac(&format!("grep {line} {files}")).run();
        let mode = if line.contains("-F") { "" } else { "-E" };
        let sorted = if line.contains("-r") { "| sort -t: -k1,1 -s" } else { "" };
        let theirs =
            format!("grep -a {mode} {line} {files} 2>/dev/null {sorted}; echo ${{PIPESTATUS[0]}} >code");
        let wanted = world.shell(&theirs);
        let code: i32 = String::from_utf8(world.read("code")).unwrap().trim().parse().unwrap();
        let ours_sorted = match line.contains("-r") {
            true => {
                let mut lines: Vec<&[u8]> = ours.stdout.split_inclusive(|byte| *byte == b'\n').collect();
                lines.sort_by_key(|line| line.split(|byte| *byte == b':').next().unwrap().to_vec());
                lines.concat()
            }
            false => ours.stdout.clone(),
        };
        assert!(ours_sorted == wanted, "{line}: {}", crate::running::first_difference(&ours_sorted, &wanted));
        ours.expect_code(code);
    }
}

#[test]
fn grep_reads_standard_input_without_a_file_and_ends_when_it_has_enough() {
    let world = world_with_texts();
    let text = world.read("a.txt");
    let wanted = world.shell("grep -a spin_lock < a.txt || true");
    world.bivouac("grep spin_lock").stdin(Input::Piped(text)).run().expect_stdout(&wanted);
    world.shell("mkdir nothing");
    for line in ["grep -r spin_lock nothing", "grep --include *.c spin_lock a.txt"] {
        world
            .bivouac(line)
            .stdin(Input::Piped(b"spin_lock\n".to_vec()))
            .run()
            .expect_stdout(b"")
            .expect_code(1);
    }
    let endless = "yes | timeout 60 bivouac grep -m 3 y; echo ${PIPESTATUS[1]}
                   yes | timeout 60 bivouac grep -l y; echo ${PIPESTATUS[1]}";
    assert_eq!(String::from_utf8(world.shell(endless)).unwrap(), "y\ny\ny\n0\n(standard input)\n0\n");
    // The writer neither writes more nor ends.
    world.shell("mkfifo fifo");
    let run = world.bivouac("grep -m 1 y fifo").start();
    let mut writer = std::fs::OpenOptions::new().write(true).open(world.path("fifo")).unwrap();
    std::io::Write::write_all(&mut writer, b"x\ny\n").unwrap();
    run.wait().expect_code(0).expect_stdout(b"y\n");
}

/// bash makes three words of `USR2=ch`, and none of a `=` at the cursor.
#[test]
fn bash_completes_what_stands_after_an_equals_sign() {
    let world = World::new();
    for (line, words, index, current, offered) in [
        ("bivouac grep --on USR2=ch", "bivouac grep --on USR2 = ch", 5, "ch", "checkpoint"),
        ("bivouac signals --on INT=", "bivouac signals --on INT =", 4, "''", "stop abort die"),
        ("bivouac each --progress=f", "bivouac each --progress = f", 4, "f", "full"),
        ("bivouac grep --on USR2", "bivouac grep --on USR2", 3, "USR2", "USR2=stop"),
    ] {
        let script = format!(
            "source <(bivouac completions bash); COMP_LINE='{line}' COMP_POINT=${{#COMP_LINE}} COMP_TYPE=9
             COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({words}); COMP_CWORD={index}
             _clap_complete_bivouac bivouac {current} x || true; echo \"${{COMPREPLY[@]}}\""
        );
        let printed = String::from_utf8(world.shell(&script)).unwrap();
        assert!(printed.starts_with(offered), "{line}: {printed}");
    }
}

#[test]
fn a_quiet_grep_ends_at_the_first_match_and_keeps_no_state() {
    let world = world_with_texts();
    let endless = "yes | timeout 60 bivouac grep -q y; echo ${PIPESTATUS[1]}";
    assert_eq!(String::from_utf8(world.shell(endless)).unwrap(), "0\n");
    // The writer neither writes more nor ends, and another file follows.
    world.shell("mkfifo fifo");
    let run = world.bivouac("grep -q y fifo a.txt").start();
    let mut writer = std::fs::OpenOptions::new().write(true).open(world.path("fifo")).unwrap();
    std::io::Write::write_all(&mut writer, b"x\ny\n").unwrap();
    run.wait().expect_code(0).expect_stdout(b"");
    world.bivouac("grep -q lock a.txt --checkpoint-every 1ms").run().expect_code(0).expect_stdout(b"");
    assert!(!world.exists(".bivouac"));
    let refused = world.bivouac("grep -q lock a.txt --state state").run().expect_code(2);
    assert!(refused.expect_says("leave --state out").stdout.is_empty() && !world.exists("state"));
    // Into a file it prints nothing in any case; there -q silences messages.
    world.bivouac("grep -q lock a.txt --output out").run().expect_code(0).expect_says_not("finished");
    assert_eq!(world.read("out"), world.shell("grep -a lock a.txt"));
}

#[test]
fn count_has_the_options_of_wc() {
    let world = world_with_texts();
    world.write("names", "a.txt\0b.txt\0");
    world.write("utf8", "grüße\t日本\nx\n");
    world.write(
        "wide",
        [b"\xe6\x97\xa5\xe6\x9c\xac \xff\xfe a\tb\rlong\n".as_slice(), &[0xe2, 0x82]].concat(),
    );
    for line in [
        "-L a.txt b.txt",
        "-m a.txt",
        "-lwcmL a.txt empty",
        "-m utf8 wide",
        "-L utf8 wide",
        "-lm utf8",
        "--files0-from names",
        "-l --files0-from=names",
    ] {
        let wanted = world.shell(&format!("LC_ALL=C.UTF-8 wc {line}"));
        // Words are those of the C locale; there are none in doubt here.
        let is = world.bivouac(&format!("count {line}")).run().expect_code(0).stdout;
        assert_eq!(String::from_utf8_lossy(&is), String::from_utf8_lossy(&wanted), "{line}");
    }
    let text = world.read("a.txt");
    let wanted = world.shell("wc < a.txt; wc -l < a.txt");
    let all = world.bivouac("count").stdin(Input::Piped(text.clone())).run().expect_code(0).stdout;
    let lines = world.bivouac("count -l").stdin(Input::Piped(text)).run().expect_code(0).stdout;
    assert_eq!(
        String::from_utf8([all, lines].concat()).unwrap().split_whitespace().collect::<Vec<_>>(),
        String::from_utf8(wanted).unwrap().split_whitespace().collect::<Vec<_>>()
    );
    let wanted = String::from_utf8(world.shell("wc -l a.txt b.txt | tail -n 1")).unwrap();
    let number = wanted.split_whitespace().next().unwrap();
    world.bivouac("count -l --total only a.txt b.txt").run().expect_stdout(format!("{number}\n").as_bytes());
    let never = world.bivouac("count -l --total=never a.txt b.txt").run().expect_code(0).stdout;
    assert_eq!(never, world.shell("wc -l a.txt b.txt | head -n 2"));
    let always = world.bivouac("count -l --total=always b.txt").run().expect_code(0).stdout;
    assert!(String::from_utf8(always).unwrap().ends_with(" total\n"));
    world.write("wrong", "a.txt\0\0gone\0\0b.txt");
    let ended = world.bivouac("count --files0-from wrong").run().expect_code(1);
    let ended = ended.expect_says("wrong:2: invalid zero-length file name").expect_says("wrong:4: invalid");
    ended.expect_says("gone: No such file");
    // A result in a file is whole.
    let whole = world.bivouac("count --files0-from wrong -o out").run().expect_code(2);
    whole.expect_says("wrong:2: invalid zero-length file name").expect_says("--keep-going");
    assert!(!world.exists("out") && !world.exists("out.bivouac"));
    world.bivouac("count --files0-from wrong -o out --keep-going").run().expect_code(1);
    assert_eq!(world.read("out"), world.shell("wc --files0-from wrong 2>&- || :"));
    world.write("lines", "a.txt\nb.txt\n");
    let ended = world.bivouac("count --files0-from lines").run().expect_code(1);
    ended.expect_says("lines: has lines, and no zero bytes after its names\n  tr '\\n' '\\0' <LIST");
    world.bivouac("count --files0-from names a.txt").run().expect_code(2).expect_says("cannot be used with");
}

/// `wc` makes columns as wide as the sum of all sizes, if it knows them before it counts the first file.
#[test]
fn count_aligns_its_numbers_exactly_as_wc_does() {
    let world = World::new();
    for (name, text) in [("a", "one two\n".to_string()), ("b", "x\n".repeat(60))] {
        world.write(name, text);
    }
    std::fs::create_dir(world.path("d")).unwrap();
    for (name, names) in [
        ("l0", ""),
        ("l1", "a\0"),
        ("l2", "a\0b\0"),
        ("unended", "a\0b"),
        ("lacking", "a\0gone\0b\0"),
        ("none", "gone\0"),
        ("dir", "a\0d\0"),
        ("only-dir", "d\0"),
        ("empty-name", "a\0\0b\0"),
        ("empty-names", "\0\0a"),
        ("empty-end", "a\0b\0\0"),
        ("only-empty", "\0"),
    ] {
        world.write(name, names);
        for columns in ["", "-l", "-lw"] {
            for how in ["LIST", "- <LIST", "<(cat LIST)", "/dev/stdin <LIST"] {
                let line = format!("{columns} --files0-from={}", how.replace("LIST", name));
                compare_with_wc(&world, &line);
            }
            compare_with_wc(&world, &format!("{columns} --files0-from=- < <(cat {name})"));
        }
    }
    let lines = "a|a b|gone|a gone|gone a b|d|a d|d gone|-l a|-l a b|- <a|a - <a|<a|-l <a|-c a|-c - <a";
    let streams = "|-l - < <(cat a)|a - < <(cat a)|< <(cat a)|a <(cat b)";
    for line in lines.split('|').chain(streams.split('|')) {
        compare_with_wc(&world, line);
    }
    // `wc` has --total since coreutils 9.2; these are its lines.
    for (line, wanted) in [
        ("--files0-from=l0 --total=always", "0 0 0 total\n"),
        ("--files0-from=l0 --total=only", "0 0 0\n"),
        ("--files0-from=l0 --total=never", ""),
        ("--files0-from=l1 --total=always", "1 2 8 a\n1 2 8 total\n"),
        ("--files0-from=l2 --total=only", "61 62 128\n"),
        ("--files0-from=- --total=always < <(cat l2)", "1 2 8 a\n60 60 120 b\n61 62 128 total\n"),
        ("--files0-from=- --total=never < <(cat l2)", "1 2 8 a\n60 60 120 b\n"),
        ("--total=always a", "1 2 8 a\n1 2 8 total\n"),
        ("--total=always gone", "0 0 0 total\n"),
        ("--total=never a b", "  1   2   8 a\n 60  60 120 b\n"),
    ] {
        let (stdout, _) = wc(&world, "bivouac count", line);
        assert_eq!(stdout, wanted, "{line}");
    }
}

fn wc(world: &World, program: &str, line: &str) -> (String, Option<i32>) {
    let line = format!("export LC_ALL=C; {program} {line}");
    let output = world.command("bash").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

fn compare_with_wc(world: &World, line: &str) {
    assert_eq!(wc(world, "bivouac count", line), wc(world, "wc", line), "{line}");
}

#[test]
fn grep_takes_several_patterns() {
    let world = world_with_texts();
    same(&world, "grep -e foo_12_bar -e ^static a.txt", "grep -a -E -e foo_12_bar -e '^static' a.txt");
}

#[test]
fn a_pattern_that_plain_grep_reads_otherwise_is_a_warning_whatever_is_found() {
    let world = World::new();
    world.write("f", "foo\nbar\nfoo|bar\n");
    let grep = |words: &[&str]| world.bivouac("grep").words(words).words(&["f"]).run();
    for (typed, code) in [
        (["foo\\|bar"].as_slice(), 0),
        (&["-q", "foo\\|bar"], 0),
        (&["-v", "foo\\|bar"], 0),
        (&["-c", "-e", "x", "-e", "\\(o\\)"], 1),
        (&["-L", "$HOME"], 1),
    ] {
        grep(typed).expect_code(code).expect_says("-G; if it is meant so: -E");
    }
    for typed in [["-E", "foo\\|bar"].as_slice(), &["foo|b"], &["(^foo|r$)"], &["-P", "o\\|b"]] {
        grep(typed).expect_code(0).expect_says_not("-G");
    }
    grep(&["-F", "foo\\|bar"]).expect_code(1).expect_says_not("-G");
    grep(&["-G", "foo\\|bar"]).expect_code(0).expect_stdout(b"foo\nbar\nfoo|bar\n");
}

#[test]
fn what_is_printed_does_not_go_into_an_input() {
    let world = World::new();
    let text = "foo\nbar\nfoo\n".repeat(1000);
    let refuses = |line: &str, name: &str| {
        world.write("f", &text);
        world.write("other", "foo\n");
        world.shell(&format!("{line} 2>says; echo $? >code"));
        assert_eq!(world.read("code"), b"2\n", "{line}");
        let says = String::from_utf8(world.read("says")).unwrap();
        assert!(
            says.contains(&format!("{name}: is an input, and standard output is the same file")),
            "{line}: {says}"
        );
        assert!(world.read("f") == text.as_bytes(), "{line}");
    };
    for line in ["bivouac grep foo f >>f", "bivouac grep foo other ./f 1<>f", "bivouac grep -m 2 foo f >>f"] {
        refuses(line, "f");
    }
    refuses("bivouac grep -C 2 foo <f >>f", "standard input");
    refuses("bivouac pipe f -- cat >>f", "f");
    refuses("bivouac each -a f echo >>f", "f");
    refuses("bivouac each echo <f >>f", "standard input");
    // As with GNU, a number or a name may be added to what it is about.
    for (line, adds) in [
        ("grep -c foo f", "2000\n"),
        ("grep -q foo f", ""),
        ("grep -l foo f", "f\n"),
        ("grep -m 1 foo f", "foo\n"),
        ("count -l f", "3000 f\n"),
    ] {
        world.write("f", &text);
        world.shell(&format!("bivouac {line} >>f"));
        assert!(world.read("f") == format!("{text}{adds}").as_bytes(), "{line}");
    }
}

#[test]
fn the_file_that_is_printed_into_is_not_searched_for_in_a_tree() {
    let world = World::new();
    world.shell("mkdir tree; echo foo >tree/a; echo foo >tree/out");
    world.shell("bivouac grep -r foo tree >>tree/out; bivouac grep -r foo $PWD/tree >>tree/out");
    let found = String::from_utf8(world.shell("sed 's:.*/tree:tree:' tree/out")).unwrap();
    assert_eq!(found, "foo\ntree/a:foo\ntree/a:foo\n");
    world.shell("cd tree; bivouac digest >out .");
    assert_eq!(String::from_utf8(world.shell("sed 's/.* //' tree/out")).unwrap(), "./a\n");
}

#[test]
fn grep_ends_with_1_when_nothing_matched_and_0_when_something_did() {
    let world = world_with_texts();
    world.bivouac("grep nowhere_at_all a.txt").run().expect_code(1).expect_stdout(b"");
    world.bivouac("grep lock a.txt").run().expect_code(0);
    world.bivouac("grep -c nowhere_at_all a.txt").run().expect_code(1).expect_stdout(b"0\n");
}

#[test]
fn digest_prints_what_sha256sum_prints() {
    let world = world_with_texts();
    world.tree("tree");
    world.write("tree/with\nnewline", "x");
    world.write("tree/back\\slash", "y");
    same(
        &world,
        "digest --algorithm sha256 tree",
        "find tree -type f -print0 | sort -z | xargs -0 sha256sum",
    );
    same(&world, "digest --algorithm sha256 big.txt a.txt", "sha256sum big.txt a.txt");
}

#[test]
fn digest_prints_the_blake3_of_every_size() {
    let world = World::new();
    // Around the edges of BLAKE3's chunks (1 KiB) and of the pieces that are hashed apart.
    for size in [0, 1, 1023, 1024, 1025, 65_536, 65_537, 1 << 20, (1 << 20) + 1, (4 << 20) - 1, (5 << 20) + 7]
    {
        let mut bytes = data::large_text()[..size].to_vec();
        bytes.reverse();
        world.write("f", &bytes);
        let wanted = format!("{}  f\n", blake3::hash(&bytes));
        world.bivouac("digest f").run().expect_code(0).expect_stdout(wanted.as_bytes());
    }
}

#[test]
fn digest_checks_a_list_and_names_what_differs() {
    let world = world_with_texts();
    for (algorithm, list) in [("sha256", "sums.sha256"), ("blake3", "sums.b3")] {
        world
            .bivouac(&format!("digest --algorithm {algorithm} a.txt b.txt empty -o {list}"))
            .run()
            .expect_code(0);
        let check = format!("digest --algorithm {algorithm} --check {list}");
        world.bivouac(&check).run().expect_code(0);
        let text = world.read("b.txt");
        world.append("b.txt", "x");
        let failed = world.bivouac(&check).run().expect_code(1);
        let said = String::from_utf8_lossy(&failed.stdout).into_owned();
        assert!(said.contains("b.txt: FAILED"), "{said}");
        assert!(!said.contains("a.txt: FAILED"), "{said}");
        world.write("b.txt", text);
    }
    world.shell("sha256sum --check --quiet sums.sha256");
}

#[test]
fn the_number_of_workers_does_not_show() {
    let world = world_with_texts();
    for arguments in
        ["count big.txt a.txt", "grep -n lock big.txt", "digest big.txt", "grep -o [a-z]+_lock big.txt"]
    {
        let one = world.bivouac(arguments).with("--jobs 1").run().expect_code(0).stdout;
        let many = world.bivouac(arguments).with("--jobs 7").run().expect_code(0);
        many.expect_stdout(&one);
    }
}

#[test]
fn what_a_person_reads_goes_to_stderr_and_results_to_stdout() {
    let world = world_with_texts();
    let quiet = world.command(crate::harness::BIVOUAC).args(["count", "a.txt", "-q"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
    assert_eq!(quiet.stdout, world.shell("wc a.txt"));
}

#[test]
fn help_version_completions_and_manual_pages() {
    let world = World::new();
    let version = world.command(crate::harness::BIVOUAC).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("bivouac {}\n", env!("CARGO_PKG_VERSION")));
    for verb in ["count", "grep", "digest", "clean"] {
        let help = world.command(crate::harness::BIVOUAC).args([verb, "--help"]).output().unwrap();
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(help.contains("Examples"), "bivouac {verb} --help has no examples:\n{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let completions =
            world.command(crate::harness::BIVOUAC).args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8_lossy(&completions.stdout).contains("bivouac"), "{shell}");
    }
    world.shell("bivouac completions bash | bash -n");
    world.shell("HOME=$PWD/h XDG_DATA_HOME= SHELL=/bin/bash bivouac completions --install 2>said");
    assert!(world.exists("h/.local/share/bash-completion/completions/bivouac"));
    world.shell(
        "mkdir man; bivouac man man 2>said; test -s man/bivouac.1; test -s man/bivouac-grep.1 || exit 9",
    );
    assert!(world.exists("man/bivouac.1") && world.exists("man/bivouac-grep.1"));
    // Somebody wants to read about it.
    world.bivouac("man grep").run().expect_code(2).expect_says("bivouac grep --help");
    assert!(!world.exists("grep"));
    for help in ["--help", "help", "-h"] {
        let listed = "help         Print this message, or the help of a verb";
        world.bivouac(help).run().expect_code(0).expect_stdout_says(listed);
    }
}

#[test]
fn a_pattern_may_come_with_a_file_from_a_pipe() {
    let world = world_with_texts();
    let text = world.read("a.txt");
    let wanted = world.shell("grep -a -c spin_lock a.txt || true");
    world
        .bivouac("grep -c spin_lock -")
        .stdin(Input::Piped(text))
        .run()
        .expect_code(0)
        .expect_stdout(&wanted);
}

/// As GNU grep does: what a terminal shows of bytes that are no text may be anything.
#[test]
fn on_a_terminal_a_line_that_is_no_text_is_named_and_not_shown() {
    let world = World::new();
    world.write("f", b"a text\na \0 one\na third\n");
    let terminal = Terminal::open(&world);
    let terminal = terminal.types("bivouac grep a f").until("binary file matches").until_status(0);
    assert!(terminal.seen.contains("a text") && !terminal.seen.contains("a third"), "{:?}", terminal.seen);
    let terminal = terminal.types("bivouac grep -a a f").until("a third").until_status(0);
    terminal.close();
    world.bivouac("grep a f").run().expect_code(0).expect_stdout(b"a text\na \0 one\na third\n");
}
