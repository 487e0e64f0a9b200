//! Lines that users of GNU parallel type, and the bytes that GNU parallel 20221122 prints for them.
//!
//! Each line was run by both, side by side. Where the two differ on purpose, `docs/from-parallel.md` says so, and
//! the line is in no table here.

use super::{EFFECT, each, effects, expect_each_once, list};
use crate::harness::{Input, World};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

fn prints(line: &str, input: &str, wanted: &str) {
    let world = World::new();
    world.write("f", "one\ntwo\n");
    world.write("g", "1\n2\n");
    world.write("h", "f1,f2\na,b\nc,d\n");
    world.write("c", "\"a, \"\"q\"\"\nx\",b\nc,d\n");
    world.write("t", "name\tsize\nx y\t1\nz\t2\n");
    let words = shlex::split(line).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let line_of = world.bivouac("each -k").words(&words).stdin(Input::Piped(input.into()));
    let ended = line_of.run().expect_code(0);
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), wanted, "{line}");
}

#[test]
fn an_item_has_columns() {
    for (line, wanted) in [
        ("--colsep , echo {1} {2} {3} ::: a,b ::: c", "a b c\n"),
        ("-C , echo ::: a,b c", "a b\nc\n"),
        ("--colsep , echo {1}-{3} ::: a,b", "a-\n"),
        ("-C , echo {1}-{2}-{3}-{-1} ::: a,b,", "a-b--\n"),
        ("--colsep '[,;]' echo {1}{2}{3} ::: 'a,b;c'", "abc\n"),
        ("-C '\\|' echo {2} ::: 'a|b'", "b\n"),
        ("-C ', *' --trim n echo {1}{2} ::: 'a,  b'", "ab\n"),
        ("-C , --tag echo {2} ::: a,b", "a b\tb\n"),
        ("-C , -n2 echo {1}-{2}-{3}-{4} ::: a,b c,d e,f", "a-b-c-d\ne-f--\n"),
        ("-C , --dry-run echo {2} ::: a,b", "echo b\n"),
        ("--trim lr echo x{}x ::: '  a  '", "xax\n"),
        ("--csv -a c echo {1}:{2}", "a, \"q\"\nx:b\nc:d\n"),
        ("--csv --colsep ';' echo {1}:{2} ::: 'a;\"b;c\"'", "a:b;c\n"),
        ("--csv --trim lr echo {1}x{2}x ::: ' a , b '", "axbx\n"),
    ] {
        prints(line, "", wanted);
    }
    prints("-C '\\t' echo {2}", "a\tb\nc\td\n", "b\nd\n");
    prints("--csv echo {2}", "a,\"b\r\nc\"\r\nd,e\r\n", "b\r\nc\ne\n");
}

#[test]
fn columns_have_names() {
    for (line, wanted) in [
        ("--header : echo {f1} {f2} ::: f1 A B ::: f2 C D", "A C\nA D\nB C\nB D\n"),
        ("--header : -C , -a h echo {f2}={f1} {1} {nope}", "b=a a {nope}\nd=c c {nope}\n"),
        ("--header : -C , -a h echo", "a b\nc d\n"),
        ("--header : --csv -a h echo {f2}={f1} {#}", "b=a 1\nd=c 2\n"),
        ("--header : -C '\\t' -a t echo {size} {name}", "1 x y\n2 z\n"),
        ("--header : echo {one}{x} :::: f :::+ x y z", "twoy\n"),
        ("--header : --link echo {one}{x} :::: f ::: x y z", "twoy\ntwoz\n"),
        ("--header : -n2 echo ::: h a b c d e", "a b\nc d\ne\n"),
        ("--header : echo {/.} {h/.} ::: h x/1.2", "1 1\n"),
        ("--header : -C , echo '{a b}' ::: 'a b,c' 1,2", "1\n"),
        ("--header : echo {1} ::: a", ""),
    ] {
        prints(line, "", wanted);
    }
    prints("--header : -C , echo {y}-{x}", "x,y\n1,2\n3,4\n", "2-1\n4-3\n");
    let world = World::new();
    world.write("h", "f1,f2\na,b\n");
    let shell = each(&world, "-k --shell --header : -C , -a h", &["echo \"{f2}\" '{f1}' | cat"]).run();
    shell.expect_code(0).expect_stdout(b"b a\n");
}

