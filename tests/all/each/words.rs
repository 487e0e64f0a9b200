//! Words of a command that only a shell understands; as many items as fit; lines as they come.

use super::each;
use crate::harness::{Input, World};

#[test]
fn what_only_a_shell_understands_is_refused_before_anything_starts_with_the_line_to_type() {
    let world = World::new();
    for (words, line) in [
        (&["touch {} | x", ":::", "a"][..], "bivouac each --shell 'touch {} | x' ::: a"),
        (&["touch {}; x", ":::", "a"], "--shell 'touch {}; x' ::: a"),
        (&["touch a b", ":::", "a"], "remove the quotes"),
        (&["cd /tmp && touch {}", ":::", "a"], "--shell"),
        (&["cd", ":::", "a"], "builtin of the shell"),
        (&["[[ {} == a ]] && touch a", ":::", "a"], "--shell=bash"),
        (&["X=1", "touch", "a", ":::", "a"], "sets a variable"),
        (&["touch", "{}", "|", "wc", ":::", "a"], "--shell 'touch {} | wc' ::: a"),
        (&["touch", "{}", ">", "{}.out", ":::", "a"], "--shell 'touch {} > {}.out'"),
        (&["touch", "{}", "&&", "cd", "x", ":::", "a"], "--shell"),
        (&["touch", "{};", "exit", "{}", ":::", "a"], "--shell 'touch {}; exit {}' ::: a"),
        (&["touch", "{};date", ":::", "a"], "--shell 'touch {};date' ::: a"),
        (&["touch", "a{#};cat;date", ":::", "a"], "--shell 'touch a{#};cat;date' ::: a"),
        (&["touch", "a;", "date", ":::", "a"], "--shell 'touch a; date' ::: a"),
        (&["touch", "{=", "$_++", "=}", ":::", "a"], "no Perl is run here"),
        (&["touch", "{= $_=", "'a' =}", ":::", "a"], "no Perl is run here"),
        (&["touch", "{= s/.{2}// =}", ":::", "a"], "no Perl"),
        (&["--tagstring", "{= $_ =}", "touch", "a", ":::", "a"], "no Perl"),
        (&["touch", "{2uniq}", ":::", "a"], "leave such pairs out"),
        (&["touch", "{}", ">{.}.out", ":::", "a"], "--shell 'touch {} >{.}.out'"),
        (&["[", "-f", "{}", "]", "||", "touch", "{}", ":::", "a"], "--shell '[ -f {} ] || touch {}'"),
        (&["x={}; y=$x;", "touch", "$y", ":::", "a"], "--shell 'x={}; y=$x; touch $y' ::: a"),
        (&["touch {} | tee >(cat)", ":::", "a"], "--shell=bash 'touch {} | tee >(cat)' ::: a"),
        (&["x={}; touch ${x:1}", ":::", "a"], "--shell=bash 'x={}; touch ${x:1}' ::: a"),
        (&["touch", "{}", "&>", "{}.log", ":::", "a"], "--shell=bash 'touch {} &> {}.log'"),
        (&["--results", "r/{1}", "touch", "a", ":::", "a"], "takes no placeholder"),
        (&["--results", "{= `date` =}/", "touch", "a", ":::", "a"], "no Perl"),
        (&["-o", "{.}.out", "touch", "a", ":::", "a"], "takes no placeholder"),
    ] {
        // The harness says --verbose right behind the verb.
        let ended = each(&world, "", words).run().expect_code(2);
        let said = line.replace("bivouac each ", "");
        drop(ended.expect_says(&said));
        assert!(!world.exists("a") && !world.exists(".bivouac"), "{words:?}");
    }
}

#[test]
fn words_of_programs_that_look_like_a_shells_are_left_alone() {
    let world = World::new();
    world.write("f", "a|b\n");
    for words in [
        &["cut", "-d", "|", "-f1", ":::", "f"][..],
        &["expr", "{}", "|", "0", ":::", "1"],
        &["find", ".", "-name", "{}", "-exec", "echo", "{}", ";", ":::", "f"],
        &["echo", "a", "|", "no such command", ":::", "1"],
        &["echo", "a;", "b", "a{print};x", "a{};B", ":::", "1"],
    ] {
        each(&world, "--fresh", words).run().expect_code(0);
    }
}

/// GNU parallel gives its words to a shell, so people quote them twice. That may also be meant, so the command runs.
#[test]
fn quotes_for_a_shell_that_is_not_there_get_a_warning_with_the_line_to_type() {
    let world = World::new();
    let each = |words: &[&str]| each(&world, "--fresh", words).under("env WORD=w").run().expect_code(0);
    for (words, line) in [
        (["echo", "\"$WORD\"", ":::", "a"], "--shell 'echo \"$WORD\"' ::: a"),
        (["echo", "$WORD", ":::", "a"], "--shell 'echo $WORD' ::: a"),
        (["echo", "${BIVOUAC_SEQ}", ":::", "a"], "--shell 'echo ${BIVOUAC_SEQ}' ::: a"),
        (["echo", "'two  words'", ":::", "a"], "--shell \"echo 'two  words'\" ::: a"),
    ] {
        let ended = each(&words).expect_says("no shell reads").expect_says(line);
        ended.expect_stdout(format!("{} a\n", words[1]).as_bytes());
    }
    for word in
        ["'one'", "\"one two\"", "$NO_SUCH_WORD", "it's", "'a b' 'c d'", "$", "'", "\"$a\" \"$b\"", "s/a$/b/"]
    {
        each(&["echo", word, ":::", "a"]).expect_says_not("no shell reads");
    }
}

