//! Compressed files against the same bytes as they are: cut, continued at every chunk, cut off and damaged.

#![cfg(feature = "compression")]

use super::*;
use crate::error::Kind;
use crate::input::boundary::tests::naive::{RULES, Random, Rule};
use crate::input::{Boundary, Chunks, Header};
use crate::task::ListContext;
use crate::task::stop_fd::StopFd;
use crate::task::{Listing, Mark, Source};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

fn gzip(text: &[u8]) -> Vec<u8> {
    let packed = miniz_oxide::deflate::compress_to_vec(text, 6);
    let head = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0";
    let tail = [crc32fast::hash(text).to_le_bytes(), (text.len() as u32).to_le_bytes()].concat();
    [&head[..], &packed, &tail].concat()
}

fn bgzip(text: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for block in text.chunks(1000).chain([&b""[..]]) {
        let packed = miniz_oxide::deflate::compress_to_vec(block, 6);
        let size = (18 + packed.len() + 8 - 1) as u16;
        all.extend_from_slice(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0");
        all.extend_from_slice(&size.to_le_bytes());
        all.extend_from_slice(&packed);
        all.extend_from_slice(&crc32fast::hash(block).to_le_bytes());
        all.extend_from_slice(&(block.len() as u32).to_le_bytes());
    }
    all
}

fn zstd_of_unknown_size(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of_known_size(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::bulk::Compressor::new(1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.compress(text).unwrap()
}

fn xz(text: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn lz4(text: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

type Pack = fn(&[u8]) -> Vec<u8>;

const PACKS: [(Format, Pack); 7] = [
    (Format::Gzip, gzip),
    (Format::Bgzip, bgzip),
    (Format::Zstd, zstd_of_unknown_size),
    (Format::Zstd, zstd_of_known_size),
    (Format::Xz, xz),
    (Format::Bzip2, bzip2),
    (Format::Lz4, lz4),
];

/// The text in one member, and in several.
fn packed(pack: Pack, text: &[u8], members: usize) -> Vec<u8> {
    if members == 1 || text.is_empty() {
        return pack(text);
    }
    text.chunks(text.len().div_ceil(members)).flat_map(pack).collect()
}

struct Place {
    dir: tempfile::TempDir,
    stop: StopFd,
    files: std::cell::Cell<u32>,
}

/// Header, bytes and mark of each chunk.
type Seen = Vec<(Vec<u8>, Vec<u8>, Mark)>;

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), stop: StopFd::new().unwrap(), files: 0.into() }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        self.files.set(self.files.get() + 1);
        let path = self.dir.path().join(format!("file {}", self.files.get()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn cx(&self) -> ListContext<'_> {
        ListContext { beside: Some(self.dir.path()), ..ListContext::real(&self.stop) }
    }

    /// The chunks from here on.
    fn rest(&self, listing: &mut impl Listing<Task = crate::input::Chunk>) -> Result<Seen> {
        let mut all = Vec::new();
        while let Some(listed) = listing.next(&self.cx())? {
            let bytes = listed.task.bytes().unwrap().to_vec();
            all.push((listed.task.header().to_vec(), bytes, listed.mark.unwrap()));
        }
        Ok(all)
    }
}

fn source(path: PathBuf, boundary: Boundary, block: u64) -> Chunks {
    Chunks::new(vec![path], boundary).block(Some(block)).decompress(Decompress::Auto)
}

/// The chunks of the text as a stream has them: none is empty, but the only one.
fn expected(rule: &Rule, text: &[u8], block: usize) -> Vec<Vec<u8>> {
    let chunks = rule.chunks(text, block).into_iter().map(<[u8]>::to_vec);
    chunks.filter(|chunk| !chunk.is_empty() || text.is_empty()).collect()
}

#[test]
fn a_compressed_file_is_cut_as_a_stream_and_goes_on_at_every_chunk() {
    let place = Place::new();
    let mut random = Random(3);
    for round in 0..6 {
        let text = if round == 0 { Vec::new() } else { random.text(4000) };
        for rule in &RULES {
            let block = 1 + random.below(700);
            for (format, pack) in PACKS {
                for members in [1, 3] {
                    let path = place.file(&packed(pack, &text, members));
                    assert_eq!(Format::of_file(&path), Some(format));
                    let source = source(path, rule.boundary(), block as u64);
                    let mut listing = source.begin().unwrap();
                    let described = listing.described().unwrap();
                    let all = place.rest(&mut listing).unwrap();
                    let found: Vec<_> = all.iter().map(|(_, bytes, _)| bytes.clone()).collect();
                    assert_eq!(found, expected(rule, &text, block), "{format}, {}", rule.boundary());
                    let done = 1 + random.below(all.len());
                    let mut again = source.resume(&described, done as u64).unwrap();
                    again.go_to(all[done - 1].2);
                    assert_eq!(again.mark_before(&place.cx()).unwrap(), Some(all[done - 1].2));
                    assert!(place.rest(&mut again).unwrap() == all[done..], "{format} after chunk {done}");
                }
            }
        }
    }
}

#[test]
fn a_compressed_stream_is_cut_as_what_is_in_it_and_read_again_to_go_on() {
    let place = Place::new();
    let mut random = Random(31);
    for round in 0..3 {
        let text = if round == 0 { Vec::new() } else { random.text(3000) };
        for rule in &RULES {
            let block = 1 + random.below(700);
            let as_it_is: Pack = |text| text.to_vec();
            for pack in PACKS.into_iter().map(|(_, pack)| pack).chain([as_it_is]) {
                let packed = packed(pack, &text, 3);
                let open = || {
                    let (reader, mut writer) = std::io::pipe().unwrap();
                    writer.write_all(&packed).unwrap();
                    let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
                    (reader, source(path, rule.boundary(), block as u64))
                };
                let (_reader, begun) = open();
                let mut listing = begun.begin().unwrap();
                let described = listing.described().unwrap();
                let all = place.rest(&mut listing).unwrap();
                let found: Vec<_> = all.iter().map(|(_, bytes, _)| bytes.clone()).collect();
                assert_eq!(found, expected(rule, &text, block), "{}", rule.boundary());
                let done = 1 + random.below(all.len());
                let (_reader, again) = open();
                let mut again = again.resume(&described, done as u64).unwrap();
                assert_eq!(again.mark_before(&place.cx()).unwrap(), Some(all[done - 1].2));
                assert!(place.rest(&mut again).unwrap() == all[done..], "after chunk {done}");
                let unread = again_as_it_is(&described, done);
                assert_eq!(unread.unwrap_err().kind(), Kind::Refused);
            }
        }
    }
}

fn again_as_it_is(described: &serde_json::Value, done: usize) -> Result<()> {
    let boundary = Boundary::newline();
    let records = serde_json::json!(boundary.to_string());
    let mut described = described.clone();
    described["records"] = records;
    Chunks::new(vec!["-".into()], boundary).resume(&described, done as u64).map(drop)
}

#[test]
fn a_compressed_stream_that_is_cut_off_is_an_error_and_one_that_is_stopped_is_none() {
    let place = Place::new();
    let text = numbers(3000);
    for (_, pack) in PACKS {
        let whole = pack(&text);
        let half = || {
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(&whole[..whole.len() / 2]).unwrap();
            let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
            (reader, writer, source(path, Boundary::newline(), 1 << 20))
        };
        let (_reader, _writer, waits_for_more) = half();
        let mut listing = waits_for_more.begin().unwrap();
        let stop = StopFd::new().unwrap();
        std::thread::scope(|scope| {
            let waits =
                scope.spawn(|| listing.next(&ListContext::real(&stop)).map(|listed| listed.is_none()));
            stop.set();
            assert!(waits.join().unwrap().unwrap(), "it waits for the rest until the stop");
        });
        let (_reader, writer, ends) = half();
        drop(writer);
        let error = place.rest(&mut ends.begin().unwrap()).unwrap_err();
        assert_eq!(error.kind(), Kind::Broken, "{error}");
    }
}

/// Numbers, one a line: they compress to a third.
fn numbers(until: u32) -> Vec<u8> {
    (0..until).flat_map(|n| format!("{}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

#[test]
fn a_member_of_gzip_is_entered_at_access_points_and_without_them_at_its_beginning() {
    let place = Place::new();
    let text = numbers(60_000);
    let path = place.file(&gzip(&text));
    let source = source(path, Boundary::newline(), 20_000).with_header(Some(Header::Records(1)));
    let mut listing = source.begin().unwrap();
    let described = listing.described().unwrap();
    let all = place.rest(&mut listing).unwrap();
    assert!(all.len() > 20 && all[1].0 == b"0\n", "{}", all.len());
    let points = place.dir.path().join(crate::task::source::ACCESS_POINTS);
    let kept = std::fs::metadata(&points).unwrap().len() / 32_834;
    assert!(kept > 4, "{kept}");
    for damage in [false, true] {
        if damage {
            std::fs::remove_file(&points).unwrap();
        }
        for done in 1..=all.len() {
            let mut again = source.resume(&described, done as u64).unwrap();
            again.go_to(all[done - 1].2);
            assert!(place.rest(&mut again).unwrap() == all[done..], "after chunk {done}");
        }
    }
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_never_a_shorter_one() {
    let place = Place::new();
    let text = numbers(3000);
    let mut random = Random(9);
    for (format, pack) in PACKS {
        let whole = packed(pack, &text, 2);
        for _ in 0..60 {
            let cut = 20 + random.below(whole.len() - 20);
            let mut flipped = whole.clone();
            let at = 20 + random.below(whole.len() - 20);
            flipped[at] ^= 1 << random.below(8);
            for bytes in [&whole[..cut], &flipped] {
                let path = place.file(bytes);
                if Format::of_file(&path) != Some(format) {
                    continue;
                }
                let mut listing = source(path, Boundary::newline(), 5000).begin().unwrap();
                match place.rest(&mut listing) {
                    Err(error) => assert_eq!(error.kind(), Kind::Broken, "{error}"),
                    // A bit that means nothing, or a cut between two members.
                    Ok(all) => {
                        let bytes: Vec<_> = all.into_iter().flat_map(|(_, bytes, _)| bytes).collect();
                        assert!(bytes == text || text.starts_with(&bytes) && bytes.len() >= text.len() / 2);
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_before_a_damaged_block_is_listed() {
    let place = Place::new();
    let text = numbers(3000);
    for pack in [bgzip, zstd_of_known_size] {
        let mut whole = packed(pack, &text, 3);
        let at = whole.len() - 200;
        whole[at] ^= 1;
        let mut listing = source(place.file(&whole), Boundary::newline(), 1000).begin().unwrap();
        let mut listed = Vec::new();
        let error = loop {
            match listing.next(&place.cx()) {
                Ok(next) => listed.extend_from_slice(next.unwrap().task.bytes().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::Broken, "{error}");
        assert!(text.starts_with(&listed) && listed.len() > text.len() / 2, "{}", listed.len());
    }
}

#[test]
fn what_follows_a_compressed_file_is_reported_and_zeros_are_not() {
    let place = Place::new();
    for (format, pack) in PACKS {
        let whole = pack(b"one\ntwo\n");
        let zeros = [&whole[..], &[0; 512]].concat();
        let garbage = [&whole[..], b"garbage garbage garbage"].concat();
        let rest = |bytes: &[u8]| {
            let mut listing = source(place.file(bytes), Boundary::newline(), 100).begin().unwrap();
            place.rest(&mut listing)
        };
        assert_eq!(rest(&zeros).unwrap().len(), 1, "{format}");
        assert_eq!(rest(&garbage).unwrap_err().kind(), Kind::Broken, "{format}");
    }
}

#[test]
fn a_job_keeps_to_the_way_in_which_it_read_its_inputs() {
    let place = Place::new();
    let path = place.file(&gzip(b"one\ntwo\n"));
    let (read, unread) =
        (source(path.clone(), Boundary::newline(), 4), Chunks::new(vec![path], Boundary::newline()));
    let described = |source: &Chunks| source.begin().unwrap().described().unwrap();
    assert_eq!(unread.resume(&described(&read), 1).unwrap_err().kind(), Kind::Refused);
    assert_eq!(read.resume(&described(&unread), 1).unwrap_err().kind(), Kind::Refused);
}
