//! `bivouac slurm`: a job as an array of Slurm.
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`script`] | the script of the array, and which options of sbatch it takes |
//! | [`queue`] | the programs of Slurm: what is asked of them, and what they answer |
//! | [`submission`] | what is missing, and how it is submitted |
//! | [`check`] | what a site does to jobs |
//!
//! The obvious way to run many parts of a job is a workflow manager: a process that stays, polls the queue, and
//! interprets exit codes. It has to run somewhere, and it guesses. Here the shards coordinate by the files of the
//! state, so one call of sbatch is enough, no process stays, and the line that was typed is also the remedy: typed
//! again it looks what is neither done nor queued, and submits that.

pub(crate) mod check;
pub(crate) mod queue;
pub(crate) mod script;
pub(crate) mod submission;
