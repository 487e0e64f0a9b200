//! The file of access points: what decompression needs to begin inside a member of gzip.
//!
//! It stands beside the record and belongs to no checkpoint. Each point has a digest, and one that is missing or damaged
//! costs time only: the member is decompressed again from its beginning. So nothing is flushed, and a failed write is
//! no failure of the job.

use super::Point;
use crate::input::witness::identity::Identity;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

/// How far back deflate refers.
pub(super) const WINDOW: usize = 32 << 10;

const KEY: usize = 24;
const STATE: usize = 10;
const DIGEST: usize = 32;
const ENTRY: usize = KEY + STATE + WINDOW + DIGEST;

/// The state of a decoder between two blocks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// Bits of the byte before the point that belong to the next block, and how many.
    pub(super) bits: (u8, u8),
    /// Over the member so far.
    pub(super) crc: u32,
    pub(super) length: u32,
    /// The last bytes before the point.
    pub(super) window: Vec<u8>,
}

type Key = [u8; KEY];

#[derive(Debug)]
pub(in crate::input) struct Access {
    path: PathBuf,
    /// Of the identity of the file: a state may outlive its inputs.
    file: [u8; 8],
    /// The open file, and the entries in it. It is opened when there is a first one to write: the directory may not
    /// exist before.
    open: Option<(File, BTreeMap<Key, u64>)>,
}

impl Access {
    /// The points of the compressed `file`, kept at `path`.
    pub(in crate::input) fn new(path: PathBuf, file: &Identity) -> Self {
        let text = serde_json::to_vec(file).unwrap_or_default();
        let digest = blake3::hash(&text);
        Self { path, file: *digest.as_bytes().first_chunk().unwrap_or(&[0; 8]), open: None }
    }

    fn key(&self, point: Point) -> Key {
        let mut key = [0; KEY];
        key[..8].copy_from_slice(&self.file);
        key[8..16].copy_from_slice(&point.plain.to_be_bytes());
        key[16..].copy_from_slice(&point.packed.to_be_bytes());
        key
    }

    fn open(&mut self, create: bool) -> Option<&mut (File, BTreeMap<Key, u64>)> {
        if self.open.is_none() {
            let mut options = File::options();
            options.read(true).write(true).create(create).truncate(false).mode(0o600);
            let file = options.open(&self.path).ok()?;
            let entries = file.metadata().ok()?.len() / ENTRY as u64;
            let mut keys = BTreeMap::new();
            for n in 0..entries {
                let mut key = [0; KEY];
                file.read_exact_at(&mut key, n * ENTRY as u64).ok()?;
                keys.insert(key, n);
            }
            self.open = Some((file, keys));
        }
        self.open.as_mut()
    }

    /// Keeps a point, unless it is there.
    pub(super) fn put(&mut self, point: Point, inside: &Inside) {
        let key = self.key(point);
        let Some((file, keys)) = self.open(true) else { return };
        if keys.contains_key(&key) {
            return;
        }
        let (bits, count) = inside.bits;
        let state = [&[bits, count][..], &inside.crc.to_be_bytes(), &inside.length.to_be_bytes()].concat();
        let entry = [&key[..], &state, &inside.window].concat();
        let digest = blake3::hash(&entry);
        let place = keys.values().max().map_or(0, |last| last + 1);
        if file.write_all_at(&[&entry[..], digest.as_bytes()].concat(), place * ENTRY as u64).is_ok() {
            keys.insert(key, place);
        }
    }

    /// The state of a point, if it is there and whole.
    pub(super) fn get(&mut self, point: Point) -> Option<Inside> {
        let key = self.key(point);
        let (file, keys) = self.open(false)?;
        let mut entry = vec![0; ENTRY];
        file.read_exact_at(&mut entry, keys.get(&key)? * ENTRY as u64).ok()?;
        let (rest, digest) = entry.split_at(ENTRY - DIGEST);
        if *blake3::hash(rest).as_bytes() != *digest || rest[..KEY] != key {
            return None;
        }
        let (state, window) = rest[KEY..].split_at(STATE);
        let &[bits, count, a, b, c, d, e, f, g, h] = state else { return None };
        Some(Inside {
            bits: (bits, count),
            crc: u32::from_be_bytes([a, b, c, d]),
            length: u32::from_be_bytes([e, f, g, h]),
            window: window.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_found_again_and_a_damaged_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points");
        let identity = |name: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, name).unwrap();
            crate::input::InputFile::look_at(&file).unwrap().identity().clone()
        };
        let (one, other) = (identity("one"), identity("other"));
        let open = |file| Access::new(path.clone(), file);
        let inside = |byte| Inside { bits: (5, 3), crc: 7, length: 9, window: vec![byte; WINDOW] };
        let point = |plain| Point { plain, packed: plain / 2, is_inside: true };
        for plain in [10, 20, 30] {
            open(&one).put(point(plain), &inside(plain as u8));
        }
        assert_eq!(open(&one).get(point(20)), Some(inside(20)));
        assert_eq!(open(&other).get(point(20)), None, "of another file");
        assert_eq!(open(&one).get(point(40)), None);
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"x", ENTRY as u64 + 1000).unwrap();
        file.set_len(3 * ENTRY as u64 - 1).unwrap();
        let found = [10, 20, 30].map(|plain| open(&one).get(point(plain)));
        assert_eq!(found, [Some(inside(10)), None, None], "whole, changed, cut off");
        open(&one).put(point(30), &inside(30));
        assert_eq!(open(&one).get(point(30)), Some(inside(30)));
    }
}
