//! `bivouac set`: ask a job for other settings, and wait until they are in force.
//!
//! The request is a file in the state directory, and a signal says that it is there ([`asked`](crate::cli::settings::asked)).
//! The answer stands in the status file, under the name of the request.
//!
//! # Race conditions
//!
//! - Two verbs at once: the verb locks the file before it writes, and until the answer, so the second verb waits for the
//!   first. The kernel releases the lock of a verb that is killed, and the next verb overwrites its file.
//! - The job ends before it answers: the end wakes the verb, which reports it. A file that stays behind names a process that
//!   has ended, so no other process takes it for its own.
//! - The job begins to stop before it answers: it answers until it has ended, and the settings hold for the rest of the run.

use super::act::{LOOK_EVERY, RunningJob, Seen, phase};
use super::view::{JobPhase, View};
use crate::cli::args::control::SetArgs;
use crate::cli::settings::asked::Asked;
use bivouac::status_file::StatusAnswer;
use bivouac::{Activity, Error, Request, Result};
use std::cell::RefCell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) fn set(view: &View, args: &SetArgs) -> Result<u8> {
    let job = RunningJob::reach(view, args.timeout, "set")?;
    let before = job.once_it_has_a_status()?;
    match phase(&before) {
        JobPhase::Suspended => {
            return Err(job
                .refusal("it is suspended, and reads nothing")
                .advise("`bivouac resume` continues it"));
        }
        JobPhase::Active(ending @ (Activity::Stopping | Activity::Aborting | Activity::Finishing)) => {
            return Err(job.refusal(format_args!("it is {ending}, and nothing can be set any more")));
        }
        JobPhase::Active(Activity::Running | Activity::Pausing | Activity::Paused)
        | JobPhase::Starting
        | JobPhase::Stopped
        | JobPhase::Crashed
        | JobPhase::Finished => {}
    }
    let signal = job.signal_for(&before, &[Request::Redraw, Request::Reload])?;
    let request = RequestFile::write(&job, args.pairs()?)?;
    job.send(signal)?;
    let answer = RefCell::new(None);
    let is_answered = |now: &Seen| {
        let said = now.live.as_ref().and_then(|live| live.answer.as_ref());
        let said = said.filter(|said| said.request == request.name);
        answer.borrow_mut().clone_from(&said.cloned());
        said.is_some()
    };
    job.wait_until("set", is_answered)?;
    match answer.into_inner() {
        Some(StatusAnswer { adopted: true, said, .. }) => job.done(said.join(", ")),
        Some(StatusAnswer { said, .. }) => {
            let said = said.join(", ");
            Err(match said.split_once("\n  ") {
                Some((why, advice)) => job.refusal(why).advise(format_args!("{advice}")),
                None => job.refusal(&said),
            })
        }
        None => Err(job.refusal("it has ended meanwhile")),
    }
}

/// The request file, until it is answered. Dropping this removes the file.
struct RequestFile {
    place: PathBuf,
    name: String,
    /// Its lock keeps other verbs waiting.
    _file: File,
}

impl RequestFile {
    fn write(job: &RunningJob<'_>, set: Vec<(String, String)>) -> Result<Self> {
        let place = Asked::place(job.path);
        let failed = |cause: io::Error| Error::io(&place, "write", &cause);
        let mut file = Self::locked(job, &place)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("{}-{now}", std::process::id());
        let asked = Asked { name: name.clone(), pid: job.holder.pid, set };
        let text = serde_json::to_vec(&asked).map_err(|e| failed(e.into()))?;
        file.set_len(0).and_then(|()| file.write_all(&text)).map_err(failed)?;
        Ok(Self { place, name, _file: file })
    }

    /// Opens and locks the file. If another verb has removed it between the two calls, this opens a new one.
    fn locked(job: &RunningJob<'_>, place: &Path) -> Result<File> {
        loop {
            let file = Asked::open(job.path, OpenOptions::new().create(true).truncate(false).write(true))
                .map_err(|e| Error::io(place, "open", &e))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, place) => return Ok(file),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(Error::io(place, "lock", &e)),
            }
            if job.process.wait(LOOK_EVERY)? {
                return Err(job.refusal("it has ended meanwhile"));
            }
            if job.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(Error::broken(job.path.display(), "another `bivouac set` waits for its answer")
                    .advise("a longer --timeout waits for that"));
            }
        }
    }
}

/// Whether the open file is still the one with this name.
fn is_at(file: &File, place: &Path) -> bool {
    let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), place.symlink_metadata()), (Ok(a), Ok(b)) if same(&a, &b))
}

impl Drop for RequestFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.place).ok();
        // The job may have removed its state meanwhile, except the directory, because this file was in it. This removes an
        // empty directory, and fails for a state that is still there.
        if let Some(state) = self.place.parent() {
            std::fs::remove_dir(state).ok();
        }
    }
}
