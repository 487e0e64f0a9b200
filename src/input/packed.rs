//! Compressed files, read as if they were not compressed.
//!
//! The obvious way is `zcat huge.gz | bivouac …`. It works, but a job that continues decompresses everything before its place
//! once more. A file has positions, and most compressed formats have places at which decompression can begin: between
//! the blocks of bgzip, the frames of zstd, and the members or streams of the others. So a compressed file is cut as a
//! stream is ([`streamed`](super::streamed)), and the mark of each chunk is its place: a position in what is
//! decompressed, and the last place in the file at which decompression can begin before it.
//!
//! | format | threads that decompress | a job that goes on begins at |
//! |---|---|---|
//! | bgzip | all | the block |
//! | zstd, frames of known size up to 16 MiB | all | the frame |
//! | gzip, one member | one | an access point, every 4 MiB (`packed/inflate.rs`) |
//! | others | one | the member, stream or frame |
//!
//! A compressed stream is decompressed as it comes, and continued as every stream: it is read again from the beginning.
//!
//! The format is known by the first bytes, never by the name. A file that ends too early, or has a wrong checksum, ends
//! the run; it is never a shorter result.

#[cfg(feature = "compression")]
mod access;
#[cfg(feature = "compression")]
mod blocks;
#[cfg(feature = "compression")]
mod bytes;
#[cfg(feature = "compression")]
mod inflate;
#[cfg(feature = "compression")]
mod members;

#[cfg(feature = "compression")]
use self::bytes::Bytes;
use super::file::InputFile;
use super::once::Once;
use super::stream::Received;
use crate::error::{Error, Kind, Result};
use crate::task::ListContext;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// gzip with the size of each block in its header, as bgzip of htslib writes it.
    Bgzip,
    /// gzip, also of several members.
    Gzip,
    /// zstd, also of several frames.
    Zstd,
    /// xz, also of several streams.
    Xz,
    /// bzip2, also of several streams.
    Bzip2,
    /// lz4 with frames.
    Lz4,
}

const NAMES: [(Format, &str, &[u8]); 6] = [
    (Format::Bgzip, "bgzip", b"\x1f\x8b\x08\x04"),
    (Format::Gzip, "gzip", b"\x1f\x8b\x08"),
    (Format::Zstd, "zstd", b"\x28\xb5\x2f\xfd"),
    (Format::Xz, "xz", b"\xfd7zXZ\0"),
    (Format::Bzip2, "bzip2", b"BZh"),
    (Format::Lz4, "lz4", b"\x04\x22\x4d\x18"),
];

impl Format {
    /// The format of a file that begins with these bytes: the first 18 or more, if there are as many.
    ///
    /// ```
    /// use bivouac::input::Format;
    ///
    /// assert_eq!(Format::of(b"\x1f\x8b\x08\x00 and so on"), Some(Format::Gzip));
    /// assert_eq!(Format::of(b"name,size\n"), None);
    /// ```
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let begins = |(format, _, magic): &(Self, &str, &[u8])| {
            bytes.starts_with(magic) && (*format != Self::Bgzip || bgzip_size(bytes).is_some())
        };
        let is_skippable = bytes.len() >= 4 && bytes[0] & 0xf0 == 0x50 && bytes[1..4] == *b"\x2a\x4d\x18";
        NAMES.iter().find(|row| begins(row)).map(|row| row.0).or(is_skippable.then_some(Self::Zstd))
    }

    /// The format of a file, if it is a compressed one that can be read.
    pub fn of_file(path: &Path) -> Option<Self> {
        // Opening a FIFO and closing it again would break the pipe of its writer.
        path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let file = InputFile::look_at(path).ok()?;
        let mut first = vec![0; file.identity().size.min(64) as usize];
        file.read_exact_at(&mut first, 0).ok()?;
        Self::of(&first)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|row| row.0 == *self).map_or("", |row| row.1);
        f.write_str(name)
    }
}

/// Which files are decompressed.
///
/// ```
/// use bivouac::input::{Decompress, Format};
///
/// assert_eq!("auto".parse(), Ok(Decompress::Auto));
/// assert_eq!("zstd".parse(), Ok(Decompress::Only(Format::Zstd)));
/// assert!("zip".parse::<Decompress>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decompress {
    /// None: their bytes are taken as they are.
    #[default]
    Never,
    /// Files that begin as a compressed file does.
    Auto,
    /// All files, and each must have this format.
    Only(Format),
}

impl FromStr for Decompress {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name {
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            name => NAMES
                .iter()
                .find(|row| row.1 == name)
                .map(|row| Self::Only(row.0))
                .ok_or_else(|| "is none of auto, never, gzip, bgzip, zstd, xz, bzip2, lz4".to_string()),
        }
    }
}

