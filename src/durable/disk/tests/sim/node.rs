//! What is on the simulated disk: files and directories, each with what a reader sees and what a power
//! cut would leave.

use super::SECTOR;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    /// What a reader sees, and what is on the disk.
    pub(super) now: Vec<u8>,
    pub(super) safe: Vec<u8>,
    /// Sectors that differ because they were written since the last sync.
    pub(super) dirty: BTreeSet<usize>,
    pub(super) mode: u32,
    pub(super) safe_mode: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) now: BTreeMap<OsString, u64>,
    pub(super) safe: BTreeMap<OsString, u64>,
    pub(super) pending: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(OsString, u64),
    Unset(OsString),
    Rename(OsString, OsString, u64),
}

pub(super) struct Coin {
    pub(super) seed: u64,
    pub(super) state: u64,
}

impl Coin {
    /// xorshift64*: good enough for coins, and the same everywhere.
    pub(super) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    pub(super) fn keeps(&mut self) -> bool {
        match self.seed {
            0 => false,
            1 => true,
            _ => self.next().is_multiple_of(2),
        }
    }
}

impl FileNode {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        self.mark(self.now.len().min(offset), end);
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.mark(self.now.len().min(length), length + 1);
        self.now.resize(length, 0);
    }

    pub(super) fn mark(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
    }

    /// Half of a write, and garbage where it broke off.
    pub(super) fn tear(&mut self, bytes: &[u8], offset: usize, first: bool) {
        let half = if first { 0 } else { bytes.len() / 2 };
        self.write(&bytes[..half], offset);
        let sector = (offset + half) / SECTOR * SECTOR;
        for content in [&mut self.now, &mut self.safe] {
            let end = content.len().min(sector + SECTOR);
            if sector < end {
                content[sector..end].fill(0xEE);
            }
        }
    }

    pub(super) fn sync(&mut self) {
        self.safe.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(&self.now, &mut self.safe, sector);
        }
        self.safe_mode = self.mode;
    }

    pub(super) fn lose_power(&mut self, coin: &mut Coin) {
        let unsettled = !self.dirty.is_empty();
        let growing = self.now.len() > self.safe.len();
        let length = if coin.keeps() { self.now.len() } else { self.safe.len() };
        let mut left = self.safe.clone();
        left.resize(length, 0);
        for sector in std::mem::take(&mut self.dirty) {
            if coin.keeps() {
                copy_sector(&self.now, &mut left, sector);
            }
        }
        if unsettled && growing && coin.seed > 1 && coin.keeps() {
            left.resize(self.now.len() + 1 + coin.next() as usize % 4096, 0xDB);
        }
        if !coin.keeps() {
            self.mode = self.safe_mode;
        }
        (self.now, self.safe, self.safe_mode) = (left.clone(), left, self.mode);
    }
}

fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let start = sector * SECTOR;
    let end = (start + SECTOR).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

impl DirNode {
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    pub(super) fn set_durably(&mut self, name: &OsStr, ino: u64) {
        self.now.insert(name.into(), ino);
        self.safe.insert(name.into(), ino);
    }

    pub(super) fn sync(&mut self) {
        self.safe.clone_from(&self.now);
        self.pending.clear();
    }

    pub(super) fn lose_power(&mut self, coin: &mut Coin) {
        for change in std::mem::take(&mut self.pending) {
            if coin.keeps() {
                change.apply(&mut self.safe);
            }
        }
        self.now.clone_from(&self.safe);
    }
}

impl Change {
    pub(super) fn apply(&self, names: &mut BTreeMap<OsString, u64>) {
        match self {
            Change::Set(name, ino) => drop(names.insert(name.clone(), *ino)),
            Change::Unset(name) => drop(names.remove(name)),
            Change::Rename(from, to, ino) => {
                names.remove(from);
                names.insert(to.clone(), *ino);
            }
        }
    }
}
