//! Which commands there are, and which have been ended, for the [watcher](super::watcher): it must know it
//! when this process does not answer any more.
//!
//! The obvious way is to tell it, through its pipe. But that wakes another process twice for each command,
//! and a thousand commands a second would feel it. So it is written where the watcher looks only at the
//! end: in a file without a name, in memory, with a slot of eight bytes for each command that runs.
//!
//! What a command that ended well has left behind on purpose is not ours: a daemon, the master of an ssh
//! connection. So the watcher must tell commands apart, also those of which nothing runs any more but what
//! they have left. The obvious list of all that ended well grows with the job. Instead each command has the
//! number of its slot and the *turn* of that slot, and carries both in its environment ([`Tag`]). The slot
//! holds the turn that is on. When its command has ended well the turn is over, and the slot is used
//! again; when the command was ended, the slot is never used again, so its turn is never over. A process
//! whose turn is over is not ours; every other one is, also one that was born a moment ago.

use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Which command of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    slot: u32,
    turn: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.turn)
    }
}

impl Tag {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (slot, turn) = text.split_once('.')?;
        Some(Self { slot: slot.parse().ok()?, turn: turn.parse().ok()? })
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Register {
    file: OwnedFd,
    /// Slots that were in use and are not.
    free: Vec<u32>,
    /// The turn of each slot.
    turns: Vec<u32>,
}

/// Descriptors below this are those under which the watcher is given what it needs.
const ABOVE: i32 = 10;

impl Register {
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let file = memfd_create("commands", MemfdFlags::CLOEXEC)?;
        let file = rustix::io::fcntl_dupfd_cloexec(file, ABOVE)?;
        Ok(Self { file, free: Vec::new(), turns: Vec::new() })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A command is about to be born. Nothing is written yet: a turn that nobody has heard of is not over.
    pub(super) fn prepare(&mut self) -> Tag {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.turns.push(0);
            self.turns.len() as u32 - 1
        });
        Tag { slot, turn: self.turns[slot as usize] }
    }

    /// It was not born.
    pub(super) fn give_back(&mut self, tag: Tag) {
        self.free.push(tag.slot);
    }

    /// It runs, in this group.
    pub(super) fn enter(&self, tag: Tag, group: i32) {
        self.write(tag.slot, tag.turn, group);
    }

    /// It has ended well.
    pub(super) fn leave(&mut self, tag: Tag) {
        let turn = tag.turn.wrapping_add(1);
        self.turns[tag.slot as usize] = turn;
        self.write(tag.slot, turn, 0);
        self.free.push(tag.slot);
    }

    /// It was ended; the number of its group is about to be free.
    pub(super) fn retire(&self, tag: Tag) {
        self.write(tag.slot, tag.turn, 0);
    }

    /// It has left, and it turns out that it was ended. A slot of its own says so.
    pub(super) fn call_back(&mut self, tag: Tag) {
        let of = self.prepare();
        self.write(of.slot, tag.turn, !(tag.slot as i32));
    }

    /// Without memory for it the watcher takes one command more for one that is not over.
    fn write(&self, slot: u32, turn: u32, group: i32) {
        let [a, b, c, d] = turn.to_ne_bytes();
        let [e, f, g, h] = group.to_ne_bytes();
        rustix::io::pwrite(&self.file, &[a, b, c, d, e, f, g, h], 8 * u64::from(slot)).ok();
    }
}

/// What stands in the register, for the watcher.
pub(super) struct Entries {
    turns: Vec<u32>,
    called_back: BTreeSet<Tag>,
    groups: Vec<i32>,
}

impl Entries {
    /// Of the register that is open under this descriptor.
    pub(super) fn read(descriptor: i32) -> Self {
        // Reading by position would need the descriptor as a value, which is for nobody to make up.
        let bytes = fs::read(format!("/proc/self/fd/{descriptor}")).unwrap_or_default();
        let mut entries = Self { turns: Vec::new(), called_back: BTreeSet::new(), groups: Vec::new() };
        for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<8>().0 {
            let (turn, group) = (u32::from_ne_bytes([*a, *b, *c, *d]), i32::from_ne_bytes([*e, *f, *g, *h]));
            if group < 0 {
                entries.called_back.insert(Tag { slot: !group as u32, turn });
            } else if group > 1 {
                entries.groups.push(group);
            }
            entries.turns.push(if group < 0 { 0 } else { turn });
        }
        entries
    }

    /// Whether the command runs in the end, or was ended.
    pub(super) fn is_ours(&self, tag: Tag) -> bool {
        let turn = self.turns.get(tag.slot as usize).copied().unwrap_or_default();
        tag.turn >= turn || self.called_back.contains(&tag)
    }

    /// The groups of the commands that run.
    pub(super) fn groups(&self) -> &[i32] {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn entries(register: &Register) -> Entries {
        Entries::read(register.descriptor().as_raw_fd())
    }

    #[test]
    fn who_has_ended_well_is_not_in_it_and_slots_are_used_again() {
        let mut register = Register::new().unwrap();
        assert!(register.descriptor().as_raw_fd() >= ABOVE);
        let tags = [100, 200, 300].map(|group| {
            let tag = register.prepare();
            register.enter(tag, group);
            tag
        });
        register.leave(tags[1]);
        assert_eq!(entries(&register).groups(), [100, 300]);
        assert_eq!(tags.map(|tag| entries(&register).is_ours(tag)), [true, false, true]);
        let next = register.prepare();
        assert_eq!((next.slot, next.turn), (1, 1));
        assert!(entries(&register).is_ours(next), "it is born, and has not been entered");
        register.enter(next, 400);
        assert_eq!(entries(&register).groups(), [100, 400, 300]);
        assert!(entries(&register).is_ours(next) && !entries(&register).is_ours(tags[1]));
    }

    #[test]
    fn who_was_ended_stays_in_it_also_if_that_is_known_later() {
        let mut register = Register::new().unwrap();
        let tag = register.prepare();
        register.enter(tag, 100);
        register.retire(tag);
        let next = register.prepare();
        assert_ne!(next.slot, tag.slot, "its slot is not used again");
        register.enter(next, 200);
        register.leave(next);
        assert!(entries(&register).is_ours(tag) && !entries(&register).is_ours(next));
        assert_eq!(entries(&register).groups(), [] as [i32; 0]);
        register.call_back(next);
        assert!(entries(&register).is_ours(next));
        let third = register.prepare();
        register.enter(third, 300);
        register.leave(third);
        assert!(!entries(&register).is_ours(third));
        let tags = ["3.7", "3", "x.1", ""].map(Tag::parse);
        assert_eq!(tags, [Some(Tag { slot: 3, turn: 7 }), None, None, None]);
    }
}
