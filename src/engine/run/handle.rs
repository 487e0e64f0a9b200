//! A program asks a run for the same things as a signal, by a channel of its own.

use crate::signals::policy::Request;
use crossbeam_channel::Sender;

/// Asks a run for something, from any thread. It is cheap to clone. After the run it has no effect.
///
/// ```
/// use bivouac::{Exit, Location, TaskError};
/// use std::time::Duration;
///
/// let endless = bivouac::resumable(0..1_u64)
///     .map(|_, cx| -> Result<(), TaskError> {
///         loop {
///             cx.sleep(Duration::from_secs(1))?;
///         }
///     })
///     .state(Location::Nowhere);
/// let handle = endless.handle();
/// handle.pause();
/// handle.status();
/// handle.checkpoint();
/// handle.resume();
/// let after = handle.clone(); // from any thread
/// let log = bivouac::progress::log(move |line| if line.ends_with("asks: resume") { after.abort() });
/// assert_eq!(endless.progress(log).main(), Exit::Code(75));
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    requests: Sender<Request>,
}

macro_rules! requests {
    ($($(#[$doc:meta])* pub fn $name:ident => $request:ident;)*) => { $(
        $(#[$doc])*
        pub fn $name(&self) {
            self.requests.send(Request::$request).ok(); // After the run it has no effect.
        }
    )* };
}

impl Handle {
    /// The handle of the run that receives these requests.
    pub(crate) fn of(requests: &Sender<Request>) -> Self {
        Self { requests: requests.clone() }
    }

    requests! {
        /// Starts no more tasks, lets those in flight finish within the grace, and ends with a checkpoint.
        pub fn stop => Stop;

        /// Cancels tasks in flight and ends with a checkpoint.
        pub fn abort => Abort;

        /// Holds tasks at their next yield point.
        pub fn pause => Pause;

        /// Lets tasks go on after a pause.
        pub fn resume => Resume;

        /// Takes a checkpoint; the run goes on. The [`Observer`](crate::Observer) learns when it is durable.
        pub fn checkpoint => Checkpoint;

        /// Reports the progress to the [`Observer`](crate::Observer).
        pub fn status => Status;

        /// Reads settings again, if the run has a [`Reload`](crate::engine::reload::Reload).
        #[doc(hidden)]
        pub fn reload => Reload;
    }
}
