//! Compression of the output: the worker compresses it before it travels to the commit thread.
//!
//! The obvious way is one compressor after the job: `bivouac pipe … | zstd`. It cannot be continued, since the state of a
//! compressor depends on all bytes before. Here each slice of a command's output is a frame of zstd or a member of
//! gzip of its own. Both formats say that such pieces one after the other are one file, so `zstd -d` and `gzip -d` read
//! it. The slices depend on the bytes only, and so the file is the same after any interruption. Each frame says how
//! much is in it: `--decompress` reads them in parallel. A table of them ends the file ([`report`](super::report)).
//!
//! An output whose name ends in `.zst` or `.gz` is compressed without being asked for. But `-o out.gz -- gzip` is a
//! line that people have typed for years. A list of the names of compressors would miss the script that ends with one. So
//! the bytes decide: output that begins as a file of that format does is left as it is. All chunks must agree, or the job
//! ends.

use super::told::Told;
use crate::jobs::attempts::{Reception, Rest};
use bivouac::input::Format;
use bivouac::{Context, TaskError};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Bytes in a frame of the output, but for the last one of a command.
const SLICE: usize = 16 << 20;

/// Bytes in a frame that is read again soon, and in order: few enough to stay in the cache of a core.
const SMALL_SLICE: usize = 1 << 20;

/// The number of bytes that tell whether output is compressed.
const FIRST: usize = 4;

/// The way to compress an output, and whether its name asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) to: Compress,
    /// Whether the name asks for it. Then output that is compressed already is left as it is.
    pub(crate) by_name: bool,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.to, if self.by_name { " by its name" } else { "" })
    }
}

/// The value of `--compress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Not,
    To(Compress),
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self::Not) } else { text.parse().map(Self::To) }
    }
}

/// How the output is compressed. Its [`Display`](fmt::Display) form stands in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compress {
    Zstd(i8),
    Gzip(u8),
}

impl FromStr for Compress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = text.split_once('=').map_or((text, None), |(name, level)| (name, Some(level)));
        let (most, usual) = match name {
            "zstd" => (22, 3),
            "gzip" => (9, 6),
            _ => return Err("is neither zstd nor gzip (with a level: zstd=19, gzip=9), nor none".into()),
        };
        let level = level.map_or(Ok(usual), str::parse).ok().filter(|level| (1..=most).contains(level));
        let level = level.ok_or_else(|| format!("the level of {name} is a number from 1 to {most}"))?;
        Ok(if name == "zstd" { Self::Zstd(level) } else { Self::Gzip(level.unsigned_abs()) })
    }
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd={level}"),
            Self::Gzip(level) => write!(f, "gzip={level}"),
        }
    }
}

impl Packing {
    /// For a file that is read again soon: half the size of text, at 0.8 GB/s. Level -8 makes a third of it, at 0.65 GB/s.
    const FASTEST: Self = Self { to: Compress::Zstd(-20), by_name: false };
}

impl Compress {
    /// The compression that the name of an output asks for.
    pub(crate) fn by_name(output: &Path) -> Option<Self> {
        match output.extension()?.to_str()? {
            "zst" => Some(Self::Zstd(3)),
            "gz" => Some(Self::Gzip(6)),
            _ => None,
        }
    }

    /// Whether these bytes begin a file of this format.
    fn has_made(self, bytes: &[u8]) -> bool {
        match (self, Format::of(bytes)) {
            (Self::Zstd(_), Some(Format::Zstd)) | (Self::Gzip(_), Some(Format::Gzip | Format::Bgzip)) => true,
            (
                _,
                Some(Format::Zstd | Format::Gzip | Format::Bgzip | Format::Xz | Format::Bzip2 | Format::Lz4)
                | None,
            ) => false,
        }
    }

    /// One frame or member.
    pub(super) fn pack(self, bytes: &[u8]) -> Result<Vec<u8>, TaskError> {
        match self {
            Self::Zstd(level) => {
                let mut compressor = zstd::bulk::Compressor::new(level.into())?;
                compressor.include_checksum(true)?;
                Ok(compressor.compress(bytes)?)
            }
            Self::Gzip(level) => {
                // Neither name nor time: the same bytes give the same file.
                let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
                member.extend(miniz_oxide::deflate::compress_to_vec(bytes, level));
                member.extend(crc32fast::hash(bytes).to_le_bytes());
                member.extend((bytes.len() as u32).to_le_bytes());
                Ok(member)
            }
        }
    }
}

