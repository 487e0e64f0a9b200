//! A message names the thing, says what to type, and has no more than two lines of 80 columns.
//!
//! As many lines as possible that newcomers type, and that are wrong; and endings that are said.

use crate::harness::World;
use crate::running::Ended;

/// Files, states and lists for the lines below.
fn world() -> World {
    let world = World::new();
    let text: String = (0..200).map(|n| format!("{n} error line foo\n")).collect();
    world.write("in.txt", &text);
    for (name, text) in [("foreign/lock", "x"), ("empty", ""), ("o0.part", "precious"), ("nul", "a\0b\n")] {
        world.write(name, text);
    }
    world.write("wide", format!("{}\n", "0".repeat(200_000)));
    for (name, text) in
        [("bad", "grace = \"soon\""), ("odd", "job = 3"), ("far", "x = 3"), ("log", "[log]\nx = 3")]
    {
        world.write(&format!("{name}.toml"), text);
    }
    world.write("d/f", "x\n");
    world.shell("gzip -k in.txt");
    world.bivouac("count in.txt -o done").run().expect_code(0);
    world.bivouac("each -j1 -o halted --halt now,fail=1 false ::: a b").run().expect_code(4);
    world
}

fn typed<'w>(world: &'w World, line: &str) -> Ended<'w> {
    let words = shlex::split(line).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world.bivouac("").words(&words).run()
}