impl Decompress {
    /// The format as which this file is read; `None`: as it is.
    pub(super) fn format_of(self, path: &Path) -> Result<Option<Format>> {
        if self == Self::Never { Ok(None) } else { self.chosen(Format::of_file(path), path) }
    }

    /// The format of a stream that begins with these bytes, if it is to be decompressed.
    pub(super) fn format_in(self, first: &[u8], path: &Path) -> Result<Option<Format>> {
        self.chosen(Format::of(first), path)
    }

    fn chosen(self, found: Option<Format>, path: &Path) -> Result<Option<Format>> {
        match (self, found) {
            (Self::Never, _) => Ok(None),
            (Self::Auto, found) => Ok(found),
            (Self::Only(wanted), Some(found)) if wanted == found => Ok(Some(found)),
            // Blocks of bgzip are members of gzip.
            (Self::Only(Format::Gzip), Some(Format::Bgzip)) => Ok(Some(Format::Bgzip)),
            (Self::Only(wanted), found) => {
                let found = found.map_or_else(|| "not compressed".into(), |found| format!("{found}"));
                Err(Error::usage(path.display(), format_args!("is {found}, not {wanted}"))
                    .advise("without the name of a format each file is read as what it is"))
            }
        }
    }
}

/// The size of a block of bgzip, if these are the first bytes of one: the field `BC` of the gzip header.
fn bgzip_size(bytes: &[u8]) -> Option<usize> {
    let &[0x1f, 0x8b, 8, 4, _, _, _, _, _, _, low, high, ref fields @ ..] = bytes else { return None };
    let mut fields = fields.get(..usize::from(u16::from_le_bytes([low, high])))?;
    while let &[a, b, low, high, ref rest @ ..] = fields {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let value = rest.get(..length)?;
        if let (b"BC", &[low, high]) = (&[a, b], value) {
            return Some(usize::from(u16::from_le_bytes([low, high])) + 1);
        }
        fields = &rest[length..];
    }
    None
}

/// A place at which decompression can begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// In what is decompressed.
    pub(super) plain: u64,
    /// In the file.
    pub(super) packed: u64,
    /// It is inside a member, and an access point is needed too.
    pub(super) is_inside: bool,
}

/// The reason for which a decoder cannot go on.
#[derive(Debug)]
pub(super) enum Flaw {
    /// The bytes from this offset on are no compressed data, as the text says.
    At(u64, String),
    /// The file could not be read, or is another one by now.
    File(Error),
}

impl From<Error> for Flaw {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

/// A part of the work of [`Unpacked`]: one for each way to decompress.
trait Decode: fmt::Debug + Send {
    /// Appends up to `most` bytes to `out`; none at the end of the file. Reports the places that it passes.
    fn decode(
        &mut self,
        out: &mut Vec<u8>,
        most: usize,
        points: &mut Points,
    ) -> std::result::Result<(), Flaw>;
}

/// The places that were passed and may still be needed.
#[derive(Debug, Default)]
pub(super) struct Points {
    /// The position, in what is decompressed, of the next byte.
    plain: u64,
    passed: VecDeque<Point>,
}

impl Points {
    #[cfg(feature = "compression")]
    fn pass(&mut self, packed: u64) {
        self.passed.push_back(Point { plain: self.plain, packed, is_inside: false });
    }

