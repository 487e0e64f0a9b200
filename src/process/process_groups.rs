//! The process groups of the commands, and which commands were ended, for the [watcher](super::watcher). It
//! needs both when this process does not answer any more.
//!
//! The obvious way is to tell the watcher through its pipe. But that wakes another process twice for each command, which
//! costs something at a thousand commands a second. So they are written to a place that the watcher reads only at the end:
//! a file without a name, in memory, with a slot of eight bytes for each command that runs.
//!
//! A command that ended well may have left a process behind on purpose: a daemon, the master of an ssh connection. That
//! one is not ours. So the watcher must tell commands apart, also after they have ended. The obvious list of all that ended
//! well grows with the job. Instead each command has the number of its slot and the *turn* of that slot, and carries both
//! in its environment ([`Tag`]). The slot holds its present turn. When the command has ended well, the turn is over and the
//! slot is used again. When a signal ended the command, the slot is not used again. Processes of a turn that is over are
//! not ours. All others are, also one that was started a moment ago.

use crate::task::command::Tag;
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[derive(Debug)]
pub(crate) struct ProcessGroups {
    file: OwnedFd,
    /// Slots that were in use and are not.
    free: Vec<u32>,
    turns: Vec<u32>,
}

/// Descriptors below this are those under which the watcher is given what it needs.
const ABOVE: i32 = 10;

impl ProcessGroups {
    /// Fails if the system has no descriptor left.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let file = memfd_create("commands", MemfdFlags::CLOEXEC)?;
        let file = rustix::io::fcntl_dupfd_cloexec(file, ABOVE)?;
        Ok(Self { file, free: Vec::new(), turns: Vec::new() })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives a tag to a command that is about to start. Nothing is written yet: a turn that is not known is not over.
    pub(super) fn prepare(&mut self) -> Tag {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.turns.push(0);
            self.turns.len() as u32 - 1
        });
        Tag { slot, turn: self.turns[slot as usize] }
    }

    pub(super) fn give_back(&mut self, tag: Tag) {
        self.free.push(tag.slot);
    }

    /// Notes that the command runs, as this group.
    pub(super) fn enter(&self, tag: Tag, group: i32) {
        self.write(tag.slot, tag.turn, group);
    }

    /// Notes that the command has ended by itself.
    pub(super) fn leave(&mut self, tag: Tag) {
        let turn = tag.turn.wrapping_add(1);
        self.turns[tag.slot as usize] = turn;
        self.write(tag.slot, turn, 0);
        self.free.push(tag.slot);
    }

    /// Notes that the command was ended. The number of its group is about to be free.
    pub(super) fn retire(&self, tag: Tag) {
        self.write(tag.slot, tag.turn, 0);
    }

    /// Notes, in another slot, that a signal was the reason for the end of this command, which had seemed to end by itself.
    pub(super) fn call_back(&mut self, tag: Tag) {
        let of = self.prepare();
        self.write(of.slot, tag.turn, !(tag.slot as i32));
    }

    /// Without memory nothing is noted. Then the watcher may treat a command that ended by itself as one that was ended.
    fn write(&self, slot: u32, turn: u32, group: i32) {
        let entry = [turn.to_ne_bytes(), group.to_ne_bytes()];
        rustix::io::pwrite(&self.file, entry.as_flattened(), 8 * u64::from(slot)).ok();
    }
}

/// The contents of the file, for the watcher.
pub(super) struct Entries {
    turns: Vec<u32>,
    called_back: BTreeSet<Tag>,
    pub(super) groups: Vec<i32>,
}

impl Entries {
    /// Reads the file that is open under this descriptor.
    pub(super) fn read(descriptor: i32) -> Self {
        // Reading by position would need an owned descriptor, and a number does not make one.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn entries(groups: &ProcessGroups) -> Entries {
        Entries::read(groups.descriptor().as_raw_fd())
    }

    #[test]
    fn a_command_that_ended_well_is_not_in_it_and_its_slot_is_used_again() {
        let mut groups = ProcessGroups::new().unwrap();
        assert!(groups.descriptor().as_raw_fd() >= ABOVE);
        let tags = [100, 200, 300].map(|group| {
            let tag = groups.prepare();
            groups.enter(tag, group);
            tag
        });
        groups.leave(tags[1]);
        assert_eq!(entries(&groups).groups, [100, 300]);
        assert_eq!(tags.map(|tag| entries(&groups).is_ours(tag)), [true, false, true]);
        let next = groups.prepare();
        assert_eq!((next.slot, next.turn), (1, 1));
        assert!(entries(&groups).is_ours(next), "it was started, and has not been entered");
        groups.enter(next, 400);
        assert_eq!(entries(&groups).groups, [100, 400, 300]);
        assert!(entries(&groups).is_ours(next) && !entries(&groups).is_ours(tags[1]));
    }

    #[test]
    fn a_command_that_was_ended_stays_in_it_also_if_that_is_known_later() {
        let mut groups = ProcessGroups::new().unwrap();
        let tag = groups.prepare();
        groups.enter(tag, 100);
        groups.retire(tag);
        let next = groups.prepare();
        assert_ne!(next.slot, tag.slot, "its slot is not used again");
        groups.enter(next, 200);
        groups.leave(next);
        assert!(entries(&groups).is_ours(tag) && !entries(&groups).is_ours(next));
        assert_eq!(entries(&groups).groups, [] as [i32; 0]);
        groups.call_back(next);
        assert!(entries(&groups).is_ours(next));
        let third = groups.prepare();
        groups.enter(third, 300);
        groups.leave(third);
        assert!(!entries(&groups).is_ours(third));
        let tags = ["3.7", "3", "x.1", ""].map(Tag::parse);
        assert_eq!(tags, [Some(Tag { slot: 3, turn: 7 }), None, None, None]);
    }
}