#[test]
fn sources_go_in_step_and_a_shorter_one_begins_again() {
    for (line, wanted) in [
        ("--link echo ::: a b c ::: 1 2", "a 1\nb 2\nc 1\n"),
        ("--xapply echo {1}{2}{3} ::: a b c ::: 1 2 ::: x", "a1x\nb2x\nc1x\n"),
        ("--link echo :::: f ::: x y z", "one x\ntwo y\none z\n"),
        ("--link echo ::: a b :::+ 1 2 ::: x y z", "a 1 x\nb 2 y\na 1 z\n"),
        ("--link -C , echo {1}{2}{3} ::: a,b c,d e,f ::: 1 2", "ab1\ncd2\nef1\n"),
        ("--link -a f -a g echo", "one 1\ntwo 2\n"),
    ] {
        prints(line, "", wanted);
    }
}

#[test]
fn how_many_items_a_command_gets_and_which_are_none() {
    for (line, input, wanted) in [
        ("-N0 echo hi ::: 1 2", "", "hi\nhi\n"),
        ("-n0 echo hi {#} ::: 1 2", "", "hi 1\nhi 2\n"),
        ("-N2 echo x{} ::: a b c", "", "xa xb\nxc\n"),
        ("-n2 echo x{} ::: a b c", "", "xa b\nxc\n"),
        ("-L2 echo x{} ::: a b c", "", "xa xb\nxc\n"),
        ("-N2 echo {1}-{2} ::: a b c", "", "a-b\nc-\n"),
        ("-N2 echo {1}-{2} ::: a b c ::: 1 2", "", "a-1\nb-1\nc-1\n"),
        ("-L2 echo :::: f g", "", "one 1 one 2\ntwo 1 two 2\n"),
        ("-L2 echo", "a b\n\nc \nd\n", "a b \nc d\n"),
        ("-l echo", "a b\n\nc \nd\n", "a b\n\nc d\n"),
        ("--max-lines=2 echo ::: a b c d", "", "a b\nc d\n"),
        ("-r echo x{}", "a b\n\nc\nd\n", "xa b\nxc\nxd\n"),
        ("-r echo x{}", "", ""),
        ("-E EOF echo", "a\nb\nEOF\nc\n", "a\nb\n"),
        ("-n 2 -s 13 echo", "7777777\n88888888\n9\n10\n", "7777777\n88888888\n9 10\n"),
        ("-j1 -X -s 9 echo", "a\nb\nc\n", "a b\nc\n"),
        ("-j1 -m -s 9 echo", "a\nb\nc\n", "a b\nc\n"),
        ("-j1 -X -s 8 echo", "a\nb\n", "a\nb\n"),
        ("-E c echo ::: a b c d ::: 1 c 2", "", "a 1\nb 1\n"),
        // Two that say the same thing.
        ("-N2 -L1 echo ::: a b c", "", "a b\nc\n"),
        ("-L1 -N2 echo ::: a b c", "", "a b\nc\n"),
        ("-j1 -X -m echo x{}y ::: a b", "", "xay xby\n"),
        ("-j1 --xargs -X echo x{}y ::: a b", "", "xay xby\n"),
        ("-j1 -m --xargs echo x{}y ::: a b", "", "xa by\n"),
    ] {
        prints(line, input, wanted);
    }
}

