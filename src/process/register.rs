//! Which groups of commands there are, for the [watcher](super::watcher): it must know them when this
//! process does not answer any more.
//!
//! The obvious way is to tell it, through its pipe. But that wakes another process twice for each command,
//! and a thousand commands a second would feel it. So it is written where the watcher looks only at the
//! end: in a file without a name, in memory, with a slot of four bytes for each command that runs. A
//! number is written when a command is started, and a zero before it is reaped.

use rustix::fs::{MemfdFlags, memfd_create};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Register {
    file: OwnedFd,
    /// Slots that were in use and are not.
    free: Vec<u64>,
    /// How many slots there are.
    slots: u64,
}

/// Descriptors below this are those under which the watcher is given what it needs.
const ABOVE: i32 = 10;

impl Register {
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let file = memfd_create("commands", MemfdFlags::CLOEXEC)?;
        Ok(Self { file: rustix::io::fcntl_dupfd_cloexec(file, ABOVE)?, free: Vec::new(), slots: 0 })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A command runs; where it stands.
    pub(super) fn enter(&mut self, group: i32) -> u64 {
        let slot = self.free.pop().unwrap_or(self.slots);
        self.slots = self.slots.max(slot + 1);
        self.write(slot, group);
        slot
    }

    /// It has ended.
    pub(super) fn leave(&mut self, slot: u64) {
        self.write(slot, 0);
        self.free.push(slot);
    }

    /// Without memory for it the watcher knows of one command less; it still knows its own mark.
    fn write(&self, slot: u64, group: i32) {
        rustix::io::pwrite(&self.file, &group.to_ne_bytes(), 4 * slot).ok();
    }
}

/// The groups in the register that is open under this descriptor, for the watcher.
pub(super) fn groups_in(descriptor: i32) -> Vec<i32> {
    // Reading by position would need the descriptor as a value, which is for nobody to make up.
    let bytes = fs::read(format!("/proc/self/fd/{descriptor}")).unwrap_or_default();
    let slots = bytes.as_chunks::<4>().0.iter();
    slots.map(|slot| i32::from_ne_bytes(*slot)).filter(|group| *group > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn who_has_left_is_not_in_it_and_slots_are_used_again() {
        let mut register = Register::new().unwrap();
        let slots = [100, 200, 300].map(|group| register.enter(group));
        register.leave(slots[1]);
        let descriptor = register.descriptor().as_raw_fd();
        assert!(descriptor >= ABOVE);
        assert_eq!(groups_in(descriptor), [100, 300]);
        assert_eq!(register.enter(400), slots[1]);
        assert_eq!(groups_in(descriptor), [100, 400, 300]);
    }
}