#[test]
fn a_variable_that_only_gnu_parallel_sets_gets_a_warning() {
    let world = World::new();
    let seq = ["echo ${PARALLEL_SEQ}: {}", ":::", "a"];
    let each = |words: &[&str]| each(&world, "--fresh --shell", words);
    drop(
        each(&seq)
            .run()
            .expect_code(0)
            .expect_stdout(b": a\n")
            .expect_says("type $BIVOUAC_SEQ in its place, or {#}"),
    );
    let slot = each(&["echo $PARALLEL_JOBSLOT {}", ":::", "a"]).run().expect_code(0);
    drop(slot.expect_says("type $BIVOUAC_SLOT in its place, or {%}"));
    let within = each(&seq).under("env PARALLEL_SEQ=7").run().expect_code(0).expect_stdout(b"7: a\n");
    drop(within.expect_says_not("BIVOUAC_SEQ"));
}

#[test]
fn bash_has_its_own_words_and_exported_functions() {
    let world = World::new();
    let script = "f() { [[ $1 == b ]] && echo \"f $1\" || cat <(echo \"g $1\"); }; export -f f; \
                  bivouac each f ::: a 2>&1 | grep -o 'bivouac each --shell=bash f ::: a'; \
                  bivouac each -k --shell=bash f ::: a b";
    let printed = world.shell(script);
    assert_eq!(String::from_utf8(printed).unwrap(), "bivouac each --shell=bash f ::: a\ng a\nf b\n");
}

#[test]
fn as_many_items_as_fit_make_one_command_and_every_item_is_there_once() {
    let world = World::new();
    let list: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    world.write("items", &list);
    for options in ["-X", "-m"] {
        let ended = each(&world, &format!("--fresh -k {options} -a items"), &["echo"]).run().expect_code(0);
        let text = String::from_utf8(ended.stdout.to_vec()).unwrap();
        assert_eq!(text.replace(' ', "\n"), list, "{options}");
        assert!((3..20).contains(&text.lines().count()), "{options}: {}", text.lines().count());
    }
    each(&world, "--fresh -k -X -n 3 -a items -s 100", &["echo", "x{}"]).run().expect_code(0);
    let few = each(&world, "-k -X -n 2", &["echo", "x{}", ":::", "1", "2", "3"]).run().expect_code(0);
    few.expect_stdout(b"x1 x2\nx3\n");
    let together = each(&world, "-k -m -n 2", &["echo", "x{}", ":::", "1", "2", "3"]).run().expect_code(0);
    together.expect_stdout(b"x1 2\nx3\n");
}

/// The same bytes as GNU parallel 20221122 prints; with `--xargs` it does not spread them either.
#[test]
fn the_last_items_are_spread_over_the_slots_and_a_job_keeps_its_slots() {
    let world = World::new();
    let nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    for (options, wanted) in [
        ("-m -j4", "x1 2 3\nx4 5 6\nx7 8 9\n"),
        ("-X -j4", "x1 x2 x3\nx4 x5 x6\nx7 x8 x9\n"),
        ("-X -n5 -j2", "x1 x2 x3 x4 x5\nx6 x7\nx8 x9\n"),
        ("-X -j1", "x1 x2 x3 x4 x5 x6 x7 x8 x9\n"),
        ("--xargs -j4", "x1 2 3 4 5 6 7 8 9\n"),
    ] {
        let line = each(&world, &format!("--fresh -k {options} echo x{{}} :::"), &nine);
        line.run().expect_code(0).expect_stdout(wanted.as_bytes());
    }
    world.write("items", nine.join("\n"));
    let first = each(&world, "-X -j4 --halt soon,done=1 --joblog log -a items echo", &[]);
    let first = first.run().stdout;
    let rest = each(&world, "-X -j2 -a items echo", &[]).run().expect_code(0).stdout;
    let mut lines: Vec<&[u8]> = first.split_inclusive(|byte| *byte == b'\n').collect();
    lines.extend(rest.split_inclusive(|byte| *byte == b'\n'));
    lines.sort_unstable();
    assert_eq!(lines.concat(), b"1 2 3\n4 5 6\n7 8 9\n");
}

#[test]
fn the_two_limits_of_the_system_are_told_apart_and_no_item_floods_the_message() {
    let world = World::new();
    world.write("long", vec![b'x'; 200_000]);
    let ended = each(&world, "-a long", &["echo"]).run().expect_code(1);
    drop(ended.expect_says("an argument has 200000 bytes").expect_says_not(&"x".repeat(200)));
    world.write("many", "12345678\n".repeat(1_000_000));
    let ended = each(&world, "-n 1000000 -a many", &["echo"]).run().expect_code(1);
    drop(
        ended
            .expect_says("its 1000000 arguments have")
            .expect_says("pass fewer items to each command: -n N")
            .expect_says_not(&"12345678 ".repeat(30)),
    );
}