#[test]
fn other_names_and_more_placeholders() {
    for (line, wanted) in [
        ("-I ,, echo ,, {} ::: a b", "a {}\nb {}\n"),
        ("-I ,, echo ,, {.} {/} {1} ::: a.b", "a.b a a.b {1}\n"),
        ("-Iab echo abab ::: q", "qq\n"),
        ("-I ,, --er ++ echo ,, ++ {} {.} {/} ::: A/B.C", "A/B.C A/B {} {.} B.C\n"),
        ("--bnr ,, echo ,, ::: A/B.C", "B.C\n"),
        ("--dnr ,, echo ,, ::: A/B.C", "A\n"),
        ("--bner ,, echo ,, ::: A/B.C", "B\n"),
        ("--seqreplace ,, echo ,, ::: A B", "1\n2\n"),
        ("-j1 --slotreplace ,, echo ,, ::: A B", "1\n1\n"),
        ("--arg-sep ,, echo ,, A B :::: g", "A 1\nA 2\nB 1\nB 2\n"),
        ("--arg-file-sep // echo ::: A B //+ g", "A 1\nB 2\n"),
        ("-i echo {} x ::: a", "a x\n"),
        ("--replace=,, echo ,, ::: a", "a\n"),
        ("--plus echo {..} {...} {/..} {/...} ::: d/f.e1.e2.e3", "d/f.e1 d/f f.e1 f\n"),
        ("--plus echo {+/} {+.} {+..} {+...} ::: d/f.e1.e2.e3", "d e3 e2.e3 e1.e2.e3\n"),
        ("--plus echo '{%.gz} {%%.*} {#a}' ::: aba.x.gz", "aba.x  ba.x.gz\n"),
        ("--plus echo {:2} {:2:3} ::: abcdefgh", "cdefgh cde\n"),
        ("--plus echo {/b/X} {//b/X} {//a/} {/b/} ::: abab/ab", "aXab/ab aXaX/aX bb/b aab/ab\n"),
        ("--plus echo {^a} {^^a} '{^^[ab]}' ::: abcabc", "Abcabc AbcAbc ABcABc\n"),
        ("--plus echo {,A} {,,A} ::: ABCABC", "aBCABC aBCaBC\n"),
        ("--plus echo {:-default}x ::: a ''", "ax\ndefaultx\n"),
        ("--plus echo {1..} {2+.} {1%.gz} {1:1} {1/a/b} ::: a.b.gz ::: c.d", "a d a.b .b.gz b.b.gz\n"),
        ("--plus echo {##} {#} ::: a b", "2 1\n2 2\n"),
        ("--plus echo {0#} ::: a b c d e f g h i j", "01\n02\n03\n04\n05\n06\n07\n08\n09\n10\n"),
        ("echo {..} {+/} ::: d/a.b.c", "d/a d\n"),
    ] {
        prints(line, "", wanted);
    }
}

#[test]
fn what_stands_before_a_line_and_where_commands_run() {
    for (line, wanted) in [
        ("--tagstring {}-{#} echo ::: a b", "a-1\ta\nb-2\tb\n"),
        ("--tagstring 'x {1.}\\t{2}' echo ::: a.b c.d ::: 1", "x a\t1\ta.b 1\nx c\t1\tc.d 1\n"),
        ("--tagstring {/.} --tag echo ::: a/b.c", "b\ta/b.c\n"),
        ("--tagstring '' echo ::: a b", "a\nb\n"),
        ("--tag echo x ::: '' b", "\tx \nb\tx b\n"),
        ("--tag-string x -j1 echo ::: a", "x\ta\n"),
        ("--plus --tagstring {%.gz} echo ::: a.gz b", "a\ta.gz\nb\tb\n"),
        ("--header : --tagstring {a} echo {a} ::: a 1", "1\t1\n"),
        ("-I ,, --tagstring ,, echo ,, ::: a", "a\ta\n"),
        ("--wd / pwd ::: a", "/\n"),
        ("--wd sub/{} sh -c 'basename $PWD; cat ../../f' ::: x y", "x\none\ntwo\ny\none\ntwo\n"),
        ("--workdir . ls f ::: f", "f\nf\n"),
        ("--wd sub --shell 'basename $PWD; echo {}' ::: a", "sub\na\n"),
        ("--will-cite --no-notice --gnu --plain --group -r --env HOME --env _ echo ::: a", "a\n"),
        ("--nice 19 -N0 nice ::: a", "19\n"),
        ("--dryrun echo ::: a 'b c'", "echo a\necho 'b c'\n"),
        ("-t echo ::: a b", "a\nb\n"),
        ("-j1 --shuf --seed 3 echo {#}:{} ::: a b c d e", "1:e\n2:d\n3:a\n4:c\n5:b\n"),
    ] {
        prints(line, "", wanted);
    }
    let world = World::new();
    world.write("sub/tool", "#!/bin/sh\necho here $1\n");
    world.shell("chmod +x sub/tool");
    each(&world, "--wd sub", &["./tool", ":::", "a"]).run().expect_code(0).expect_stdout(b"here a\n");
    each(&world, "--wd sub/tool", &["pwd", ":::", "a"]).run().expect_code(2).expect_says("sub/tool");
    let one = each(&world, "-k --wd", &["{}", "pwd", ":::", "sub/tool", "/"]).run().expect_code(1);
    one.expect_stdout(b"/\n").expect_says("item 1 (sub/tool): cannot be run in sub/tool");
    each(&world, "--wd ...", &["pwd", ":::", "a"])
        .run()
        .expect_code(2)
        .expect_says("--workdir /var/tmp/x/{#}");
    let traced = each(&world, "-t -j1", &["echo", "x", ":::", "a b"]).run().expect_code(0);
    assert!(traced.stderr.lines().any(|line| line == "echo x 'a b'"), "{}", traced.stderr);
}

