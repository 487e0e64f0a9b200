//! Puts the output of tasks that finish in any order into the order of their numbers.
//!
//! What a task emits is held until the task is done *and* every task before it is committed. Done,
//! because an interrupted task takes its pieces back; before, because order is what makes the output
//! the same bytes every time. Admission (no task starts further than a window beyond the frontier)
//! bounds how many tasks are held. How much each produces is nobody's to bound, so beyond
//! [`MEMORY`] pieces go to a scratch file.

use crate::error::{Error, Result};
use crate::job::Mark;
use crate::pool::Delivery;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Pieces up to this many bytes are held in memory; further ones go to the scratch file.
pub(crate) const MEMORY: u64 = 64 << 20;

/// Tasks beyond the frontier, with what they made.
pub(crate) struct Reorder<P> {
    tasks: BTreeMap<u64, Held<P>>,
    in_memory: u64,
    scratch: Scratch,
}

/// What is held of one task.
pub(crate) struct Held<P> {
    pieces: Vec<Piece>,
    fate: Option<Fate<P>>,
}

/// How a task ended.
pub(crate) enum Fate<P> {
    Done { partial: P, mark: Option<Mark>, bytes: u64 },
    Failed { mark: Option<Mark> },
}

enum Piece {
    InMemory(Vec<u8>),
    InScratch { at: u64, bytes: usize },
}

impl<P> Default for Held<P> {
    fn default() -> Self {
        Self { pieces: Vec::new(), fate: None }
    }
}

impl<P> Reorder<P> {
    /// `near` is a directory for the scratch file; without one it goes to the system's.
    pub(crate) fn new(near: Option<PathBuf>) -> Self {
        Self { tasks: BTreeMap::new(), in_memory: 0, scratch: Scratch { near, file: None, end: 0, used: 0 } }
    }

    /// Takes what a worker delivers.
    pub(crate) fn take(&mut self, delivery: Delivery<P>) -> Result<()> {
        match delivery {
            Delivery::Piece { task, bytes } => self.hold(task, bytes)?,
            Delivery::Done { task, partial, mark, bytes } => {
                self.settle(task, Fate::Done { partial, mark, bytes });
            }
            Delivery::Failed { task, mark, prints } => {
                if !prints {
                    self.forget(task);
                }
                self.settle(task, Fate::Failed { mark });
            }
            Delivery::Interrupted { task } => self.forget(task),
        }
        Ok(())
    }

    /// The task with this number, if it has ended.
    pub(crate) fn ended(&mut self, task: u64) -> Option<(Held<P>, Fate<P>)> {
        self.tasks.get(&task)?.fate.as_ref()?;
        let mut held = self.tasks.remove(&task)?;
        let fate = held.fate.take()?;
        Some((held, fate))
    }

    /// The lowest task that has ended, wherever it stands: for keeping what is beyond the frontier.
    pub(crate) fn any_ended(&self) -> Option<u64> {
        self.tasks.iter().find(|(_, held)| held.fate.is_some()).map(|(task, _)| *task)
    }

    /// Hands the pieces of a task to `each`, in order, and lets go of them.
    pub(crate) fn drain(&mut self, held: Held<P>, mut each: impl FnMut(Vec<u8>) -> Result<()>) -> Result<()> {
        for piece in held.pieces {
            let bytes = self.release(piece)?;
            each(bytes)?;
        }
        Ok(())
    }

    /// Bytes held, in memory and in the scratch file.
    pub(crate) fn backlog(&self) -> u64 {
        self.in_memory + self.scratch.used
    }

    fn hold(&mut self, task: u64, bytes: Vec<u8>) -> Result<()> {
        let piece = if self.in_memory + bytes.len() as u64 <= MEMORY {
            self.in_memory += bytes.len() as u64;
            Piece::InMemory(bytes)
        } else {
            Piece::InScratch { at: self.scratch.append(&bytes)?, bytes: bytes.len() }
        };
        self.tasks.entry(task).or_default().pieces.push(piece);
        Ok(())
    }

    fn settle(&mut self, task: u64, fate: Fate<P>) {
        self.tasks.entry(task).or_default().fate = Some(fate);
    }

    fn forget(&mut self, task: u64) {
        let Some(held) = self.tasks.remove(&task) else { return };
        for piece in held.pieces {
            match piece {
                Piece::InMemory(bytes) => self.in_memory -= bytes.len() as u64,
                Piece::InScratch { bytes, .. } => self.scratch.give_up(bytes),
            }
        }
    }

