//! Formats of independent blocks, which several threads decompress at once.
//!
//! A reader finds the blocks in some mebibytes of the file without decompressing them: a block of bgzip begins with its
//! length, and the lengths inside a frame of zstd lead to its end. Then as many threads as there are processors
//! decompress the blocks. These threads last for one batch, a few milliseconds, so nothing has to end them.

use super::bytes::Bytes;
use super::members::Members;
use super::{Decode, Flaw, Format, Points, bgzip_size};
use std::collections::VecDeque;
use std::ops::Range;
use std::thread;

/// Compressed bytes of a batch.
const BATCH: usize = 4 << 20;
/// A frame that is longer is decompressed by one thread, as a stream.
const LONGEST: usize = 16 << 20;
/// Bytes that a batch may come to; so a bomb costs no memory.
const MOST: usize = 64 << 20;
const BGZIP_MOST: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Blocks {
    format: Format,
    bytes: Option<Bytes>,
    threads: usize,
    /// Decompressed blocks, with their places in the file, and what was taken of the first one.
    ready: VecDeque<(u64, Vec<u8>)>,
    taken: usize,
    /// A frame that is too long for a batch.
    long: Option<Box<Members>>,
    /// The last block of bgzip was an empty one, as the end of such a file must be.
    has_end_mark: bool,
    /// What is wrong after the blocks that are ready.
    flaw: Option<Flaw>,
}

/// A block in a batch: where it is, and how many bytes it has decompressed.
struct Block {
    range: Range<usize>,
    plain: usize,
}

impl Blocks {
    pub(super) fn new(bytes: Bytes, format: Format) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self {
            format,
            bytes: Some(bytes),
            threads,
            ready: VecDeque::new(),
            taken: 0,
            long: None,
            has_end_mark: false,
            flaw: None,
        }
    }

    /// Decompresses the next batch. `false` at the end of the file.
    fn refill(&mut self) -> Result<bool, Flaw> {
        let Some(bytes) = &mut self.bytes else { return Ok(false) };
        bytes.skip_padding()?;
        let place = bytes.place();
        let mut wanted = BATCH;
        let blocks = loop {
            let held = bytes.look(wanted)?;
            if held.is_empty() {
                let is_cut = self.format == Format::Bgzip && !self.has_end_mark;
                return if is_cut {
                    Err(Flaw::At(place, "the empty block at the end is missing".into()))
                } else {
                    Ok(false)
                };
            }
            let is_all = held.len() < wanted;
            let blocks = match self.format {
                Format::Bgzip => bgzip_blocks(held),
                Format::Gzip | Format::Zstd | Format::Xz | Format::Bzip2 | Format::Lz4 => zstd_frames(held),
            };
            if !blocks.is_empty() {
                break blocks;
            }
            if is_all && self.format == Format::Bgzip {
                let why =
                    if bgzip_size(held).is_some() { "the file ends" } else { "it is no block of bgzip" };
                return Err(Flaw::At(place, why.into()));
            }
            if is_all || wanted >= LONGEST || !is_short_frame(held) {
                let bytes = self.bytes.take();
                self.long = bytes.map(|bytes| Box::new(Members::one(bytes, self.format)));
                return Ok(true);
            }
            wanted *= 2;
        };
        let length = blocks.last().map_or(0, |block| block.range.end);
        let batch = bytes.take(length)?;
        let decompressed = decompress_all(self.format, batch, &blocks, self.threads);
        if decompressed.len() < blocks.len() {
            return Err(Flaw::At(place, "a thread panicked".into()));
        }
        for (block, plain) in blocks.iter().zip(decompressed) {
            let place = place + block.range.start as u64;
            match plain {
                Ok(plain) => {
                    self.has_end_mark = plain.is_empty();
                    self.ready.push_back((place, plain));
                }
                // What is before a damaged block is as good as ever.
                Err(why) => {
                    self.flaw = Some(Flaw::At(place, why));
                    break;
                }
            }
        }
        Ok(true)
    }
}