/// Functions of bash are variables, which commands have anyway.
#[test]
fn exported_functions_and_variables_need_no_env() {
    let world = World::new();
    let script = "export WORD=hi; f() { echo \"$WORD $1\"; }; export -f f; \
                  bivouac each -k --env WORD --env f --shell=bash f ::: a b";
    assert_eq!(String::from_utf8(world.shell(script)).unwrap(), "hi a\nhi b\n");
}

#[test]
fn the_names_of_files_are_printed_in_place_of_what_is_in_them() {
    let world = World::new();
    let printed = each(&world, "-k --files --results out", &["echo", ":::", "a", "b"]).run().expect_code(0);
    printed.expect_stdout(b"out/1/stdout\nout/2/stdout\n");
    assert_eq!(world.read("out/2/stdout"), b"b\n");
    let line = "-k --files --tmpdir . --tag --fresh";
    let printed = each(&world, line, &["echo", ":::", "a", "b"]).run().expect_code(0);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let names: Vec<&str> = printed.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert!(printed.starts_with("a\t./bivouac-") && names.len() == 2, "as parallel prints them: {printed}");
    assert_eq!(world.read(names[1]), b"b\n");
    // Nothing is left of a run in which nothing ran.
    let before = world.contents(".").len();
    let again = each(&world, "-k --files --tmpdir . --tag", &["echo", ":::", "a", "b"]).run().expect_code(0);
    drop(again.expect_says("already finished").expect_stdout(b""));
    assert_eq!(world.contents(".").len(), before);
    std::fs::create_dir(world.path("t")).unwrap();
    let line = format!("-k --files --fresh --tmpdir {}", world.path("t").display());
    for (options, start) in [("-k --files --fresh --tmpdir t", "t/bivouac-"), (line.as_str(), "/")] {
        let printed = each(&world, options, &["echo", ":::", "a"]).run().expect_code(0).stdout;
        assert!(printed.starts_with(start.as_bytes()), "{}", String::from_utf8_lossy(&printed));
    }
}

#[test]
fn a_random_order_is_kept_by_a_run_that_goes_on() {
    let world = World::new();
    list(&world, 0..100);
    let line = |options: &str| each(&world, &format!("--state s -j 2 -a items {options}"), &EFFECT);
    let run = line("--checkpoint-every 20ms --shuf").start();
    run.until_checkpoint_at_least(10).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    line("").run().expect_code(3).expect_says("shuffled by seed");
    line("--shuf --seed 1").run().expect_code(3).expect_says("shuffled by seed 1");
    line("--shuf").run().expect_code(0).expect_resumed_at_least(10);
    expect_each_once(&world, 100);
}

