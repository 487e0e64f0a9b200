//! Command lines that make no sense, where there is a state and an unfinished output that they could harm.

use super::{expect_refusals, stopped, stopped_grep};
use std::fs::{self, File};

#[test]
fn of_every_verb() {
    let world = stopped_grep();
    expect_refusals(
        &world,
        &[
            ("no-such-verb", 2, "`no-such-verb` is no verb"),
            ("grep", 2, "PATTERN: is missing"),
            ("grep foo big.txt --output out --no-such", 2, "unexpected argument"),
            ("grep foo big.txt --output out --resume", 2, "there is no such option here"),
            ("grep foo big.txt --output out --on TERM", 2, "is not SIGNAL=REQUEST"),
            ("grep foo big.txt --output out --on FOO=stop", 2, "is not the name of a signal"),
            ("grep foo big.txt --output out --on KILL=stop", 2, "cannot be mapped: the kernel"),
            ("grep foo big.txt --output out --on RTMIN=stop", 2, "real-time signals are left to libraries"),
            ("grep foo big.txt --output out --on TERM=jump", 2, "is not a request"),
            ("grep foo big.txt --output out --jobs none", 2, "expected 1 to"),
            ("grep foo big.txt --output out --jobs 4 --max-jobs 2", 2, "--max-jobs: is 2, and --jobs is 4"),
            ("grep foo big.txt --output out --grace 5 s", 2, "the number and its unit are one word"),
            ("grep foo big.txt --output out --limit-rate fast", 2, "expected a size"),
            ("grep foo big.txt --output out --checkpoint-every 1x", 2, "expected a duration"),
            ("grep foo big.txt --output out --stop-code 300", 2, "expected 6 to 125"),
            ("grep foo big.txt --output out --progress=maybe", 2, "invalid value 'maybe'"),
            ("grep foo big.txt --output out --state /", 2, "it has no name of its own"),
            ("grep foo big.txt --output out --state ..", 2, "it has no name of its own"),
            ("signals --on X=y", 2, "is not the name of a signal"),
            ("completions nosh", 2, "invalid value 'nosh'"),
        ],
    );
}

#[test]
fn of_the_jobs_that_read_files() {
    let world = stopped_grep();
    expect_refusals(
        &world,
        &[
            ("grep ( big.txt --output out", 2, "unclosed group"),
            ("grep a{1000}{1000}{100} big.txt --output out", 2, "cannot be compiled"),
            ("grep foo missing --output out", 3, "with other options"),
            ("grep foo tree --output new", 2, "tree: is a directory"),
            ("grep foo big.txt --output big.txt", 2, "is an input, and the output big.txt is the same file"),
            ("grep foo big.txt --output out.part", 2, "out.bivouac is its state"),
            ("grep foo - --output out", 3, "with other options"),
            ("count missing big.txt -o new", 2, "leave it out with --keep-going"),
            ("digest missing -o new", 2, "missing: cannot open"),
            ("count missing -o out", 3, "the state belongs to another job"),
            ("digest --algorithm md5 big.txt -o out", 2, "invalid value 'md5'"),
            ("pipe tree -o new -- cat", 2, "tree: is a directory"),
            ("digest tree -o out", 3, "the state belongs to another job"),
        ],
    );
}

