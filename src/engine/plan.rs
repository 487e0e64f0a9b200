//! What happens when a job is run again. The twin of [`decide`](crate::engine::decide): `decide` says what a signal
//! means, `plan` what to do with the state of an earlier run.
//!
//! The obvious way is to read the state line by line and act on each line. Then the answer to "what happens if the list has
//! changed and the output is gone?" is scattered over the functions that read, and a refusal may come after the first
//! write. So [`plan`] is a pure function, from the findings and the request to one of six plans, without I/O and clock. A
//! new finding does not compile until it has an answer everywhere, and `prepare` writes nothing before it has a plan.
//!
//! Some findings take time: a stream must be read up to where the last run stopped. Such a finding is
//! [`NotCompared`](Inputs::NotCompared) at first. If the plan depends on it, the plan is [`Plan::Recheck`], and `plan` is
//! called again with the result. The table of all combinations is in `docs/again.md`.

use crate::durable::record::Phase;

/// The content of the place of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// No state is kept, or there is none yet.
    NoState,
    /// Another run holds the lock of the state.
    InUse,
    /// The directory belongs to another user, or is not the state of a job.
    NotOurs,
    /// A state without a record: its run ended before it wrote one.
    NoRecord,
    /// The record is damaged or of a newer format, or the journal that completes it is damaged.
    Damaged,
    Record(Past),
}

/// A record, compared with what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) phase: Phase,
    pub(crate) job: JobOnRecord,
    pub(crate) completed: Completed,
    pub(crate) result: ResultOnRecord,
    pub(crate) inputs: Inputs,
    pub(crate) output: Output,
    pub(crate) total: TotalOnRecord,
}

/// Whether the record is of the job that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobOnRecord {
    This,
    /// Another job, or the same job with other options.
    Another,
}

/// Whether this program can read the total on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalOnRecord {
    Readable,
    /// Another version of the program wrote it, with another kind of total.
    OtherVersion,
}

/// Whether any task of the job on record is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    Nothing,
    Something,
}

/// Whether the result of a finished job would be the same today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultOnRecord {
    Stands,
    /// It depends on the time at which the job ran, or it lacks an input that may be readable now.
    Outdated,
}

/// The inputs today, compared with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    NotCompared,
    /// They are the same, and a finished job has no task left.
    Same,
    /// They are the same, and a finished job has more tasks: new ones, or failed ones to try again.
    More,
    Changed,
    /// One of them cannot be opened.
    Missing,
    /// New items would go into the last command, whose other items are completed and would run again.
    GrownWithin,
}

/// The output today, compared with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    NotLookedAt,
    /// The bytes that the record counts are there.
    Whole,
    /// It is missing, or its bytes are other ones.
    Harmed,
    /// It was printed to a pipe or a terminal, whose reader is gone.
    Printed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Discard the state of an earlier run.
    pub(crate) fresh: bool,
    pub(crate) tasks: TaskKind,
}

/// The effect of running a task again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// None: a task is a function of its input.
    Pure,
    /// It may do harm; the output counts as well.
    SideEffects,
    /// It may do harm, and the output is a by-product. The list of tasks may change between two runs.
    SideEffectsOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a plan must be carried out"]
pub(crate) enum Plan {
    /// Compare inputs and output with the record, then ask again. Nothing is written meanwhile.
    Recheck,
    /// Begin the job at its first task.
    Begin(Over),
    /// Continue after the last committed task.
    Resume,
    /// Give the complete output its name. The last run was interrupted just before that, or just after it.
    Complete { code: u8 },
    /// Say that the job is finished, and do nothing.
    AlreadyDone { code: u8 },
    /// Change nothing, and say why.
    Refuse(Why),
}

/// The thing that a new job replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Nothing,
    /// The state that `fresh` discards.
    Discarded,
    /// A job of which no task is complete.
    Untouched,
    /// A job whose output was printed and is gone.
    Printed,
    /// A finished job. Its output stays until the new one is complete.
    Finished,
    /// A finished job with another list of tasks.
    FinishedList,
    /// Another finished job. The tasks of the new one may do harm, so this must not go unnoticed.
    FinishedOther,
}

