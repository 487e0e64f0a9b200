//! Whether a task does anything besides producing output.
//!
//! The obvious form is a flag for each consequence. Here a run has one value, and the consequences are functions of
//! it. The committer chooses its way of completion once (`engine/commit/completion.rs`).

use crate::engine::plan::TaskKind;

/// What tasks do besides producing output ([`Run::effects`](crate::Run::effects)).
///
/// ```
/// use bivouac::{Effects, TaskOutput};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let effects = Effects::SideEffects { output: TaskOutput::Result, retry_failed: false };
/// let pay = || bivouac::resumable(["ada", "grace"]).map(|to, _| Ok(format!("paid {to}\n"))).write_to("paid");
/// assert_eq!(pay().into_run()?.effects(effects).run().exit(), bivouac::Exit::Code(0));
/// std::fs::remove_file("paid")?;
/// let again = pay().into_run()?.effects(effects).run();
/// assert_eq!(again.exit(), bivouac::Exit::Code(3), "a pure job would begin again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effects {
    /// Nothing. A task is a function of its input, and running it again does no harm.
    #[default]
    Pure,
    /// A task changes something outside, like a command that sends a mail. Running it again may do harm. So:
    ///
    /// - Every checkpoint stores all tasks that completed ahead of the frontier.
    /// - The engine does not begin a finished job again if its inputs or its output have changed. It refuses
    ///   that, unless [`fresh`](crate::Run::fresh) asks for it.
    SideEffects {
        /// What the output of the tasks is for.
        output: TaskOutput,
        /// Whether tasks that failed in earlier runs run again. It has no effect with [`TaskOutput::Result`].
        retry_failed: bool,
    },
}

/// What the output of tasks with side effects is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOutput {
    /// It is a result, like the output of pure tasks: in the order of the tasks, every byte exactly once.
    Result,
    /// It is a by-product, printed in the order of the tasks. This has three consequences, which also hold for
    /// [`PrintedAsCompleted`](TaskOutput::PrintedAsCompleted):
    ///
    /// - A task that is complete never runs again, also if the process is killed a moment later. The journal holds
    ///   the end of each task, if the job writes one ([`Context::journal`](crate::Context::journal)), and the next
    ///   run counts it. By then the engine has handed over what the task printed.
    /// - The list of tasks may grow between runs, also after the job has finished. The engine refuses any other
    ///   change of the tasks that it knows, if the source gives marks ([`Listed::mark`](crate::Listed::mark)).
    /// - The reports of tasks ([`Job::Partial`](crate::Job::Partial)) should not matter: the engine does not fold a task that
    ///   only the journal knows, and it folds the others in the order in which they end.
    PrintedInOrder,
    /// It is a by-product, printed task by task as they end. A long task makes no other task wait.
    PrintedAsCompleted,
}

impl Effects {
    /// Whether the journal is a record of complete tasks too, and the list of tasks may grow.
    pub(crate) fn are_journaled(self) -> bool {
        self.kind() == TaskKind::SideEffectsOnly
    }

    /// What it means to run a task again.
    pub(crate) fn kind(self) -> TaskKind {
        match self {
            Effects::Pure => TaskKind::Pure,
            Effects::SideEffects { output, .. } => match output {
                TaskOutput::Result => TaskKind::SideEffects,
                TaskOutput::PrintedInOrder | TaskOutput::PrintedAsCompleted => TaskKind::SideEffectsOnly,
            },
        }
    }

    /// Whether tasks that failed in earlier runs run again.
    pub(crate) fn retry_failed(self) -> bool {
        match self {
            Effects::Pure => false,
            Effects::SideEffects { retry_failed, .. } => retry_failed,
        }
    }
}