    fn release(&mut self, piece: Piece) -> Result<Vec<u8>> {
        match piece {
            Piece::InMemory(bytes) => {
                self.in_memory -= bytes.len() as u64;
                Ok(bytes)
            }
            Piece::InScratch { at, bytes } => self.scratch.read(at, bytes),
        }
    }
}

/// A file without a name, which the kernel removes with the process however that ends. Nothing in
/// it outlives the run, so it is never synced and does not go through [`crate::disk`].
struct Scratch {
    near: Option<PathBuf>,
    file: Option<File>,
    end: u64,
    used: u64,
}

impl Scratch {
    fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        let at = self.end;
        file.write_all_at(bytes, at).map_err(|e| self.error("write", &e))?;
        self.file = Some(file);
        self.end += bytes.len() as u64;
        self.used += bytes.len() as u64;
        Ok(at)
    }

    fn read(&mut self, at: u64, bytes: usize) -> Result<Vec<u8>> {
        let mut buffer = vec![0; bytes];
        match &self.file {
            Some(file) => file.read_exact_at(&mut buffer, at).map_err(|e| self.error("read", &e))?,
            None => return Err(Error::broken("scratch file", "was read before it was written")),
        }
        self.give_up(bytes);
        Ok(buffer)
    }

    /// Holes are not filled one by one; when the last byte is given up the file begins anew.
    fn give_up(&mut self, bytes: usize) {
        self.used -= bytes as u64;
        if self.used == 0 {
            self.file = None;
            self.end = 0;
        }
    }

    fn create(&self) -> Result<File> {
        let made = match &self.near {
            Some(near) if near.is_dir() => tempfile::tempfile_in(near),
            _ => tempfile::tempfile(),
        };
        made.map_err(|e| self.error("create", &e))
    }

    fn error(&self, step: &str, cause: &std::io::Error) -> Error {
        let near = self.near.clone().unwrap_or_else(std::env::temp_dir);
        Error::io(Path::new(&near).join("(scratch file)").as_path(), step, cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(task: u64) -> Delivery<u64> {
        Delivery::Done { task, partial: task, mark: None, bytes: 0 }
    }

    fn piece(task: u64, bytes: Vec<u8>) -> Delivery<u64> {
        Delivery::Piece { task, bytes }
    }

    fn drained(reorder: &mut Reorder<u64>, task: u64) -> Vec<u8> {
        let (held, _) = reorder.ended(task).unwrap();
        let mut all = Vec::new();
        reorder
            .drain(held, |bytes| {
                all.extend(bytes);
                Ok(())
            })
            .unwrap();
        all
    }

    #[test]
    fn pieces_of_tasks_that_run_at_the_same_time_come_out_task_by_task() {
        let mut reorder = Reorder::new(None);
        for delivery in [piece(1, b"c".to_vec()), piece(0, b"a".to_vec()), piece(1, b"d".to_vec()), done(1)] {
            reorder.take(delivery).unwrap();
        }
        assert!(reorder.ended(0).is_none(), "task 0 is not done");
        reorder.take(piece(0, b"b".to_vec())).unwrap();
        reorder.take(done(0)).unwrap();
        assert_eq!([drained(&mut reorder, 0), drained(&mut reorder, 1)].concat(), b"abcd");
        assert_eq!(reorder.backlog(), 0);
    }

    #[test]
    fn an_interrupted_task_takes_its_pieces_back() {
        let mut reorder = Reorder::new(None);
        reorder.take(piece(0, b"half".to_vec())).unwrap();
        reorder.take(Delivery::Interrupted { task: 0 }).unwrap();
        assert_eq!((reorder.backlog(), reorder.any_ended()), (0, None));
    }

    #[test]
    fn beyond_the_bound_pieces_go_to_the_scratch_file_and_come_back_whole() {
        let near = tempfile::tempdir().unwrap();
        let mut reorder = Reorder::new(Some(near.path().to_path_buf()));
        let block = |n: u8| vec![n; 16 << 20];
        for n in 0..8 {
            reorder.take(piece(1, block(n))).unwrap();
        }
        assert_eq!(reorder.in_memory, MEMORY);
        assert_eq!(reorder.backlog(), 2 * MEMORY);
        reorder.take(done(1)).unwrap();
        let all = drained(&mut reorder, 1);
        assert!((0..8).all(|n| all[usize::from(n) << 24..][..16 << 20] == block(n)));
        assert_eq!(reorder.backlog(), 0);
        assert_eq!(std::fs::read_dir(near.path()).unwrap().count(), 0, "the scratch file has no name");
    }
}