/// Compresses the output of a command, and passes it on.
pub(super) struct PackReception<'a, 'b> {
    cx: &'a Context<'b>,
    packing: Packing,
    /// Added to each piece, to distinguish the body from a header.
    tag: Option<u8>,
    to: Box<dyn Reception + 'a>,
    /// Notes the sizes of the frames, if they are needed.
    told: Option<&'a Told>,
    /// Whether empty output becomes a frame too.
    is_never_empty: bool,
    slice: usize,
    held: Vec<u8>,
    /// Whether the command has compressed it; `None` until that can be seen.
    is_packed: Option<bool>,
}

impl<'a, 'b> PackReception<'a, 'b> {
    pub(super) fn new(
        cx: &'a Context<'b>,
        (packing, tag): (Packing, Option<u8>),
        to: Box<dyn Reception + 'a>,
        told: Option<&'a Told>,
    ) -> Self {
        let (held, is_never_empty) = (Vec::new(), false);
        Self { cx, packing, tag, to, told, is_never_empty, slice: SLICE, held, is_packed: None }
    }

    /// For a file that is read again soon.
    pub(super) fn fastest(cx: &'a Context<'b>, to: Box<dyn Reception + 'a>) -> Self {
        Self { slice: SMALL_SLICE, ..Self::new(cx, (Packing::FASTEST, None), to, None) }
    }

    /// For a file of its own.
    pub(super) fn never_empty(self) -> Self {
        Self { is_never_empty: true, ..self }
    }

    /// Hands the next bytes over, compressed unless they are.
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), TaskError> {
        if self.is_packed == Some(true) {
            return self.to.out(bytes);
        }
        let mut packed = self.packing.to.pack(&bytes)?;
        if let Some(told) = self.told {
            told.frames.borrow_mut().push([packed.len() as u32, bytes.len() as u32]);
        }
        self.is_never_empty = false;
        packed.extend(self.tag);
        self.to.out(packed)
    }

    fn look_at_the_first_bytes(&mut self) {
        if self.is_packed.is_none() && !self.held.is_empty() {
            let is_packed = self.packing.to.has_made(&self.held);
            self.is_packed = Some(is_packed);
            self.told.into_iter().for_each(|told| told.as_it_is.set(is_packed));
        }
    }
}

impl Reception for PackReception<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        self.held.clear();
        // After a header, what follows is text.
        self.is_packed = if self.packing.by_name && self.tag.is_none() { None } else { Some(false) };
        if let Some(told) = self.told {
            told.frames.borrow_mut().clear();
            told.as_it_is.set(false);
        }
        self.to.begin()
    }

    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError> {
        self.held.extend_from_slice(&piece);
        if self.held.len() >= FIRST {
            self.look_at_the_first_bytes();
        }
        if self.is_packed == Some(true) {
            let held = std::mem::take(&mut self.held);
            return self.emit(held);
        }
        while self.held.len() >= self.slice {
            self.cx.yield_point()?;
            let rest = self.held.split_off(self.slice);
            let slice = std::mem::replace(&mut self.held, rest);
            self.emit(slice)?;
        }
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) {
        self.to.err(bytes);
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        self.look_at_the_first_bytes();
        if !self.held.is_empty() || self.is_never_empty {
            let held = std::mem::take(&mut self.held);
            self.emit(held)?;
        }
        self.to.rest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_to_compress_is_read_and_shown() {
        for (text, shown) in
            [("zstd", "zstd=3"), ("zstd=19", "zstd=19"), ("gzip", "gzip=6"), ("gzip=1", "gzip=1")]
        {
            assert_eq!(text.parse::<Compress>().unwrap().to_string(), shown);
        }
        for wrong in ["", "xz", "zstd=0", "zstd=23", "gzip=10", "gzip=", "zstd=x"] {
            assert!(wrong.parse::<Compress>().is_err(), "{wrong}");
        }
    }
}
