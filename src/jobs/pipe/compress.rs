//! What a command prints, compressed by the worker before it travels to the commit thread.
//!
//! The obvious way is one compressor behind the job: `bivouac pipe … | zstd`. It cannot be continued, since a
//! compressor knows what came before. Here each slice of what a command prints is a frame of zstd or a member of
//! gzip of its own. Both formats say that such pieces one after the other are one file, so `zstd -d` and `gzip -d` read
//! it. The slices depend on the bytes only, and so the file is the same after any interruption. Each frame says how
//! much is in it: `--decompress` reads them in parallel.

use crate::jobs::attempts::{Reception, Rest};
use crate::jobs::words::Passing;
use bivouac::{Context, TaskError};
use std::fmt;
use std::str::FromStr;

/// Bytes in a frame, but for the last one of a command.
const SLICE: usize = 16 << 20;

/// How the output is compressed. Its [`Display`](fmt::Display) form stands in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compress {
    Zstd(u8),
    Gzip(u8),
}

impl FromStr for Compress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = text.split_once('=').map_or((text, None), |(name, level)| (name, Some(level)));
        let (most, usual) = match name {
            "zstd" => (22, 3),
            "gzip" => (9, 6),
            _ => return Err("is neither zstd nor gzip (with a level: zstd=19, gzip=9)".into()),
        };
        let level = level.map_or(Ok(usual), str::parse).ok().filter(|level| (1..=most).contains(level));
        let level = level.ok_or_else(|| format!("the level of {name} is a number from 1 to {most}"))?;
        Ok(if name == "zstd" { Self::Zstd(level) } else { Self::Gzip(level) })
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

impl Compress {
    /// One frame or member.
    fn pack(self, bytes: &[u8]) -> Result<Vec<u8>, TaskError> {
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

/// Compresses what a command prints, and hands that over.
pub(super) struct PackReception<'a, 'b> {
    cx: &'a Context<'b>,
    passing: Passing<'a, 'b>,
    compress: Compress,
    held: Vec<u8>,
}

impl<'a, 'b> PackReception<'a, 'b> {
    pub(super) fn new(cx: &'a Context<'b>, compress: Compress) -> Self {
        Self { cx, passing: Passing::new(cx), compress, held: Vec::new() }
    }
}

impl Reception for PackReception<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        self.held.clear();
        self.passing.begin()
    }

    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError> {
        self.held.extend_from_slice(&piece);
        while self.held.len() >= SLICE {
            self.cx.yield_point()?;
            let rest = self.held.split_off(SLICE);
            self.cx.emit(self.compress.pack(&self.held)?)?;
            self.held = rest;
        }
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) {
        self.passing.err(bytes);
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        if !self.held.is_empty() {
            self.cx.emit(self.compress.pack(&std::mem::take(&mut self.held))?)?;
        }
        self.passing.rest()
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