#[test]
fn of_the_jobs_that_start_commands() {
    let world = stopped_grep();
    world.write("list", "a\nb\n");
    expect_refusals(
        &world,
        &[
            ("pipe big.txt -o out", 2, "COMMAND: is missing"),
            ("pipe big.txt -o out -- ''", 2, "COMMAND: has no name"),
            ("pipe big.txt -o out --shell -- a b", 2, "--shell: takes COMMAND as one text"),
            ("pipe big.txt -o out --shell=fish -- a", 2, "fish does not read the language of sh"),
            ("pipe big.txt -o out --merge 'sort -m; uniq' -- sort", 2, "one of them must get the files"),
            ("pipe big.txt --split-output part -- sort", 2, "needs one {#}"),
            ("pipe big.txt -o out -- cat '|' wc", 2, "which only a shell understands"),
            ("pipe big.txt -o out --record-end '' -- cat", 2, "--record-end"),
            ("pipe big.txt -o out --fixed 0 -- cat", 2, "--fixed"),
            ("pipe - -o new --block 10GiB -- cat", 2, "blocks of 10737418240 bytes are not kept in memory"),
            ("pipe - -o new --fixed 10GiB -- cat", 2, "records of 10737418240 bytes are not kept in memory"),
            ("each -o out", 2, "the command: is missing"),
            ("each -o out echo {2} ::: a", 2, "{2}: an item has 1 word only"),
            ("each -o out 'echo {}' ::: a", 2, "no program has this name"),
            ("each -o out echo {0%} ::: a", 2, "is a placeholder of another program"),
            ("each -o out --shell 'echo ${1}' ::: a", 2, "leave out the dollar"),
            ("each -o out --shell \"cat <<'X'\n{}\nX\n\" ::: a", 2, "use printf or a file"),
            ("each -o out --shell 'echo \"a' ::: a", 2, "does not say where the item goes"),
            ("each -o out -X --shell 'echo a{}b' ::: a", 2, "a part of a text for a shell cannot be"),
            ("each -o out --delimiter '' -a list echo", 2, "--delimiter"),
            ("each -o new -a - -a - echo", 2, "is given twice, and can be read once"),
            ("each -o out --line-buffer echo ::: a", 2, "cannot be used with '--line-buffer'"),
            ("each --line-buffer -k echo ::: a", 2, "does not go together with -k"),
            ("each -o out --results r echo ::: a", 2, "does not go together with --output"),
            ("each -a missing -o new echo", 2, "missing: cannot open"),
            ("each -a tree -o new echo", 2, "tree: is a directory"),
            ("each --retries x echo ::: a", 2, "invalid value 'x'"),
            ("each --halt soon,fail=x echo ::: a", 2, "invalid value 'soon,fail=x'"),
        ],
    );
}

/// A file that already has a part in the job.
#[test]
fn of_one_file_in_two_roles_or_in_the_state_of_a_job() {
    let world = stopped_grep();
    world.write("good.toml", "jobs = 2\n");
    world.write("bad.toml", "x = [\n");
    File::create(world.path("huge.toml")).unwrap().set_len(100 << 20).unwrap();
    nix::unistd::mkfifo(&world.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    expect_refusals(
        &world,
        &[
            ("grep foo big.txt --output out --log-file out", 2, "is the same file as the output"),
            ("grep foo big.txt --output out --log-file big.txt", 2, "is the same file as an input"),
            ("grep foo big.txt --output out --log-file out.bivouac/lock", 2, "is in the state of a job"),
            ("grep foo big.txt --output out.bivouac/x", 2, "is in the state of a job"),
            (
                "grep foo big.txt --output good.toml --config good.toml",
                2,
                "is the same file as the configuration",
            ),
            ("each --results out.bivouac echo ::: a", 2, "is in the state of a job"),
            ("grep foo big.txt --output out --config bad.toml", 2, "bad.toml, line 1"),
            ("grep foo big.txt --output out --config huge.toml", 2, "is too large for a configuration"),
            ("grep foo big.txt --output out --config fifo", 2, "without a writer"),
            ("grep foo big.txt --output out --config missing", 2, "cannot read the configuration"),
            ("grep foo big.txt --output out --config tree", 2, "cannot read the configuration"),
        ],
    );
    fs::remove_file(world.path("fifo")).unwrap();
}

/// A state is worth as much where it has no output beside it.
#[test]
fn with_a_state_of_its_own() {
    let world = super::World::new();
    world.text("big.txt");
    stopped(&world, "count big.txt --state kept");
    expect_refusals(
        &world,
        &[
            ("count missing --state kept", 3, "was begun with other options"),
            ("count big.txt --state kept --jobs none", 2, "expected 1 to"),
            ("grep x big.txt --state kept", 3, "the state belongs to another job"),
            ("each --state kept echo ::: a", 3, "the state belongs to another job"),
        ],
    );
}
