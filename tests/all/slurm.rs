//! Does `bivouac slurm` submit what is missing, and nothing else? With programs of Slurm that write down how they were
//! called; `scripts/cluster` has real ones.

use crate::harness::{Bivouac, Input, World};
use crate::jobs::GREP;
use crate::running::Ended;
use crate::warned::{calls, fake, with_fakes};

const LINE: &str = "slurm --shards 3 -t 1:00:00 -p low";
const JOB: [&str; 6] = ["--", "grep", "-n", "spin_lock", "big.txt", "--output"];
const SCRIPT: &str = "out.bivouac/slurm/job.sh";

/// What a site says that has nothing special.
const CONFIG: &str = "cat <<'END'
ClusterName             = test
KillWait                = 30 sec
MaxArraySize            = 1001
PreemptMode             = REQUEUE
RequeueExit             = (null)
SLURM_VERSION           = 22.05.8
SlurmctldParameters     = preempt_send_user_signal
AuthInfo                = (null)
END";
const PARTITION: &str =
    "echo 'PartitionName=low Default=YES GraceTime=30 MaxTime=01:00:00 PreemptMode=REQUEUE'";

/// A directory with inputs, and a Slurm that gives each array a number and has nothing in its queue.
fn world() -> World {
    let world = GREP.world();
    fake(&world, "scontrol", &format!("case $2 in config) {CONFIG}\n;; -o) {PARTITION};; esac"));
    fake(&world, "sbatch", "echo $((4710 + $(grep -c ^sbatch calls)))");
    fake(&world, "squeue", "cat queue 2>/dev/null || :");
    fake(&world, "scancel", "");
    world
}

fn slurm<'w>(world: &'w World, line: &str) -> Bivouac<'w> {
    with_fakes(world, world.bivouac(line).words(&JOB).words(&["out"]))
}

/// Types the line.
fn typed(world: &World) -> Ended<'_> {
    slurm(world, LINE).run()
}

/// The calls of one program since the last question.
fn of(world: &World, program: &str) -> Vec<String> {
    let lines: Vec<String> =
        calls(world).lines().filter(|line| line.starts_with(program)).map(str::to_string).collect();
    std::fs::remove_file(world.path("calls")).unwrap();
    lines
}

fn script(world: &World) -> String {
    String::from_utf8(world.read(SCRIPT)).unwrap()
}

/// Runs an element as Slurm does: the script, with its number in the environment.
fn element<'w>(world: &'w World, number: &str) -> Ended<'w> {
    element_of(world, SCRIPT, number)
}

fn element_of<'w>(world: &'w World, script: &str, number: &str) -> Ended<'w> {
    let wrapper = format!("env SLURM_ARRAY_JOB_ID=4711 SLURM_ARRAY_TASK_ID={number}");
    let words: Vec<&str> = wrapper.split(' ').chain(["bash", script]).collect();
    world.program(&words).run()
}

