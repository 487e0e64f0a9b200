//! The report of a chunk about its output, and the total of these reports: headers, and the frames of a compressed output.
//!
//! A compressed file of zstd ends with a table of its frames, by which other programs find any place in it. The obvious
//! source of the table is the file: but then its last task reads all of it, which takes as long as the job. So each
//! chunk reports the sizes of its frames, and they stand in the record as the total does, eight bytes a frame. Beyond
//! [`MOST`] frames the record would grow too large for a flush each second, and the file has no table.

use super::compress::{Compress, Packing};
use super::head::{Head, Reported};
use super::told::{Frame, Part, Told};
use bivouac::{Error, Mark, Result};
use serde::{Deserialize, Serialize};

/// Two tebibytes, of full frames.
const MOST: u64 = 1 << 17;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Report {
    Packed(Packed),
    Part(Part),
    Plain(Reported),
}

/// The report of a chunk whose output is compressed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Packed {
    pub(super) place: String,
    pub(super) frames: Vec<Frame>,
    /// The command has compressed it.
    pub(super) as_it_is: bool,
    /// The header, and its frame.
    pub(super) head: Option<(Head, Frame)>,
}

impl Report {
    pub(super) fn of(told: &Told, packing: Option<Packing>, place: &str) -> Self {
        let printed = told.head.borrow();
        let head = Head::of(&printed, place);
        if packing.is_none() {
            return Self::Plain(head);
        }
        let head = head.map(|head| (head, [told.packed_head.get() as u32, printed.len() as u32]));
        let (frames, as_it_is) = (told.frames.borrow().clone(), told.as_it_is.get());
        Self::Packed(Packed { place: place.to_string(), frames, as_it_is, head })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Total {
    Packed(Packs),
    /// The header that was printed, as a digest.
    Plain(Option<Mark>),
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Packs {
    frames: u64,
    as_it_is: bool,
    header: Option<Mark>,
    /// The two sizes of each frame of zstd.
    #[serde(with = "as_base64")]
    sizes: Vec<u8>,
}

mod as_base64 {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Default for Total {
    fn default() -> Self {
        Self::Plain(None)
    }
}

impl Total {
    pub(super) fn header(&self) -> Option<Mark> {
        match self {
            Self::Packed(packs) => packs.header,
            Self::Plain(header) => *header,
        }
    }

    /// Whether the report may follow.
    pub(super) fn accept(&self, report: &Report) -> Result<()> {
        let head = match report {
            Report::Packed(packed) => packed.head.as_ref().map(|(head, _)| head),
            Report::Plain(head) => head.as_ref(),
            Report::Part(_) => None,
        };
        head.map_or(Ok(()), |head| head.agrees_with(self.header()))?;
        let (Self::Packed(packs), Report::Packed(packed)) = (self, report) else { return Ok(()) };
        let differs = packs.as_it_is && !packed.frames.is_empty() || packs.frames > 0 && packed.as_it_is;
        if !differs {
            return Ok(());
        }
        let (here, before) = if packed.as_it_is { ("is", "was not") } else { ("is not", "was") };
        let problem = format_args!("what its command printed {here} compressed, and {before} before");
        Err(Error::broken(&packed.place, problem)
            .advise("say whether to compress it: --compress zstd, gzip or none"))
    }

    pub(super) fn take(&mut self, report: Report, packing: Option<Packing>) {
        let packed = match (report, &mut *self) {
            (Report::Plain(_), Self::Packed(_)) | (Report::Part(_), _) => return,
            (Report::Plain(head), Self::Plain(header)) => {
                *header = header.or(head.map(Head::mark));
                return;
            }
            (Report::Packed(packed), _) => packed,
        };
        if let Self::Plain(_) = self {
            *self = Self::Packed(Packs::default());
        }
        let Self::Packed(packs) = self else { return };
        packs.as_it_is |= packed.as_it_is;
        let head = packed.head.filter(|_| packs.header.is_none());
        packs.header = packs.header.or(head.as_ref().map(|(head, _)| head.clone().mark()));
        let has_table = matches!(packing, Some(Packing { to: Compress::Zstd(_), .. }));
        for sizes in head.into_iter().map(|(_, frame)| frame).chain(packed.frames) {
            packs.frames += 1;
            if has_table && packs.frames <= MOST {
                packs.sizes.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
            }
        }
    }

    /// The bytes that end a compressed output: with zstd the table of its frames.
    pub(super) fn end(&self, packing: Packing) -> Vec<u8> {
        let none = Packs::default();
        let packs = if let Self::Packed(packs) = self { packs } else { &none };
        if packs.as_it_is {
            return Vec::new();
        }
        // A file of no frame at all is none to `gzip -d`.
        let empty = if packs.frames == 0 { packing.to.pack(b"").unwrap_or_default() } else { Vec::new() };
        let table = match packing.to {
            Compress::Zstd(_) if packs.frames == 0 => {
                seek_table(&[(empty.len() as u32).to_le_bytes(), [0; 4]].concat())
            }
            Compress::Zstd(_) if packs.frames <= MOST => seek_table(&packs.sizes),
            Compress::Zstd(_) | Compress::Gzip(_) => Vec::new(),
        };
        [empty, table].concat()
    }
}

/// The last frame of the seekable format of zstd, which other readers skip.
fn seek_table(sizes: &[u8]) -> Vec<u8> {
    const SKIPPABLE: u32 = 0x184d_2a5e;
    const SEEKABLE: u32 = 0x8f92_eab1;
    const FOOTER: usize = 9;
    let frames = (sizes.len() / size_of::<Frame>()) as u32;
    [
        &SKIPPABLE.to_le_bytes()[..],
        &((sizes.len() + FOOTER) as u32).to_le_bytes(),
        sizes,
        &frames.to_le_bytes(),
        &[0], // without checksums: the frames have them
        &SEEKABLE.to_le_bytes(),
    ]
    .concat()
}