/// The first command goes on only when somebody has seen its first line.
#[test]
fn whole_lines_come_out_while_their_command_still_runs() {
    for options in ["--line-buffer", "--lb --tag", "-u --tag"] {
        let world = World::new();
        let script = format!(
            "bivouac each -j1 {options} --shell 'printf on; printf \"e\\n\"; while ! test -e go; do sleep 0.02; done; printf last' ::: x | \
             {{ read -r line; echo \"$line\"; touch go; cat; }}"
        );
        let printed = String::from_utf8(world.shell(&script)).unwrap();
        let expected = if options.contains("tag") { "x\tone\nx\tlast" } else { "one\nlast" };
        assert_eq!(printed, expected, "{options}");
    }
    let world = World::new();
    each(&world, "-k --lb", &["echo", ":::", "a"]).run().expect_code(2).expect_says("leave one out");
}

#[test]
fn a_command_knows_its_number_and_its_slot() {
    let world = World::new();
    let text = "test $BIVOUAC_SEQ = {#} && test $BIVOUAC_SLOT = {%} && echo $BIVOUAC_SEQ";
    each(&world, "-k -j2 --shell", &[text, ":::", "a", "b", "c"]).run().expect_stdout(b"1\n2\n3\n");
    world.write("in", "x\n".repeat(10));
    let ended =
        world.bivouac("pipe in --block 6 --").words(&["sh", "-c", "cat; echo {#} $BIVOUAC_SEQ"]).run();
    ended.expect_code(0).expect_stdout(b"x\nx\nx\n1 1\nx\nx\nx\n2 2\nx\nx\nx\n3 3\nx\n4 4\n");
}

#[test]
fn no_escape_sequence_of_an_item_reaches_a_terminal() {
    let world = World::new();
    let nasty = "a\u{1b}[2Jb";
    let line = each(&world, "--tag --retries 1 --shell", &["echo out; echo err >&2; exit 3", ":::", nasty]);
    let ended = line.run().expect_code(1).expect_says("a\\x1b[2Jb\terr").expect_says("again in ");
    drop(ended.expect_says_not("\u{1b}"));
    for format in ["csv", "text", "joblog"] {
        let printed = world.bivouac(&format!("log --format {format}")).run().expect_code(0);
        assert!(!printed.stdout.contains(&0x1b), "{format}");
    }
}

#[test]
fn a_list_of_thousands_is_shortened_for_people_and_whole_for_programs() {
    let world = World::new();
    let items: Vec<String> = (0..3000).map(|n| format!("file-{n}")).collect();
    let words: Vec<&str> =
        ["sh", "-c", "exit 1", "{}", ":::"].into_iter().chain(items.iter().map(String::as_str)).collect();
    let ended = each(&world, "-j1 --halt now,fail=1", &words).run().expect_code(4);
    drop(ended.expect_says_not("file-2000"));
    let status = world.bivouac("status").run().expect_code(0).expect_stdout_says("2,997 more");
    assert!(status.stdout.len() < 2000);
    world.bivouac("status --json").run().expect_code(0).expect_stdout_says("file-2999");
}

#[test]
fn an_empty_list_is_said_and_the_list_from_standard_input_is_not_forgotten() {
    let world = World::new();
    each(&world, "", &["echo"]).stdin(Input::Piped(Vec::new())).run().expect_code(0).expect_says("no items");
    let failing =
        each(&world, "-j1 --halt now,fail=1 --state s", &["false"]).stdin(Input::Piped(b"a\nb\n".to_vec()));
    failing.run().expect_code(4).expect_says("with the same list on standard input");
    world.bivouac("status s").run().expect_stdout_says("with the same standard input");
    each(&world, "", &["echo", ":::", "--timeout"]).run().expect_code(0).expect_says("looks like an option");
}

#[test]
fn pipe_says_what_is_wrong_with_a_command_before_it_runs_it() {
    let world = World::new();
    world.write("in", "b\na\n".repeat(1000));
    let pipe =
        |options: &str, words: &[&str]| world.bivouac(&format!("pipe in {options} --")).words(words).run();
    drop(pipe("", &["tr a b"]).expect_code(2).expect_says("remove the quotes"));
    drop(pipe("", &["tr", "a", "b", "|", "sort"]).expect_code(2).expect_says("--shell -- 'tr a b | sort'"));
    drop(pipe("--block 100", &["sort"]).expect_code(0).expect_says("runs once for each chunk"));
    drop(pipe("", &["sort"]).expect_code(0).expect_says_not("runs once for each chunk"));
    drop(pipe("--block 100", &["grep", "x"]).expect_code(4).expect_says("--ok-codes 0,1"));
    drop(world.bivouac("pipe in cat").run().expect_code(2).expect_says("put `--`"));
}
