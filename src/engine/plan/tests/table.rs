//! `docs/again.md`: the plan for every combination, as a table. A column in which a value makes no difference is
//! left empty.

use super::*;
use std::fmt::{Debug, Write};
use std::fs;
use std::path::Path;

/// Set to anything, it writes the document again.
const WRITE: &str = "BIVOUAC_BLESS";

const HEAD: &str = "\
# What happens when the same command is run again

The function `plan` in `src/engine/plan.rs` decides it, from the state on disk and the request. This table lists
all of its answers; a test prints it and compares it with this file
(`BIVOUAC_BLESS=1 cargo test --lib plan::` writes the file again). An empty cell means: any value.

- **State**: the content of the place where the state is kept. With `--fresh` a record is not read.
- **Phase** and **Job**: how far the job on record has come, and whether it is the requested one. Another
  pattern, or another option that changes the output, makes another job.
- **Tasks**: *pure* tasks are functions of their input (`count`, `grep`, `digest`, `pipe`). `each` runs commands
  with *side effects*; with `--output` their output counts, without it *only* the effects do.
- **Result**: whether the result of a finished job still stands. It is *outdated* if it depends on the time at which the
  job ran, or if an input that was unreadable may be readable now.
- **Inputs** and **Output**: compared with the record. This may take time, so it is done only where the plan
  depends on it. *More*: a finished job has new tasks, or failed ones to try again. *Grown within*: new
  items would go into the last command, whose other items are completed and would run again. *Printed*: the output went to
  a pipe or a terminal, whose reader is gone.
- **Total**: whether the total of the tasks so far can be read. Another version of the program may have
  written it.
- **Completed**: whether any task of the job is complete.

A plan is made before anything is written, so a refusal changes nothing. A job that begins can still be refused;
that changes nothing either: if an input cannot be opened, or if there is an unfinished output (`OUT.part`) that belongs to no
state or is not a plain file.

| plan | what is done |
|---|---|
| Recheck | Compare inputs and output with the record, then ask again. Signals and `--max-runtime` end it at once. |
| Begin | Start at the first task. After *discarded* and *untouched*, an unfinished output is emptied; after *finished*, the old output stays until the new one is complete. |
| Resume | Go on after the last committed task. |
| Complete | Give the complete output its name: the last run was interrupted just before or after that. |
| Already done | Say that the job is finished, and end with its exit code. |
| Refuse | Say why, and change nothing. |

";

const COLUMNS: [&str; 10] =
    ["State", "`--fresh`", "Phase", "Job", "Tasks", "Result", "Inputs", "Total", "Output", "Completed"];

/// The values of each column.
fn values() -> [Vec<String>; 10] {
    let given = |values: &[&str]| values.iter().map(|value| (*value).to_string()).collect();
    [
        given(&[
            "none",
            "in use by another run",
            "not ours, or no state",
            "no record",
            "damaged",
            "a record",
        ]),
        given(&["", "yes"]),
        given(&["unfinished", "interrupted at its end", "finished"]),
        names(&JOBS),
        names(&TASKS),
        names(&RESULTS),
        names(&INPUTS),
        names(&TOTALS),
        names(&OUTPUTS),
        names(&COMPLETED),
    ]
}

/// The names of enum values as words: `SideEffects` is "side effects".
fn names<V: Debug>(values: &[V]) -> Vec<String> {
    let words = |c: char| if c.is_uppercase() { format!(" {}", c.to_lowercase()) } else { c.to_string() };
    let name = |value| format!("{value:?}").chars().map(words).collect::<String>().trim().to_string();
    values.iter().map(name).collect()
}

/// The plan for one value of each column.
fn plan_at(chosen: &[usize; 10]) -> Plan {
    let [state, fresh, phase, job, tasks, result, inputs, total, output, done] = *chosen;
    let past = Past {
        phase: PHASES[phase],
        job: JOBS[job],
        completed: COMPLETED[done],
        result: RESULTS[result],
        inputs: INPUTS[inputs],
        output: OUTPUTS[output],
        total: TOTALS[total],
    };
    let found = [
        Finding::NoState,
        Finding::InUse,
        Finding::NotOurs,
        Finding::NoRecord,
        Finding::Damaged,
        Finding::Record(past),
    ];
    plan(found[state], Asked { fresh: fresh == 1, tasks: TASKS[tasks] })
}

fn words(plan: Plan) -> String {
    match plan {
        Plan::Recheck => "Recheck".into(),
        Plan::Begin(over) => match over {
            Over::Nothing => "Begin".into(),
            Over::Discarded => "Begin (discarded)".into(),
            Over::Untouched => "Begin (untouched)".into(),
            Over::Printed => "Begin (printed)".into(),
            Over::Finished => "Begin (finished)".into(),
            Over::FinishedList => "Begin (finished, another list)".into(),
            Over::FinishedOther => "Begin (finished, another job)".into(),
        },
        Plan::Resume => "Resume".into(),
        Plan::Complete { .. } => "Complete".into(),
        Plan::AlreadyDone { .. } => "Already done".into(),
        Plan::Refuse(why) => format!("Refuse: {}", reason(why)),
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::InUse => "another run is at work",
        Why::NotOurs => "it is not ours to touch",
        Why::Damaged => "the checkpoint or its journal is damaged",
        Why::AnotherJob => "the state belongs to another job",
        Why::OtherVersion => "another version wrote it",
        Why::InputsChanged => "the inputs are not what they were",
        Why::InputsMissing => "an input cannot be opened",
        Why::GrownWithin => "completed items would run again",
        Why::OutputHarmed => "the output is not what was committed",
        Why::FinishedOtherwise => "finished, and other inputs or output now; its tasks must not run twice",
    }
}

/// All plans that differ from `chosen` only in the columns from `column` on.
fn plans_from(column: usize, chosen: &[usize; 10]) -> Vec<Plan> {
    if column == COLUMNS.len() {
        return vec![plan_at(chosen)];
    }
    let mut all = Vec::new();
    for value in 0..values()[column].len() {
        let mut chosen = *chosen;
        chosen[column] = value;
        all.extend(plans_from(column + 1, &chosen));
    }
    all
}

/// The rows below `chosen`: values of a column that make no difference to all that follows are one row.
fn rows(column: usize, chosen: &[usize; 10], cells: &[String], table: &mut String) {
    if column == COLUMNS.len() {
        writeln!(table, "| {} | **{}** |", cells.join(" | "), words(plan_at(chosen))).unwrap();
        return;
    }
    let names: &Vec<String> = &values()[column];
    let mut groups: Vec<(Vec<Plan>, Vec<usize>)> = Vec::new();
    for value in 0..names.len() {
        let mut chosen = *chosen;
        chosen[column] = value;
        let plans = plans_from(column + 1, &chosen);
        match groups.iter_mut().find(|(known, _)| *known == plans) {
            Some((_, same)) => same.push(value),
            None => groups.push((plans, vec![value])),
        }
    }
    for (_, same) in &groups {
        let mut chosen = *chosen;
        chosen[column] = same[0];
        let every = same.len() == names.len();
        let cell = if every { Vec::new() } else { same.iter().map(|value| &*names[*value]).collect() };
        rows(column + 1, &chosen, &[cells, &[cell.join(", ")]].concat(), table);
    }
}

#[test]
fn the_document_is_what_the_plan_says() {
    let mut text = HEAD.to_string();
    writeln!(text, "| {} | Plan |\n|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len() + 1)).unwrap();
    rows(0, &[0; 10], &[], &mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/again.md");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "docs/again.md is out of date: `{WRITE}=1 cargo test --lib plan::` writes it again"
    );
}
