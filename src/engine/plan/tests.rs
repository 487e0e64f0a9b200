//! Every finding × everything that can be asked, and the table of `docs/again.md`.

mod table;

use super::*;
use std::collections::HashSet;

const CODE: u8 = 7;
const PHASES: [Phase; 3] = [Phase::Working, Phase::Finalizing { code: CODE }, Phase::Done { code: CODE }];
const JOBS: [JobOnRecord; 2] = [JobOnRecord::This, JobOnRecord::Another];
const TOTALS: [TotalOnRecord; 2] = [TotalOnRecord::Readable, TotalOnRecord::OtherVersion];
const COMPLETED: [Completed; 2] = [Completed::Nothing, Completed::Something];
const RESULTS: [ResultOnRecord; 2] = [ResultOnRecord::Stands, ResultOnRecord::Outdated];
const INPUTS: [Inputs; 6] =
    [Inputs::NotCompared, Inputs::Same, Inputs::More, Inputs::Changed, Inputs::Missing, Inputs::GrownWithin];
const OUTPUTS: [Output; 4] = [Output::NotLookedAt, Output::Whole, Output::Harmed, Output::Printed];
const TASKS: [TaskKind; 3] = [TaskKind::Pure, TaskKind::SideEffects, TaskKind::SideEffectsOnly];

/// All that can stand on record.
fn pasts() -> Vec<Past> {
    let mut all = Vec::new();
    for (phase, job) in PHASES.into_iter().flat_map(|phase| JOBS.map(|job| (phase, job))) {
        for (completed, result) in
            COMPLETED.into_iter().flat_map(|completed| RESULTS.map(|result| (completed, result)))
        {
            for (inputs, total) in INPUTS.into_iter().flat_map(|inputs| TOTALS.map(|total| (inputs, total))) {
                all.extend(OUTPUTS.map(|output| Past {
                    phase,
                    job,
                    completed,
                    result,
                    inputs,
                    output,
                    total,
                }));
            }
        }
    }
    all
}

fn findings() -> Vec<Finding> {
    let others = [Finding::NoState, Finding::InUse, Finding::NotOurs, Finding::NoRecord, Finding::Damaged];
    others.into_iter().chain(pasts().into_iter().map(Finding::Record)).collect()
}

fn all_asked() -> Vec<Asked> {
    [false, true].into_iter().flat_map(|fresh| TASKS.map(|tasks| Asked { fresh, tasks })).collect()
}

/// Calls `check` with every combination and its plan.
fn for_all(mut check: impl FnMut(Finding, Asked, Plan)) {
    for found in findings() {
        all_asked().into_iter().for_each(|asked| check(found, asked, plan(found, asked)));
    }
}

/// The same where a record is taken into account.
fn for_all_records(mut check: impl FnMut(Past, Asked, Plan)) {
    for_all(|found, asked, plan| match found {
        Finding::Record(past) if !asked.fresh => check(past, asked, plan),
        Finding::Record(_)
        | Finding::NoState
        | Finding::InUse
        | Finding::NotOurs
        | Finding::NoRecord
        | Finding::Damaged => {}
    });
}

#[test]
fn fresh_is_refused_only_where_the_state_belongs_to_somebody_else() {
    for_all(|found, asked, plan| {
        if asked.fresh {
            let expected = match found {
                Finding::InUse => Plan::Refuse(Why::InUse),
                Finding::NotOurs => Plan::Refuse(Why::NotOurs),
                Finding::NoState => Plan::Begin(Over::Nothing),
                // The same whatever the record says: it need not be read.
                Finding::NoRecord | Finding::Damaged | Finding::Record(_) => Plan::Begin(Over::Discarded),
            };
            assert_eq!(plan, expected, "{found:?}");
        }
    });
}

#[test]
fn no_completed_task_of_an_unfinished_job_is_given_up_without_fresh() {
    for_all_records(|past, asked, plan| {
        if let Plan::Begin(over) = plan {
            let story = format!("{past:?}, {asked:?}: {plan:?}");
            match past.phase {
                Phase::Working => {
                    let is_gone = past.output == Output::Printed;
                    assert!(past.completed == Completed::Nothing || is_gone, "{story}");
                }
                Phase::Finalizing { .. } => panic!("{story}"),
                // Its output stays until the new one is complete.
                Phase::Done { .. } => assert!(!over.owns_unfinished_output(), "{story}"),
            }
        }
    });
}

#[test]
fn no_completed_task_with_side_effects_runs_again_without_fresh() {
    for_all_records(|past, asked, plan| {
        let begins = matches!(plan, Plan::Begin(_));
        let is_this_job = past.job != JobOnRecord::Another;
        if begins && is_this_job && matches!(past.phase, Phase::Done { .. }) {
            match asked.tasks {
                TaskKind::Pure => {}
                TaskKind::SideEffects => panic!("{past:?}: {plan:?}"),
                // Another list is another job.
                TaskKind::SideEffectsOnly => assert_eq!(past.inputs, Inputs::Changed, "{past:?}"),
            }
        }
    });
}