#[test]
fn the_script_is_written_and_submitted_and_its_elements_do_the_job() {
    let world = world();
    typed(&world).expect_code(0).expect_says("out: 3 shards, as array 4711; the last one merges into out");
    let path = world.path(SCRIPT).display().to_string();
    assert_eq!(of(&world, "sbatch"), [format!("sbatch --parsable {path}")]);
    let text = script(&world);
    for part in [
        "--array=1-3 --requeue --signal=B:USR2@120",
        "#SBATCH -t 1:00:00 -p low\n",
        "--shard \"$SLURM_ARRAY_TASK_ID/3\" --wait",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for number in ["2", "3", "1"] {
        element(&world, number).expect_code(0);
    }
    assert_eq!(world.read("out"), world.shell("grep -a -n spin_lock big.txt"));
    typed(&world).expect_code(0).expect_says("out: finished by 3 shards");
    assert_eq!(of(&world, "sbatch"), [""; 0]);
    // What Slurm has written goes with the state, and nothing else.
    world.write("out.bivouac/slurm/2.log", "said\n");
    world.write("out.bivouac/slurm/notes.log", "mine\n");
    world.bivouac("clean out").run().expect_code(0).expect_says("out.bivouac/slurm: not ours, left");
    assert_eq!(world.contents("out.bivouac").len(), 1);
    assert_eq!(world.read("out.bivouac/slurm/notes.log"), b"mine\n");
}

#[test]
fn clean_removes_the_script_with_the_state() {
    let world = world();
    typed(&world).expect_code(0);
    world.bivouac("clean out --force").run().expect_code(0).expect_stdout(b"removed out.bivouac\n");
    assert!(!world.exists("out.bivouac"));
}

#[test]
fn the_same_line_submits_only_what_is_neither_done_nor_queued() {
    let world = world();
    typed(&world).expect_code(0).expect_says("bivouac stop out.bivouac ends it").expect_short_messages();
    world.write(
        "queue",
        "4711|1|RUNNING|None|x\n4711|2|PENDING|BeginTime|x\n4711|3|PENDING|Resources|x\n9|1|RUNNING|None|y\n",
    );
    typed(&world).expect_code(0).expect_says(
        "out: 0 of 3 shards done; 1 running, 1 waiting (BeginTime), 1 waiting (Resources); nothing to submit",
    );
    assert_eq!(of(&world, "sbatch").len(), 1);
    element(&world, "1").expect_code(0);
    world.write("queue", "4711|3|PENDING|launch failed requeued held|x\n");
    let said = slurm(&world, &format!("{LINE} --at-most 2")).run().expect_code(0);
    said.expect_says(
        "1 of 3 shards done; 1 waiting (launch failed requeued held); shards 2 submitted as array",
    )
    .expect_says("scontrol release 4711_3")
    .expect_short_messages();
    let calls = of(&world, "sbatch");
    assert!(calls[0].starts_with("sbatch --parsable --array=2%2 "), "{calls:?}");
    // All are done, but none has merged.
    world.write("queue", "");
    element(&world, "2").expect_code(0);
    element(&world, "3").expect_code(0);
    std::fs::remove_dir_all(world.path("out.bivouac/merge")).unwrap();
    typed(&world).expect_code(0).expect_says("all 3 shards are done; array");
    let calls = of(&world, "sbatch");
    assert!(calls[0].starts_with("sbatch --parsable --array=1 "), "{calls:?}");
    element(&world, "1").expect_code(0);
    typed(&world).expect_code(0).expect_says("finished by 3 shards");
}

#[test]
fn when_slurm_does_not_do_it_its_words_are_said_and_nothing_is_lost() {
    let world = world();
    fake(
        &world,
        "sbatch",
        "echo 'sbatch: error: Batch job submission failed: Invalid partition' >&2; exit 1",
    );
    typed(&world).expect_code(4).expect_says("Invalid partition");
    fake(&world, "sbatch", "echo 4711");
    typed(&world).expect_code(0).expect_says("3 shards, as array 4711");
    fake(&world, "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
    let before = world.contents("out.bivouac");
    typed(&world).expect_code(4).expect_says("Unable to contact slurm controller");
    assert_eq!(world.contents("out.bivouac"), before);
    element(&world, "1").expect_code(0);
}

#[test]
fn a_dry_run_prints_the_script_and_changes_nothing() {
    let world = world();
    slurm(&world, &format!("{LINE} --dry-run --warn 5m"))
        .run()
        .expect_code(0)
        .expect_stdout_says("--signal=B:USR2@300");
    assert!(!world.exists("out.bivouac") && !world.exists("calls"));
}

#[test]
fn what_would_break_the_array_is_refused_before_anything_is_submitted() {
    let world = world();
    for (line, says) in [
        ("slurm --shards 3 --array=1-9", "the elements of the array are the shards"),
        ("slurm --shards 3 -o log", "each shard has its log"),
        ("slurm --shards 3 --signal=B:USR1@5", "--warn TIME"),
        ("slurm --shards 3 -N 2", "one process on one node"),
        ("slurm --shards 1001", "this site has arrays of up to 1000 elements"),
    ] {
        slurm(&world, line).run().expect_code(2).expect_says(says);
    }
    for (option, says) in [
        ("--shard 1/3", "is set for each element"),
        ("--fresh", "would discard the state at each start"),
        ("--grace inf", "--warn 20m"),
    ] {
        slurm(&world, LINE).with(option).run().expect_code(2).expect_says(says);
    }
    with_fakes(&world, world.bivouac("slurm --shards 3 -- status"))
        .run()
        .expect_code(2)
        .expect_says("is not the verb of a job");
    assert!(!calls(&world).contains("sbatch"), "{}", calls(&world));
    typed(&world).expect_code(0);
    let other = slurm(&world, "slurm --shards 4").run().expect_code(3);
    other.expect_says("3 shards");
}

/// An element has no standard input. What was there when the line was typed is in the state.
#[test]
fn items_on_standard_input_are_stored_with_the_plan() {
    let world = world();
    let submitted = |more: &[&str], command: &[&str]| {
        let job = world.bivouac(LINE).words(&["--", "each", "--header", ":"]).words(more).words(command);
        let piped = Input::Piped(b"word\na\nb\nc\nd\n".to_vec());
        with_fakes(&world, job).stdin(piped).run().expect_code(0)
    };
    submitted(&["-o", "out"], &["echo", "{#}/{##}", "{word}"]);
    for number in ["3", "1", "2"] {
        element(&world, number).expect_code(0);
    }
    assert_eq!(world.read("out"), b"1/4 a\n2/4 b\n3/4 c\n4/4 d\n");
    // Its state has a name that is made of the command, and the header is a part of that.
    submitted(&[], &["echo", "{word}"]);
    let state = String::from_utf8(world.shell("echo -n .bivouac/*")).unwrap();
    for (number, printed) in [("1", "a\nd\n"), ("2", "b\n"), ("3", "c\n")] {
        let element = element_of(&world, &format!("{state}/slurm/job.sh"), number).expect_code(0);
        assert_eq!(element.stderr, printed);
    }
}

#[test]
fn a_job_whose_parts_would_be_lost_is_not_submitted() {
    let world = world();
    let job = with_fakes(&world, world.bivouac(LINE).words(&["--", "grep", "-n", "spin_lock", "big.txt"]));
    job.run().expect_code(2).expect_says("needs an output file, of which each shard makes a part");
    assert!(!calls(&world).contains("sbatch"));
}

#[test]
fn a_host_without_slurm_is_told_of_the_other_ways() {
    let world = GREP.world();
    world
        .bivouac(LINE)
        .words(&JOB)
        .words(&["out"])
        .under("env PATH=/nowhere")
        .run()
        .expect_code(2)
        .expect_says("there is no such command here");
}

#[test]
fn what_a_site_does_is_printed() {
    let world = world();
    let mut page = with_fakes(&world, world.bivouac("slurm --check -p low")).run().expect_code(0);
    for says in [
        "test, Slurm 22.05.8, partition low",
        "KillWait             30 sec",
        "a preempted element is requeued by Slurm",
    ] {
        page = page.expect_stdout_says(says);
    }
    fake(
        &world,
        "scontrol",
        &format!("case $2 in config) {}\n;; -o) {PARTITION};; esac", CONFIG.replace("30 sec", "6 sec")),
    );
    typed(&world).expect_code(0).expect_says("are not less than KillWait, 6.0 s");
}

#[test]
fn status_says_what_is_queued_and_stop_cancels_it() {
    let world = world();
    typed(&world).expect_code(0);
    element(&world, "1").expect_code(0);
    world.write("queue", "4711|2|PENDING|BeginTime|x\n4711|3|PENDING|JobHeldUser|x\n9|1|RUNNING|None|y\n");
    let status = || with_fakes(&world, world.bivouac("status out")).run().expect_code(0);
    status().expect_stdout_says(
        "Slurm, last array 4711: 2 shards in the queue\n  shard 2     waiting (BeginTime)\n",
    );
    status().expect_stdout_says("shard 3     waiting (JobHeldUser); scontrol release 4711_3");
    status().expect_stdout_says(&format!("bivouac {LINE} -- grep -n spin_lock big.txt --output out\n"));
    let json = with_fakes(&world, world.bivouac("status out --json")).run().expect_code(0);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["slurm"]["array"], 4711);
    assert_eq!(json["slurm"]["queue"][1]["reason"], "JobHeldUser");
    assert!(json["continue"]["command"].as_str().unwrap().contains(" slurm --shards 3"), "{json}");
    with_fakes(&world, world.bivouac("stop out")).run().expect_code(0).expect_says("scancel 4711");
    assert_eq!(of(&world, "scancel"), ["scancel 4711"]);
    fake(&world, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1");
    status().expect_stdout_says("Unable to contact slurm controller");
    world.bivouac("status out").run().expect_code(0).expect_stdout_says("1 done");
}
