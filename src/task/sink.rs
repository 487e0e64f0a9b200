//! The [`Sink`]: where output goes, and what "it is there" means.

use crate::error::Result;
use crate::task::Committed;
use crate::task::stop_fd::StopFd;
use std::sync::Arc;

/// Takes the output of the job, in task order, and makes it last. Lives on the commit thread.
///
/// The protocol, in the order of calls: `begin` once; then any number of `write`s, and from time to time
/// `make_durable`; at the very end `make_durable`, `publish`. After an error no call is made.
///
/// ```
/// use bivouac::{Committed, Error, Exit, Location, Result, Sink, Stretch};
/// use std::sync::{Arc, Mutex};
///
/// /// Output in memory. It is gone with the process, and then the job begins again.
/// #[derive(Clone, Default)]
/// struct Memory(Arc<Mutex<Vec<u8>>>);
///
/// impl Memory {
///     fn has(&self, committed: &Committed) -> bool {
///         self.0.lock().unwrap().len() as u64 >= committed.bytes
///     }
/// }
///
/// impl Sink for Memory {
///     fn may_begin(&self) -> Result<()> {
///         Ok(()) // nothing can stand in the way
///     }
///
///     fn can_continue(&self, committed: &Committed) -> bool {
///         self.has(committed)
///     }
///
///     fn may_go_on(&mut self, committed: &Committed) -> Result<()> {
///         if self.has(committed) { Ok(()) } else { Err(Error::refused("memory", "has forgotten something")) }
///     }
///
///     fn begin(&mut self, committed: Option<&Committed>) -> Result<()> {
///         self.0.lock().unwrap().truncate(committed.map_or(0, |committed| committed.bytes as usize));
///         Ok(())
///     }
///
///     fn write(&mut self, bytes: &[u8]) -> Result<()> {
///         self.0.lock().unwrap().extend_from_slice(bytes);
///         Ok(())
///     }
///
///     fn make_durable(&mut self) -> Result<Committed> {
///         let bytes = self.0.lock().unwrap().len() as u64;
///         let stretches = vec![Stretch { bytes, crc32: 0 }]; // of no use here
///         Ok(Committed { bytes, stretches, ..Committed::default() })
///     }
///
///     fn is_immediate(&self) -> bool {
///         false // a kill takes all of it
///     }
///
///     fn publish(&mut self) -> Result<()> {
///         Ok(())
///     }
///
///     fn abandon(&mut self) {
///         self.0.lock().unwrap().clear();
///     }
///
///     fn is_published(&mut self, committed: &Committed) -> Result<bool> {
///         Ok(self.has(committed))
///     }
/// }
///
/// let memory = Memory::default();
/// let digits = bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).state(Location::Nowhere);
/// assert_eq!(digits.into_run()?.sink(memory.clone()).run().exit(), Exit::Code(0));
/// assert_eq!(*memory.0.lock().unwrap(), b"012");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Sink: Send + 'static {
    /// Called first, for sinks whose reader can keep them waiting: once the run is over, this wakes them. They wait a
    /// little longer at most, and return an error of [`Kind::Interrupted`](crate::error::Kind::Interrupted). That is
    /// no failure: [`make_durable`](Sink::make_durable) follows, and says how much was taken.
    ///
    /// ```
    /// use bivouac::error::{Error, Kind, Result};
    /// use bivouac::{Committed, Location, Sink, StopFd, Waited};
    /// use std::io::{PipeWriter, Read, Write};
    /// use std::{os::fd::AsFd, sync::Arc};
    ///
    /// /// Writes to a reader that may take nothing for a long time.
    /// struct To(PipeWriter, Option<Arc<StopFd>>);
    ///
    /// impl Sink for To {
    ///     fn interrupt_by(&mut self, stop: &Arc<StopFd>) {
    ///         self.1 = Some(Arc::clone(stop));
    ///     }
    ///
    ///     fn may_give_up(&self) -> bool {
    ///         true
    ///     }
    ///
    ///     fn write(&mut self, bytes: &[u8]) -> Result<()> {
    ///         let failed = |e| Error::io("the pipe".as_ref(), "write", &e);
    ///         for piece in bytes.chunks(512) { // the kernel takes so few bytes at once, or none
    ///             let waited = self.1.as_ref().map(|stop| stop.wait_writable(self.0.as_fd())).transpose();
    ///             if waited.map_err(failed)? == Some(Waited::Stopped) {
    ///                 return Err(Error::new(Kind::Interrupted, "the pipe", "has no room"));
    ///             }
    ///             self.0.write_all(piece).map_err(failed)?;
    ///         }
    ///         Ok(())
    ///     }
    /// #    fn begin(&mut self, _: Option<&Committed>) -> Result<()> { Ok(()) }
    /// #    fn make_durable(&mut self) -> Result<Committed> { Ok(Committed::default()) }
    /// #    fn publish(&mut self) -> Result<()> { Ok(()) }
    /// #    fn is_published(&mut self, _: &Committed) -> Result<bool> { Ok(true) }
    /// }
    ///
    /// let (mut reader, writer) = std::io::pipe()?;
    /// let digits = bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).state(Location::Nowhere);
    /// let ending = digits.into_run()?.sink(To(writer, None)).run();
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text)?;
    /// assert_eq!(text, "012");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn interrupt_by(&mut self, _stop: &Arc<StopFd>) {}

    /// Whether a [`write`](Sink::write) may end like that.
    fn may_give_up(&self) -> bool {
        false
    }

    /// Asked before a new job is recorded anywhere. Refuses it if something stands in the way that is not ours to remove.
    fn may_begin(&self) -> Result<()> {
        Ok(())
    }

    /// Asked before anything is written for a job that is continued. Fails if [`begin`](Sink::begin) would not accept
    /// `committed`: it finds every reason for a refusal, and changes nothing.
    fn may_go_on(&mut self, _committed: &Committed) -> Result<()> {
        Ok(())
    }

    /// Opens the destination. With `committed`, continues after what an earlier run committed: the sink
    /// checks that it is still there and removes everything after it.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage) for a destination that cannot be one,
    /// [`Kind::Refused`](crate::error::Kind::Refused) when the committed output is damaged.
    fn begin(&mut self, committed: Option<&Committed>) -> Result<()>;

    /// Takes the next bytes of the output. The first error ends the run.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// When this returns, everything written so far survives a power cut (as far as the destination can promise that).
    /// The result goes into the record. A failed flush is never tried again: the second may report success although
    /// bytes are lost.
    fn make_durable(&mut self) -> Result<Committed>;

    /// From now on bytes are provisional: until [`end_provisional`](Sink::end_provisional),
    /// [`make_durable`](Sink::make_durable) does not count them. `false`: this destination gives no byte back.
    #[doc(hidden)]
    fn begin_provisional(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Counts the provisional bytes from now on, or takes them back.
    #[doc(hidden)]
    fn end_provisional(&mut self, _keep: bool) -> Result<()> {
        Ok(())
    }

    /// A record that counts what [`make_durable`](Sink::make_durable) returned is durable too.
    #[doc(hidden)]
    fn recorded(&mut self) {}

    /// Whether this run can continue after what an earlier run committed. Otherwise the job starts again.
    fn can_continue(&self, _committed: &Committed) -> bool {
        true
    }

    /// Whether a write stays even if this process is killed before the next [`make_durable`](Sink::make_durable).
    /// Asked for tasks whose output is a by-product ([`Effects`](crate::Effects)): the journal then says at once that
    /// a task is complete, otherwise with the next checkpoint.
    fn is_immediate(&self) -> bool {
        false
    }

    /// Gives the complete output its final name. Called once, after the record says "finalizing". After an error the
    /// output stays where it is, and the next run tries again.
    fn publish(&mut self) -> Result<()>;

    /// The run has no result and no record knows of its output: removes what would stop the next run.
    fn abandon(&mut self) {}

    /// Whether the published output of this description is there, unharmed. Asked instead of `begin` when the record
    /// says that the job is finished.
    fn is_published(&mut self, committed: &Committed) -> Result<bool>;
}
