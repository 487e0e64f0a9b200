//! The verbs that look at a job, or control it, from another process.
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`view`] | a job from outside |
//! | [`status`] | its status, for people and for programs |
//! | [`watch`] | the same, again and again until the job has ended |
//! | [`list`] | all jobs here and below, as a table |
//! | [`choose`] | which signal asks a given job for something |
//! | [`act`](mod@act) | asking for something, and waiting until it has happened |
//! | [`set`] | asking for other settings |
//! | [`top`] | all of it live, in a terminal |
//!
//! There is no socket and no protocol. Signals already carry requests to a job, and a file in its state directory has its
//! status. So `kill` and `cat` can do all that a verb can do, and a job needs no thread, no port and no permission to be
//! controlled. A verb adds care: its signal reaches this job or no process, it is the one that means the request to *this*
//! job, and the verb returns when the effect has come.

mod act;
mod choose;
mod list;
mod set;
mod status;
pub(crate) mod top;
mod view;
mod watch;

use crate::cli::args::control::Control;
use crate::cli::discover::{the_last, the_one};
use crate::cli::slurm::submission::{self, InQueue};
use crate::cli::terminal;
use crate::jobs::wording::worded;
use bivouac::Result;
use bivouac::ending::FINISHED;
use status::Divided;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use view::View;

pub(crate) fn run(control: &Control) -> Result<u8> {
    let path = match control {
        Control::List(verb) => return list::run(verb),
        Control::Status(verb) => the_last(verb.state.as_deref(), |_| true),
        Control::Pause(verb) | Control::Resume(verb) | Control::Checkpoint(verb) | Control::Stop(verb) => {
            the_one(verb.state.as_deref())
        }
        Control::Set(verb) => verb.pairs().and_then(|_| the_one(verb.state()?)),
    }?;
    if let Some(divided) = Divided::look(&path)? {
        return of_shards(control, divided, &path);
    }
    let view = View::look(&path)?;
    match control {
        Control::List(verb) => list::run(verb),
        Control::Status(verb) if verb.watch => watch::watch(view, verb.json),
        Control::Status(verb) => {
            let status = status::StatusReport::of(&view);
            let text = if verb.json { status.json()? } else { status.text(&view) };
            terminal::result(text.as_bytes()).map(|()| FINISHED)
        }
        Control::Pause(_)
        | Control::Resume(_)
        | Control::Checkpoint(_)
        | Control::Stop(_)
        | Control::Set(_) => act(control, &view),
    }
}

fn act(control: &Control, view: &View) -> Result<u8> {
    match control {
        Control::List(_) | Control::Status(_) => Ok(FINISHED),
        Control::Pause(verb) => act::pause(view, verb.timeout),
        Control::Resume(verb) => act::resume(view, verb.timeout),
        Control::Checkpoint(verb) => act::checkpoint(view, verb.timeout),
        Control::Stop(verb) => act::stop(view, verb.timeout),
        Control::Set(verb) => set::set(view, verb),
    }
}

/// Looks at all shards; or asks each that runs, and the merge. What one of them cannot do does not keep the others from
/// doing it.
fn of_shards(control: &Control, divided: Divided, path: &Path) -> Result<u8> {
    match control {
        Control::List(verb) => list::run(verb),
        Control::Status(verb) if verb.watch => watch::watch_shards(path, verb.json),
        Control::Status(verb) => {
            let text = match verb.json {
                true => divided.with_queue().json()?,
                false => divided.text() + &InQueue::ask(path).map_or_else(String::new, |queue| queue.text()),
            };
            terminal::result(text.as_bytes()).map(|()| FINISHED)
        }
        Control::Stop(_) if !submission::arrays(path).is_empty() => {
            submission::cancel(path).map(|()| FINISHED)
        }
        Control::Pause(_)
        | Control::Resume(_)
        | Control::Checkpoint(_)
        | Control::Stop(_)
        | Control::Set(_) => {
            let running = divided.running();
            if running.is_empty() {
                terminal::message(&format!("{}: no shard runs", path.display()));
            }
            // One after the other, those that wait for their turn would go on, each as long as those before them need to stop.
            let asked = thread::scope(|scope| {
                let ask = |view| scope.spawn(move || act(control, view));
                let asking: Vec<_> = running.iter().map(ask).collect();
                asking
                    .into_iter()
                    .map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
                    .collect::<Vec<_>>()
            });
            let mut failed = None;
            for error in asked.into_iter().filter_map(Result::err) {
                if let Some(earlier) = failed.replace(error) {
                    terminal::message(&worded(&earlier));
                }
            }
            failed.map_or(Ok(FINISHED), Err)
        }
    }
}
