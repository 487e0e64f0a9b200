//! Facts about an output, known when its command has ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// Bytes in a frame, compressed and not.
pub(super) type Frame = [u32; 2];

/// The facts, which the receptions of the output fill in.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) head: RefCell<Vec<u8>>,
    /// Bytes of the header, compressed.
    pub(super) packed_head: Cell<usize>,
    pub(super) frames: RefCell<Vec<Frame>>,
    /// The command has compressed it.
    pub(super) as_it_is: Cell<bool>,
    /// How many bytes the file of the chunk has.
    pub(super) bytes: Cell<u64>,
}

/// A file of a chunk: its line in the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Where its chunk begins.
    pub(super) input: Value,
    pub(super) offset: u64,
}

impl Part {
    /// Its path in this directory, if it is not there as it was written.
    pub(super) fn lost_from(self, directory: &Path) -> Option<PathBuf> {
        let path = directory.join(self.name);
        let is_there =
            path.symlink_metadata().is_ok_and(|facts| facts.is_file() && facts.len() == self.bytes);
        (!is_there).then_some(path)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // A text, numbers and a value of JSON are always JSON.
        out.extend(serde_json::to_vec(self).unwrap_or_default());
        out.push(b'\n');
    }
}
