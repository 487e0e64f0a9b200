//! `bivouac slurm`: a job as an array of Slurm.
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`script`] | the script of the array, and which options of sbatch it takes |
//! | [`queue`] | the programs of Slurm: what is asked of them, and what they answer |
//! | [`submission`] | which shards are missing, and how they are submitted |
//! | [`check`] | what a site does to jobs |
//!
//! The obvious way to run many parts of a job is a workflow manager: a process that stays, polls the queue, and
//! interprets exit codes. It has to run somewhere, and it guesses. Here the shards coordinate by the files of the
//! state, so one call of sbatch is enough, and no process stays. The same line is also the remedy: typed again, it finds
//! the shards that are neither done nor queued, and submits them.

pub(crate) mod check;
pub(crate) mod queue;
pub(crate) mod script;
pub(crate) mod submission;