const LINES: &str = r#"
frob
start
sort in.txt
find .
watch
top
jobs
each
each --frob x
each --keep-going false
each --hepl
--jobs 3 each echo
md5sum in.txt
each --rpl x echo
each --transferfile x echo
each --memsuspend x echo
each -D , echo ::: a
each --pipe wc
each --tmux echo
each --results in.txt echo ::: a
each --wd in.txt/x echo ::: a
each --joblog d echo ::: a
each --state /proc/x echo ::: a
each --log-file d echo ::: a
each --tmpdir missing --files echo ::: a
each --retries -1 echo ::: a
each --nice 30 echo ::: a
each --shard auto/3 echo ::: a
each --metrics-listen x echo ::: a
each --on KILL=stop echo ::: a
each --on SEGV=stop echo ::: a
each --halt later,fail=1 echo ::: a
each --config missing echo ::: a
each --config d echo ::: a
each --memfree 5 GiB echo
each --on CHLD=stop echo ::: a
each --on RTMIN=stop echo ::: a
each --metrics-listen 192.0.2.1:9464 echo ::: m
each '' ::: a
each --sqlworker x echo
each 'echo {} | wc' ::: a
each 'touch a' ::: a
each cd ::: a
each echo '|' wc ::: a
each X=1 echo ::: a
each echo '{= s/a/b/ =}' ::: a
each echo {uniq} ::: a
each echo {choose_k} ::: a
each echo {0%} ::: a
each echo {3} ::: a
each --shell 'cat <<E
{}
E' ::: a
each --shell "echo 'x" ::: a
each --shell 'echo ${1}' ::: a
each -a missing echo
each -a empty echo
each -a nul echo
each --retry-failed --joblog log
each -a wide false
each false ::: 1 2 3 4 5 6 7
each no-such-program ::: a
each ./in.txt ::: a
each -o x --results r echo ::: a
each -u -o x echo ::: a
each --line-buffer -k echo ::: a
each -j x echo
each -j 5000 echo
each --halt x echo
each --retries 1 --retry-delay 1ms false ::: a
each --wd ... echo ::: a
each -X -s 5 echo aaaa ::: a
each --delay 5x echo
each --ok-codes 3 echo
each --rate x echo
each -s 10000 echo ::: a
each -j1 -o halted --halt now,fail=1 false ::: a c
each -j1 -o halted true ::: a b
each -j1 -o halted -k --halt now,fail=1 false ::: a b
pipe in.txt cat
pipe in.txt wc -l
pipe
pipe in.txt -- 'tr a-z A-Z'
pipe in.txt -- tr a-z A-Z '|' sort
pipe in.txt -- grep nothing
pipe in.txt -- cat {}
pipe in.txt --record-lines 0 -- cat
pipe in.txt.gz -- cat
pipe in.txt.gz --decompress=xz -- cat
pipe in.txt --keep-going -- false
pipe in.txt -o p -- sort
pipe in.txt -o p --merge 'sort -m; uniq' -- sort
pipe in.txt -o p --merge 'sort -m' --shard 1/2 -- sort
pipe in.txt -o p --merge 'sort -m | false' -- sort
pipe in.txt --split-output p -- sort
pipe in.txt -o q --format fastq -- cat
pipe in.txt -- no-such-program
pipe missing -- cat
grep
grep [
grep '(a'
grep '(a)\1'
grep 'a(?=b)'
grep '(?=a)'
grep 'a{3,2}'
grep '[z-a]'
grep '[[:foo:]]'
grep '\p{Foo}'
grep 'a\'
grep --foo a in.txt
grep -f missing in.txt
grep '^*' in.txt
grep '\q' in.txt
grep -P '\1' in.txt
grep error in.txt.gz
grep 0 in.txt.gz
grep '[:space:]' in.txt
grep '[\d]' in.txt
grep '$*a' in.txt
grep 'a+?' in.txt
grep -R a .
grep -3 a in.txt
grep -z a in.txt
grep --include x a in.txt
grep error in.txt -o out
grep error d
grep 'a\(b\)' in.txt
grep x in.txt --limit-rate 5 MB
grep x in.txt --limit-rate 0
grep x in.txt --grace -1
grep x in.txt --grace 5 s
grep x in.txt --on 10=stop
grep x in.txt --on KILL=stop
grep x in.txt --on USR1=fly
grep x in.txt --on USR1=stop --on USR1=pause
grep x in.txt --checkpoint-every 0
grep x in.txt --max-jobs 1 -j 4
grep x in.txt --config bad.toml
grep x in.txt --config odd.toml
grep x in.txt --config far.toml
grep x in.txt --config log.toml
grep -P 'a(?>b)' in.txt
grep -P '\pL' in.txt
grep '[\n]' in.txt
grep 'a\|b' in.txt
grep -I a in.txt
grep -V
grep x in.txt --shard 9/3
grep x in.txt --stop-code 3
grep other in.txt -o done
count in.txt -o done
count -o done in.txt --fresh -w
count in.txt -o in.txt
count in.txt -o c --state in.txt
count in.txt -o c --state foreign
count in.txt -o c --state /proc/x/y
count in.txt -o o0
count in.txt -o no/such/directory
count missing
count missing -o m
count . -o m
digest --algorithm md4 in.txt
digest --check in.txt
digest missing
digest --sha256 in.txt
digest --length 8 in.txt
digest -r d
status nothing
status in.txt
status 99999999
stop
stop done
pause
resume halted
checkpoint done
log nothing
log done --since x
clean nothing
clean halted
merge in.txt
completions nosh
signals --on X=y
signals --config missing
config
config missing
config d
config far.toml
config bad.toml
config in.txt
slurm
slurm count in.txt -o s
set
set done jobs=x
set jobs=x
list missing
report
report d
report halted -o d
clean
clean foreign
man in.txt
man each
log done --slowest x
log done --follow
stop done -9
clean -f
report done --json
digest . --exclude x
count ''
count --output '' in.txt
each --results -x echo ::: a
log done --since -1h
"#;

#[test]
fn a_message_has_two_lines_and_names_the_thing() {
    let world = world();
    let mut lines = LINES.trim();
    let (mut tried, mut long, mut nothing_to_type) = (0, Vec::new(), Vec::new());
    while !lines.is_empty() {
        // A word in quotes may have several lines.
        let ends = lines.match_indices('\n').map(|(at, _)| at).chain([lines.len()]);
        let end = ends.into_iter().find(|end| shlex::split(&lines[..*end]).is_some()).unwrap();
        let ended = typed(&world, &lines[..end]);
        assert!(ended.code().is_some_and(|code| !(6..=125).contains(&code)), "{}", &lines[..end]);
        long.extend(ended.long_messages());
        nothing_to_type.extend(ended.lone_refusal());
        lines = lines[end..].trim_start();
        tried += 1;
    }
    assert_eq!(long.len(), 0, "{}", long.join("\n"));
    assert_eq!(nothing_to_type.len(), 0, "{}", nothing_to_type.join("\n"));
    assert!(tried > 100, "{tried}");
}

#[test]
fn no_text_of_the_users_is_shown_in_full_if_it_is_long() {
    let world = world();
    let long = "x".repeat(120);
    for line in [
        format!("count /nosuch/{long}/file"),
        format!("count --grace {long} in.txt"),
        format!("each --{long}"),
        format!("grep '({long}' in.txt"),
        format!("each false ::: {long}"),
        format!("status {long}"),
    ] {
        let said = typed(&world, &line).stderr;
        let shown = said.lines().filter(|said| !said.starts_with("  ") && said.contains(&long)).count();
        assert_eq!(shown, 0, "{said}");
    }
}
