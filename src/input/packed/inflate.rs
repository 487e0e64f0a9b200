//! gzip, with access points: places inside a member at which decompression can begin.
//!
//! Deflate refers to what it has decompressed, up to 32 KiB back. So decompression can begin between two of its blocks
//! if these 32 KiB are known, and how many bits of the last byte belong to the next block. (The idea is that of `zran.c`
//! in the zlib sources.) Every few mebibytes such a place is kept in a file beside the record, each with a digest. A
//! file without them costs time: it is decompressed again from the beginning.

use super::access::{Access, Inside, WINDOW};
use super::bytes::Bytes;
use super::{Decode, Flaw, Point, Points};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{
    BlockBoundaryState, DecompressorOxide, decompress_with_limit, inflate_flags,
};

/// The output goes round in it.
const RING: usize = 256 << 10;

const FLAGS: u32 =
    inflate_flags::TINFL_FLAG_HAS_MORE_INPUT | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

/// Compressed bytes between two access points. In a larger file they are further apart: 256 of them, 8 MiB, suffice.
const SPACING: u64 = if cfg!(test) { 4 << 10 } else { 4 << 20 };

pub(super) struct Inflate {
    bytes: Bytes,
    member: Option<Box<Member>>,
    access: Option<Access>,
    /// The last point.
    last: u64,
}

struct Member {
    state: DecompressorOxide,
    ring: Vec<u8>,
    /// Where in the ring the next byte goes.
    at: usize,
    crc: crc32fast::Hasher,
    length: u32,
}

impl Member {
    fn new() -> Self {
        let (state, crc) = (DecompressorOxide::new(), crc32fast::Hasher::new());
        Self { state, ring: vec![0; RING], at: 0, crc, length: 0 }
    }

    fn inside(inside: Inside) -> Self {
        let (bit_buf, num_bits) = inside.bits;
        let state = BlockBoundaryState { num_bits, bit_buf, ..BlockBoundaryState::default() };
        let mut ring = vec![0; RING];
        ring[..WINDOW].copy_from_slice(&inside.window);
        Self {
            state: DecompressorOxide::from_block_boundary_state(&state),
            ring,
            at: WINDOW,
            crc: crc32fast::Hasher::new_with_initial_len(inside.crc, inside.length.into()),
            length: inside.length,
        }
    }

    /// What is needed to begin here.
    fn look_inside(&self) -> Option<Inside> {
        let BlockBoundaryState { num_bits, bit_buf, .. } = self.state.block_boundary_state()?;
        let from = (self.at + RING - WINDOW) % RING;
        let window = self.ring.iter().cycle().skip(from).take(WINDOW).copied().collect();
        Some(Inside {
            bits: (bit_buf, num_bits),
            crc: self.crc.clone().finalize(),
            length: self.length,
            window,
        })
    }
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inflate at {}", self.bytes.place())
    }
}

impl Inflate {
    /// Begins where a member does, and keeps no access points.
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { last: bytes.place(), bytes, member: None, access: None }
    }

    /// Begins at `point`, or sets it to the beginning of the file if the access point is not there.
    pub(super) fn from(open: impl Fn(Point) -> Bytes, point: &mut Point, mut access: Option<Access>) -> Self {
        let inside = access.as_mut().filter(|_| point.is_inside).and_then(|access| access.get(*point));
        if point.is_inside && inside.is_none() {
            *point = Point::default();
        }
        let member = inside.map(|inside| Box::new(Member::inside(inside)));
        Self { bytes: open(*point), member, access, last: point.packed }
    }

    /// Passes the header of a member. `false` at the end of the file.
    fn begin(&mut self, points: &mut Points) -> Result<bool, Flaw> {
        if self.bytes.skip_padding()? {
            return Ok(false);
        }
        let place = self.bytes.place();
        let &[0x1f, 0x8b, 8, flags, ..] = self.bytes.take(10)? else {
            return Err(Flaw::At(place, "something else follows".into()));
        };
        let [extra, name, comment, checksum] = [4, 8, 16, 2].map(|flag| flags & flag != 0);
        if extra {
            let length = self.bytes.take(2)?;
            let length = u16::from_le_bytes([length[0], length[1]]);
            self.bytes.take(length.into())?;
        }
        for _ in 0..u8::from(name) + u8::from(comment) {
            while self.bytes.take(1)? != [0] {}
        }
        if checksum {
            self.bytes.take(2)?;
        }
        points.pass(place);
        self.last = place;
        self.member = Some(Box::new(Member::new()));
        Ok(true)
    }

    /// Makes an access point of the place between two blocks, if the last one is far enough.
    fn note(&mut self, member: &Member, plain: u64, points: &mut Points) {
        let (packed, spacing) = (self.bytes.place(), SPACING.max(self.bytes.size() / 256));
        let Some(access) = self.access.as_mut().filter(|_| packed - self.last >= spacing) else { return };
        let Some(inside) = member.look_inside() else { return };
        let point = Point { plain, packed, is_inside: true };
        access.put(point, &inside);
        points.passed.push_back(point);
        self.last = packed;
    }

    fn end(&mut self, member: Member) -> Result<(), Flaw> {
        let place = self.bytes.place();
        let &[a, b, c, d, e, f, g, h] = self.bytes.take(8)? else { return Ok(()) };
        let is_right = u32::from_le_bytes([a, b, c, d]) == member.crc.finalize()
            && u32::from_le_bytes([e, f, g, h]) == member.length;
        if is_right { Ok(()) } else { Err(Flaw::At(place, "the checksum is wrong".into())) }
    }
}

impl Decode for Inflate {
    fn decode(&mut self, out: &mut Vec<u8>, most: usize, points: &mut Points) -> Result<(), Flaw> {
        let mut left = most;
        while left > 0 {
            let Some(mut member) = self.member.take() else {
                if !self.begin(points)? {
                    return Ok(());
                }
                continue;
            };
            let place = self.bytes.place();
            let input = self.bytes.look(1)?;
            let room = &mut member.ring[..];
            let limit = left.min(RING - member.at);
            let (status, taken, made) =
                decompress_with_limit(&mut member.state, input, room, member.at, limit, FLAGS);
            let is_over = input.is_empty();
            self.bytes.take(taken)?;
            let new = &member.ring[member.at..member.at + made];
            out.extend_from_slice(new);
            member.crc.update(new);
            member.length = member.length.wrapping_add(made as u32);
            member.at = (member.at + made) % RING;
            left -= made;
            if status == TINFLStatus::Done {
                self.end(*member)?;
                if left < most {
                    return Ok(());
                }
                continue;
            }
            // A negative status is a failure; the type is open to others.
            if (status as i8) < 0 {
                return Err(Flaw::At(place, format!("{status:?}")));
            }
            if is_over && taken == 0 && made == 0 {
                return Err(Flaw::At(place, "the file ends".into()));
            }
            if status == TINFLStatus::BlockBoundary {
                let plain = points.plain + (most - left) as u64;
                self.note(&member, plain, points);
            }
            self.member = Some(member);
        }
        Ok(())
    }
}