impl Over {
    /// Whether an unfinished output belongs to the job that is given up, and may be removed. Otherwise it may be the only
    /// copy of the work of another job.
    pub(crate) fn owns_unfinished_output(self) -> bool {
        match self {
            Over::Discarded | Over::Untouched => true,
            Over::Nothing | Over::Printed | Over::Finished | Over::FinishedList | Over::FinishedOther => {
                false
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    InUse,
    NotOurs,
    Damaged,
    AnotherJob,
    OtherVersion,
    InputsChanged,
    InputsMissing,
    GrownWithin,
    OutputHarmed,
    /// The job is finished, its inputs or its output have changed, and its tasks must not run again unasked.
    FinishedOtherwise,
}

/// Decides what to do, given the state that was `found` and the job that is `asked` for.
pub(crate) fn plan(found: Finding, asked: Asked) -> Plan {
    match found {
        Finding::NoState => Plan::Begin(Over::Nothing),
        Finding::InUse => Plan::Refuse(Why::InUse),
        Finding::NotOurs => Plan::Refuse(Why::NotOurs),
        Finding::NoRecord | Finding::Damaged | Finding::Record(_) if asked.fresh => {
            Plan::Begin(Over::Discarded)
        }
        Finding::NoRecord => Plan::Begin(Over::Nothing),
        Finding::Damaged => Plan::Refuse(Why::Damaged),
        Finding::Record(past) => match past.phase {
            Phase::Working => unfinished(past),
            Phase::Finalizing { code } => interrupted_at_its_end(past, code),
            Phase::Done { code } => finished(past, asked.tasks, code),
        },
    }
}

fn unfinished(past: Past) -> Plan {
    match (past.job, past.output) {
        (JobOnRecord::Another, _) => unless_untouched(past, Why::AnotherJob),
        // The reader of the beginning is gone, so the rest alone is useless.
        (JobOnRecord::This, Output::Printed) => Plan::Begin(Over::Printed),
        (JobOnRecord::This, Output::NotLookedAt | Output::Whole | Output::Harmed) => match past.inputs {
            Inputs::NotCompared => Plan::Recheck,
            Inputs::Same | Inputs::More => resume(past),
            Inputs::Changed => unless_untouched(past, Why::InputsChanged),
            Inputs::Missing => Plan::Refuse(Why::InputsMissing),
            Inputs::GrownWithin => Plan::Refuse(Why::GrownWithin),
        },
    }
}

/// A refusal protects complete tasks. If there are none, the user may correct the command line without `fresh`.
fn unless_untouched(past: Past, why: Why) -> Plan {
    match past.completed {
        Completed::Nothing => Plan::Begin(Over::Untouched),
        Completed::Something => Plan::Refuse(why),
    }
}

fn resume(past: Past) -> Plan {
    match (past.total, past.output) {
        (TotalOnRecord::OtherVersion, _) => Plan::Refuse(Why::OtherVersion),
        (TotalOnRecord::Readable, Output::NotLookedAt) => Plan::Recheck,
        (TotalOnRecord::Readable, Output::Whole | Output::Printed) => Plan::Resume,
        (TotalOnRecord::Readable, Output::Harmed) => Plan::Refuse(Why::OutputHarmed),
    }
}

/// All tasks are complete; whether the output has its name is not on record.
fn interrupted_at_its_end(past: Past, code: u8) -> Plan {
    match (past.job, past.output) {
        (JobOnRecord::Another, _) => Plan::Refuse(Why::AnotherJob),
        (JobOnRecord::This, Output::NotLookedAt) => Plan::Recheck,
        (JobOnRecord::This, Output::Whole | Output::Printed) => Plan::Complete { code },
        (JobOnRecord::This, Output::Harmed) => Plan::Refuse(Why::OutputHarmed),
    }
}

fn finished(past: Past, tasks: TaskKind, code: u8) -> Plan {
    if past.job == JobOnRecord::Another {
        return Plan::Begin(if tasks == TaskKind::Pure { Over::Finished } else { Over::FinishedOther });
    }
    match tasks {
        TaskKind::SideEffectsOnly => match past.inputs {
            Inputs::NotCompared => Plan::Recheck,
            Inputs::Same => Plan::AlreadyDone { code },
            Inputs::More => resume(past),
            Inputs::Changed => Plan::Begin(Over::FinishedList),
            Inputs::Missing => Plan::Refuse(Why::InputsMissing),
            Inputs::GrownWithin => Plan::Refuse(Why::GrownWithin),
        },
        TaskKind::Pure | TaskKind::SideEffects => match (past.result, past.inputs, past.output) {
            (ResultOnRecord::Outdated, _, _) => again(tasks),
            (ResultOnRecord::Stands, Inputs::NotCompared, _) => Plan::Recheck,
            (ResultOnRecord::Stands, Inputs::Same, Output::NotLookedAt) => Plan::Recheck,
            (ResultOnRecord::Stands, Inputs::Same, Output::Whole) => Plan::AlreadyDone { code },
            (ResultOnRecord::Stands, Inputs::Same, Output::Harmed | Output::Printed) => again(tasks),
            (ResultOnRecord::Stands, Inputs::More | Inputs::Changed, _) => again(tasks),
            (ResultOnRecord::Stands, Inputs::Missing, _) => Plan::Refuse(Why::InputsMissing),
            (ResultOnRecord::Stands, Inputs::GrownWithin, _) => Plan::Refuse(Why::GrownWithin),
        },
    }
}

/// A finished job once more, if its tasks may run twice.
fn again(tasks: TaskKind) -> Plan {
    match tasks {
        TaskKind::Pure => Plan::Begin(Over::Finished),
        TaskKind::SideEffects | TaskKind::SideEffectsOnly => Plan::Refuse(Why::FinishedOtherwise),
    }
}

#[cfg(test)]
mod tests;