#[test]
fn a_job_is_finished_only_if_inputs_and_output_are_those_of_the_record() {
    for_all_records(|past, asked, plan| {
        let story = format!("{past:?}, {asked:?}");
        if let Plan::AlreadyDone { code } = plan {
            assert_eq!((past.phase, code), (Phase::Done { code: CODE }, CODE), "{story}");
            assert!(past.job != JobOnRecord::Another && past.inputs == Inputs::Same, "{story}");
            let is_whole = (past.output, past.result) == (Output::Whole, ResultOnRecord::Stands);
            assert!(is_whole || asked.tasks == TaskKind::SideEffectsOnly, "{story}");
        }
        if let Plan::Complete { code } = plan {
            assert_eq!((past.phase, code), (Phase::Finalizing { code: CODE }, CODE), "{story}");
            assert!(matches!(past.output, Output::Whole | Output::Printed), "{story}");
        }
    });
}

#[test]
fn a_job_goes_on_only_from_what_is_known_to_be_there() {
    for_all_records(|past, asked, plan| {
        if plan == Plan::Resume {
            let story = format!("{past:?}, {asked:?}");
            assert_eq!((past.job, past.total), (JobOnRecord::This, TotalOnRecord::Readable), "{story}");
            assert!(matches!(past.inputs, Inputs::Same | Inputs::More), "{story}");
            assert!(matches!(past.output, Output::Whole | Output::Printed), "{story}");
            let has_more = (past.inputs, asked.tasks) == (Inputs::More, TaskKind::SideEffectsOnly);
            assert!(past.phase == Phase::Working || has_more, "{story}");
        }
    });
}

/// A comparison can be skipped where the plan does not depend on it, and is made once at the most.
#[test]
fn a_recheck_is_asked_for_where_it_decides_and_never_twice() {
    let known = |past: Past| {
        let is_open = (past.inputs == Inputs::NotCompared, past.output == Output::NotLookedAt);
        let inputs = if is_open.0 { INPUTS[1..].to_vec() } else { vec![past.inputs] };
        // What was printed is gone, which is known without a look.
        let outputs = if is_open.1 { vec![Output::Whole, Output::Harmed] } else { vec![past.output] };
        let mut all = Vec::new();
        for inputs in inputs {
            all.extend(outputs.iter().map(|output| Past { inputs, output: *output, ..past }));
        }
        all
    };
    for_all_records(|past, asked, now| {
        let later: Vec<Plan> =
            known(past).into_iter().map(|past| plan(Finding::Record(past), asked)).collect();
        assert!(!later.contains(&Plan::Recheck), "nothing is left to find out: {past:?}, {asked:?}");
        let is_decided = later.iter().all(|plan| *plan == later[0]);
        let story = format!("{past:?}, {asked:?}");
        match now == Plan::Recheck {
            true => assert!(!is_decided, "asked in vain: {story}"),
            false => assert!(is_decided && now == later[0], "decided too early: {story}"),
        }
    });
}

#[test]
fn a_refusal_names_what_was_found() {
    for_all(|found, asked, plan| {
        let Plan::Refuse(why) = plan else { return };
        let is = |what: fn(Past) -> bool| matches!(found, Finding::Record(past) if what(past));
        let is_true = match why {
            Why::InUse => found == Finding::InUse,
            Why::NotOurs => found == Finding::NotOurs,
            Why::Damaged => found == Finding::Damaged,
            Why::AnotherJob => is(|past| past.job == JobOnRecord::Another),
            Why::OtherVersion => is(|past| past.total == TotalOnRecord::OtherVersion),
            Why::InputsChanged => is(|past| past.inputs == Inputs::Changed),
            Why::InputsMissing => is(|past| past.inputs == Inputs::Missing),
            Why::GrownWithin => is(|past| past.inputs == Inputs::GrownWithin),
            Why::OutputHarmed => is(|past| past.output == Output::Harmed),
            Why::FinishedOtherwise => is(|past| matches!(past.phase, Phase::Done { .. })),
        };
        assert!(is_true, "{found:?}, {asked:?}: {why:?}");
    });
}

/// No plan and no reason is there for nothing.
#[test]
fn every_plan_is_made_of_something() {
    let mut made = HashSet::new();
    for_all(|_, _, plan| {
        made.insert(format!("{plan:?}"));
    });
    let (begins, refusals) = (7, 10);
    assert_eq!(made.len(), begins + refusals + 4, "{made:?}");
}