impl Decode for Blocks {
    fn decode(&mut self, out: &mut Vec<u8>, most: usize, points: &mut Points) -> Result<(), Flaw> {
        loop {
            if let Some(long) = &mut self.long {
                let before = out.len();
                long.decode(out, most, points)?;
                if out.len() > before {
                    return Ok(());
                }
                self.bytes = self.long.take().and_then(|long| long.close());
            }
            while let Some((place, plain)) = self.ready.front() {
                if self.taken == 0 {
                    points.pass(*place);
                }
                let piece = &plain[self.taken..];
                let piece = &piece[..piece.len().min(most)];
                out.extend_from_slice(piece);
                self.taken += piece.len();
                let is_done = self.taken == plain.len();
                let taken = piece.len();
                if is_done {
                    self.ready.pop_front();
                    self.taken = 0;
                }
                if taken > 0 {
                    return Ok(());
                }
            }
            if let Some(flaw) = self.flaw.take() {
                return Err(flaw);
            }
            if !self.refill()? {
                return Ok(());
            }
        }
    }
}

/// The whole blocks of bgzip at the beginning of `bytes`.
fn bgzip_blocks(bytes: &[u8]) -> Vec<Block> {
    let (mut at, mut blocks) = (0, Vec::new());
    while let Some(size) = bgzip_size(&bytes[at..]) {
        let Some(&[a, b, c, d]) = bytes.get(at..at + size).and_then(|block| block.last_chunk()) else {
            break;
        };
        blocks.push(Block { range: at..at + size, plain: u32::from_le_bytes([a, b, c, d]) as usize });
        at += size;
    }
    blocks
}

/// The whole frames at the beginning of `bytes` that come to a known size, which is not too large.
fn zstd_frames(bytes: &[u8]) -> Vec<Block> {
    let (mut at, mut all, mut blocks) = (0, 0, Vec::new());
    while let Some(size) = frame_size(&bytes[at..]) {
        let plain = zstd::zstd_safe::get_frame_content_size(&bytes[at..]).ok().flatten();
        let Some(plain) = plain.and_then(|plain| usize::try_from(plain).ok()) else { break };
        all += plain.min(MOST + 1);
        if all > MOST {
            break;
        }
        blocks.push(Block { range: at..at + size, plain });
        at += size;
    }
    blocks
}

fn frame_size(bytes: &[u8]) -> Option<usize> {
    zstd::zstd_safe::find_frame_compressed_size(bytes).ok().filter(|size| (1..=bytes.len()).contains(size))
}

/// Whether more bytes may make it a frame of a batch.
fn is_short_frame(bytes: &[u8]) -> bool {
    let plain = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    frame_size(bytes).is_none() && plain.is_some_and(|plain| plain <= MOST as u64)
}

/// Decompresses these blocks, in order; too few if a thread has panicked.
fn decompress_all(
    format: Format,
    batch: &[u8],
    blocks: &[Block],
    threads: usize,
) -> Vec<Result<Vec<u8>, String>> {
    let share = blocks.len().div_ceil(threads);
    let decompress =
        |part: &[Block]| part.iter().map(|block| decompress(format, batch, block)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let parts: Vec<_> = blocks.chunks(share).map(|part| scope.spawn(move || decompress(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

fn decompress(format: Format, batch: &[u8], block: &Block) -> Result<Vec<u8>, String> {
    let bytes = &batch[block.range.clone()];
    if format == Format::Zstd {
        return zstd::bulk::decompress(bytes, block.plain).map_err(|error| error.to_string());
    }
    if block.plain > BGZIP_MOST {
        return Err("the block is too large".into());
    }
    let extra = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let packed = bytes.get(12 + extra..bytes.len() - 8).ok_or("the block is too short")?;
    let plain = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, BGZIP_MOST)
        .map_err(|error| error.to_string())?;
    let checksum = &bytes[bytes.len() - 8..bytes.len() - 4];
    let is_right = plain.len() == block.plain && *checksum == crc32fast::hash(&plain).to_le_bytes();
    if is_right { Ok(plain) } else { Err("the checksum is wrong".into()) }
}