    /// The last one at or before `plain`; those before it are forgotten.
    fn before(&mut self, plain: u64) -> Point {
        while self.passed.get(1).is_some_and(|next| next.plain <= plain) {
            self.passed.pop_front();
        }
        self.passed.front().copied().unwrap_or_default()
    }
}

/// A decoder of the file from this point on, or from its beginning if that is not possible.
#[cfg(feature = "compression")]
fn decoder(
    file: &Arc<InputFile>,
    format: Format,
    access: Option<PathBuf>,
    mut point: Point,
) -> Result<(Box<dyn Decode>, Point)> {
    let access = access.map(|path| access::Access::new(path, file.identity()));
    let open = |point: Point| Bytes::new(Arc::clone(file), point.packed);
    if format == Format::Gzip {
        let inflate = inflate::Inflate::from(open, &mut point, access);
        return Ok((Box::new(inflate), point));
    }
    Ok((decoder_of(open(point), format), point))
}

#[cfg(feature = "compression")]
fn decoder_of(bytes: Bytes, format: Format) -> Box<dyn Decode> {
    match format {
        Format::Bgzip | Format::Zstd => Box::new(blocks::Blocks::new(bytes, format)),
        Format::Gzip => Box::new(inflate::Inflate::new(bytes)),
        Format::Xz | Format::Bzip2 | Format::Lz4 => Box::new(members::Members::new(bytes, format)),
    }
}

/// A decoder of a stream that this listing has taken.
#[cfg(feature = "compression")]
fn stream_decoder(once: Arc<Mutex<Once>>, format: Format, cx: &ListContext<'_>) -> Result<Box<dyn Decode>> {
    Ok(decoder_of(Bytes::of_stream(once, cx), format))
}

#[cfg(not(feature = "compression"))]
fn stream_decoder(_: Arc<Mutex<Once>>, format: Format, _: &ListContext<'_>) -> Result<Box<dyn Decode>> {
    Err(without_the_feature(format))
}

#[cfg(not(feature = "compression"))]
fn without_the_feature(format: Format) -> Error {
    Error::usage(format, "is read with the feature `compression` of this crate")
}

#[cfg(not(feature = "compression"))]
fn decoder(
    _: &Arc<InputFile>,
    format: Format,
    _: Option<PathBuf>,
    _: Point,
) -> Result<(Box<dyn Decode>, Point)> {
    Err(without_the_feature(format))
}

/// A compressed file or stream as a stream of what is in it.
#[derive(Debug)]
pub(super) struct Unpacked {
    path: PathBuf,
    /// `None`: a stream.
    file: Option<Arc<InputFile>>,
    format: Format,
    decoder: Box<dyn Decode>,
    points: Points,
}

/// No more is decompressed before the next look at whether the run is over.
const STEP: usize = 1 << 20;

impl Unpacked {
    /// The file from `plain` on, decompressed from `point`. Access points are kept in the file `access`.
    pub(super) fn from(
        (file, format): (Arc<InputFile>, Format),
        access: Option<PathBuf>,
        (point, plain): (Point, u64),
        cx: &ListContext<'_>,
    ) -> Result<Self> {
        let (decoder, point) = decoder(&file, format, access, point)?;
        let points = Points { plain: point.plain, passed: VecDeque::from([point]) };
        let (path, size) = (file.path().to_path_buf(), file.identity().size);
        let mut unpacked = Self { path, file: Some(file), format, decoder, points };
        let mut passed = Vec::new();
        while unpacked.points.plain < plain && !cx.is_stopped() {
            passed.clear();
            let most = usize::try_from(plain - unpacked.points.plain).unwrap_or(STEP).min(STEP);
            if unpacked.decode(&mut passed, most)? == 0 {
                return Err(unpacked.flawed(Flaw::At(size, "it has less than before".into())));
            }
        }
        Ok(unpacked)
    }

    /// A stream that this listing has taken.
    pub(super) fn from_stream(
        (once, format): (Arc<Mutex<Once>>, Format),
        path: &Path,
        cx: &ListContext<'_>,
    ) -> Result<Self> {
        let decoder = stream_decoder(once, format, cx)?;
        let points = Points::default();
        Ok(Self { path: path.to_path_buf(), file: None, format, decoder, points })
    }

    fn flawed(&self, flaw: Flaw) -> Error {
        match flaw {
            Flaw::File(error) => error,
            Flaw::At(place, why) => {
                let problem = format_args!("is damaged or cut off: {} at byte {place}: {why}", self.format);
                Error::broken(self.path.display(), problem)
                    .advise("get the file again; what was done before that place stands")
            }
        }
    }

    fn decode(&mut self, out: &mut Vec<u8>, most: usize) -> Result<usize> {
        let before = out.len();
        let decoded = self.decoder.decode(out, most, &mut self.points);
        decoded.map_err(|flaw| self.flawed(flaw))?;
        let decoded = out.len() - before;
        self.points.plain += decoded as u64;
        Ok(decoded)
    }

    /// As [`Stream::fill`](super::Stream::fill).
    pub(super) fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        full: usize,
        cx: &ListContext<'_>,
    ) -> Result<Received> {
        while buffer.len() < full {
            if cx.is_stopped() {
                return Ok(Received::Stopped);
            }
            match self.decode(buffer, STEP.min(full - buffer.len())) {
                Ok(0) => return Ok(Received::End),
                Ok(_) => {}
                // A stream was waited for.
                Err(error) if error.kind() == Kind::Interrupted => return Ok(Received::Stopped),
                Err(error) => return Err(error),
            }
        }
        // A comparison before the read would prove nothing about the read.
        self.file.as_ref().map_or(Ok(()), |file| file.check_unchanged())?;
        Ok(Received::Some)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where decompression can begin to come to this place.
    pub(super) fn point_before(&mut self, plain: u64) -> Point {
        self.points.before(plain)
    }
}

#[cfg(test)]
mod tests;