/// The total is that of the list as this run finds it, from a pipe too.
#[test]
fn how_many_there_are_is_known_of_a_pipe_too() {
    prints("echo {#} of {##}: {}", "a\nb\n", "1 of 2: a\n2 of 2: b\n");
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_type() {
    let world = World::new();
    for (line, says) in [
        ("each -C ( echo ::: a", "--colsep"),
        ("each -C | echo ::: a", "\\|"),
        ("each --csv -C ab echo ::: a", "one byte"),
        ("each --header 2 echo ::: a", "`:`"),
        ("each echo {%.gz} ::: a", "--plus"),
        ("each --plus echo {%(} ::: a", "regular expression"),
        ("each echo {=$_=} ::: a", "{/RE/NEW} with --plus"),
        ("each --rpl x echo ::: a", "{/RE/NEW} with --plus"),
        ("each echo {uniq} ::: a", "test {1} = {2} ||"),
        ("each echo {choose_k} ::: a", "--shell=bash '[[ ! {1} < {2} ]] ||"),
        ("each echo {0%} ::: a", "$(printf %03d {%})"),
        ("each --wd ... echo ::: a", "--workdir /var/tmp/x/{#}"),
        ("each -N 2 --shell echo:x{} ::: a b", "use -m or -n"),
        ("each -I  echo ::: a", "-I"),
        ("each -s 100 echo ::: a", "add -X"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        world.bivouac("each").words(&words[1..]).run().expect_code(2).expect_says(says);
    }
    assert_eq!(world.contents(".").len(), 0);
}

/// The header is read before the job begins, and what is read of the pipe for it is not lost.
#[test]
fn a_job_with_columns_from_a_pipe_goes_on_where_it_was() {
    for signal in [SIGTERM, SIGKILL] {
        let world = World::new();
        let rows: String = (0..100).map(|n| format!("\"row\n{n}\",x{n}\n")).collect();
        let rows = format!("name,other\n{rows}");
        let effect = ["sh", "-c", "sleep 0.02; echo $0 $1 >>effects", "{name}", "{other}"];
        let line = each(&world, "--checkpoint-every 20ms -j 2 --csv --header :", &effect);
        let line = line.stdin(Input::Piped(rows.into_bytes()));
        line.start().until_checkpoint_at_least(20).signal(signal).wait();
        assert!(effects(&world).len() < 100);
        // The watcher of a killed run holds its state for a moment.
        let mut again = line.run();
        while again.code() == Some(5) {
            again = line.run();
        }
        again.expect_code(0);
        let done = effects(&world);
        assert_eq!(done.len(), 100);
        if signal == SIGTERM {
            expect_each_once(&world, 100);
        }
        assert!(done.contains_key("row 17 x17"), "{done:?}");
    }
}

/// What item 17 is, depends on these; a state that was made with others is refused by the name of what differs.
#[test]
fn a_state_of_other_columns_is_refused() {
    let world = World::new();
    world.write("items", (0..100).map(|n| format!("a,{n}\n")).collect::<String>());
    let effect = ["sh", "-c", "sleep 0.02; echo $0 >>effects", "{2}"];
    let line = |options: &str| each(&world, &format!("--state s -j 2 -a items {options}"), &effect);
    let run = line("--checkpoint-every 20ms -C ,").start();
    run.until_checkpoint_at_least(10).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    for (options, says) in [
        ("-C ;", "columns.colsep"),
        ("-C , --trim n", "columns.trim"),
        ("-C , --header :", "command.names"),
        ("-C , --link", "combined"),
        ("-C , -E x", "end mark"),
        ("-C , -r", "blanks"),
    ] {
        line(options).run().expect_code(3).expect_says(says);
    }
    line("-C ,").run().expect_code(0);
    expect_each_once(&world, 100);
    let log = world.bivouac("log s --joblog").run().expect_code(0);
    log.expect_stdout_says("sh -c 'sleep 0.02; echo $0 >>effects' 17\n");
}

/// Nothing is there yet that a signal could harm.
#[test]
fn a_wait_for_the_header_or_for_a_list_to_be_shown_ends_with_a_signal() {
    for options in ["--header :", "--dry-run"] {
        let world = World::new();
        let run = each(&world, options, &["echo", "{}"]).stdin(Input::Dangling(Vec::new())).start();
        crate::pipe::until("it waits", || {
            std::fs::read_to_string(format!("/proc/{}/wchan", run.pid())).is_ok_and(|at| at.contains("poll"))
        });
        run.signal(SIGTERM).wait().expect_killed_by(SIGTERM);
        assert_eq!(world.contents(".").len(), 0);
    }
}
