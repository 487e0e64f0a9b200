//! Formats that one thread decompresses, one member after the other, with libraries that do the reading themselves.

use super::bytes::{Bytes, flaw};
use super::{Decode, Flaw, Format, Points};
use std::fmt;
use std::io::{self, Read};

/// The dictionary of an xz file may have 4 GiB; its strongest preset needs 65 MiB.
const XZ_MEMORY: u64 = 1 << 30;

/// What decompresses one member, stream or frame.
enum Member {
    Zstd(zstd::stream::read::Decoder<'static, Bytes>),
    Xz(liblzma::bufread::XzDecoder<Bytes>),
    Bzip2(bzip2::bufread::BzDecoder<Bytes>),
    Lz4(lz4_flex::frame::FrameDecoder<Bytes>),
}

impl Member {
    fn open(bytes: Bytes, format: Format) -> io::Result<Self> {
        Ok(match format {
            Format::Zstd => Self::Zstd(zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame()),
            Format::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(bytes, stream))
            }
            Format::Bzip2 => Self::Bzip2(bzip2::bufread::BzDecoder::new(bytes)),
            Format::Lz4 => Self::Lz4(lz4_flex::frame::FrameDecoder::new(bytes)),
            Format::Gzip | Format::Bgzip => return Err(io::Error::other("is not read here")),
        })
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Zstd(decoder) => decoder,
            Self::Xz(decoder) => decoder,
            Self::Bzip2(decoder) => decoder,
            Self::Lz4(decoder) => decoder,
        }
    }

    fn place(&self) -> u64 {
        match self {
            Self::Zstd(decoder) => decoder.get_ref(),
            Self::Xz(decoder) => decoder.get_ref(),
            Self::Bzip2(decoder) => decoder.get_ref(),
            Self::Lz4(decoder) => decoder.get_ref(),
        }
        .place()
    }

    fn close(self) -> Bytes {
        match self {
            Self::Zstd(decoder) => decoder.finish(),
            Self::Xz(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder) => decoder.into_inner(),
            Self::Lz4(decoder) => decoder.into_inner(),
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member at {}", self.place())
    }
}

#[derive(Debug)]
enum At {
    Start(Bytes),
    Inside(Member),
    /// The bytes are lost in a decoder that did not begin.
    Nowhere,
}

#[derive(Debug)]
pub(super) struct Members {
    format: Format,
    at: At,
    only_one: bool,
    /// The end of the only one was reached.
    is_over: bool,
}

impl Members {
    pub(super) fn new(bytes: Bytes, format: Format) -> Self {
        Self { format, at: At::Start(bytes), only_one: false, is_over: false }
    }

    /// The next one, and nothing after it.
    pub(super) fn one(bytes: Bytes, format: Format) -> Self {
        Self { only_one: true, ..Self::new(bytes, format) }
    }

    /// After the end of the only one: what follows it.
    pub(super) fn close(self) -> Option<Bytes> {
        match self.at {
            At::Start(bytes) => Some(bytes),
            At::Inside(member) => Some(member.close()),
            At::Nowhere => None,
        }
    }
}

impl Decode for Members {
    fn decode(&mut self, out: &mut Vec<u8>, most: usize, points: &mut Points) -> Result<(), Flaw> {
        while !self.is_over {
            match std::mem::replace(&mut self.at, At::Nowhere) {
                At::Start(mut bytes) => {
                    if bytes.skip_padding()? {
                        self.at = At::Start(bytes);
                        return Ok(());
                    }
                    let place = bytes.place();
                    if Format::of(bytes.look(64)?) != Some(self.format) {
                        return Err(Flaw::At(place, "something else follows".into()));
                    }
                    points.pass(place);
                    self.at =
                        At::Inside(Member::open(bytes, self.format).map_err(|error| flaw(error, place))?);
                }
                At::Inside(mut member) => {
                    let before = out.len();
                    let read = member.reader().take(most as u64).read_to_end(out);
                    let place = member.place();
                    read.map_err(|error| flaw(error, place))?;
                    let read = out.len() - before;
                    // Fewer bytes are the end. Some decoders would begin with what follows if they were asked again.
                    if read == most {
                        self.at = At::Inside(member);
                        return Ok(());
                    }
                    self.at = At::Start(member.close());
                    self.is_over = self.only_one;
                    if read > 0 {
                        return Ok(());
                    }
                }
                At::Nowhere => return Err(Flaw::At(0, "it was damaged before".into())),
            }
        }
        Ok(())
    }
}
