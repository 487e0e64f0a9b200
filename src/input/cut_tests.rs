//! Records that are found from the beginning only, cut by [`Chunks`] and by parsers that are as slow as they read.

use super::boundary::tests::naive::{RULES, Random};
use super::testing::file_with;
use super::{Boundary, Chunks, Header};
use crate::error::Kind;
use crate::task::{ListContext, Listed, Listing, Mark, Source};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// Where records end, or the place of what is wrong.
type Ends = Result<Vec<usize>, u64>;

/// A chunk: its bytes, the header that belongs before it, the mark.
type Shown = (Vec<u8>, Vec<u8>, Option<Mark>);

fn every_lines(n: usize, text: &[u8]) -> Ends {
    let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    Ok(newlines.map(|(i, _)| i + 1).skip(n - 1).step_by(n).collect())
}

fn csv(text: &[u8]) -> Ends {
    enum At {
        FieldStart,
        Plain,
        Quoted(usize),
        AfterQuote(usize),
    }
    let (mut at, mut ends) = (At::FieldStart, Vec::new());
    for (i, byte) in text.iter().enumerate() {
        at = match (at, byte) {
            (At::Quoted(from), b'"') => At::AfterQuote(from),
            (At::AfterQuote(from), b'"') => At::Quoted(from),
            (At::Quoted(from), _) => At::Quoted(from),
            (At::FieldStart, b'"') => At::Quoted(i),
            (At::Plain, b'"') => return Err(i as u64),
            (_, b',') => At::FieldStart,
            (_, b'\n') => {
                ends.push(i + 1);
                At::FieldStart
            }
            _ => At::Plain,
        };
    }
    if let At::Quoted(from) = at { Err(from as u64) } else { Ok(ends) }
}

fn fastq(text: &[u8]) -> Ends {
    let mut ends = Vec::new();
    let mut place = 0;
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| {
        place += line.len();
        (String::from_utf8(line.to_vec()).unwrap().trim_end().to_string(), place)
    });
    let mut next = || lines.next();
    loop {
        let Some((name, _)) = next() else { return Ok(ends) };
        assert!(name.starts_with('@'), "the generator is right: {name}");
        let mut bases = 0;
        while let Some((line, _)) = next() {
            if line.starts_with('+') {
                break;
            }
            bases += line.len();
        }
        let mut end = 0;
        while let Some((line, place)) = next() {
            bases -= line.len();
            end = place;
            if bases == 0 {
                break;
            }
        }
        ends.push(end);
    }
}

fn some_csv(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.below(12) {
        for field in 0..=random.below(3) {
            if field > 0 {
                text.push(b',');
            }
            let is_quoted = random.below(2) == 0;
            let letters: &[&[u8]] =
                if is_quoted { &[b"a", b"\"\"", b"\n", b",", b"\r\n"] } else { &[b"a", b"b", b"\r", b" "] };
            text.extend(is_quoted.then_some(b'"'));
            for _ in 0..random.below(90).saturating_sub(random.below(80)) {
                text.extend_from_slice(letters[random.below(letters.len())]);
            }
            text.extend(is_quoted.then_some(b'"'));
        }
        text.extend_from_slice(if random.below(3) == 0 { b"\r\n" } else { b"\n" });
    }
    if random.below(2) == 0 {
        text.pop();
    }
    text
}

fn some_fastq(random: &mut Random) -> Vec<u8> {
    let newline = ["\n", "\r\n"][random.below(2)];
    let mut text = String::new();
    for n in 0..random.below(8) {
        let lengths: Vec<usize> = (0..1 + random.below(3)).map(|_| 1 + random.below(40)).collect();
        text += &format!("@read {n}{newline}");
        lengths.iter().for_each(|length| text += &format!("{}{newline}", "A".repeat(*length)));
        text += &format!("+{newline}");
        // Qualities may look like anything.
        let mark = ["@", "+", "I"][random.below(3)];
        lengths.iter().for_each(|length| text += &format!("{}{newline}", mark.repeat(*length)));
    }
    if random.below(3) == 0 {
        text.truncate(text.len().saturating_sub(newline.len()));
    }
    text.into_bytes()
}

/// The rule: from where the chunk begins, on to the next multiple, and to the end of the record there.
fn chunks(text: &[u8], ends: &[usize], body: usize, block: usize) -> Vec<Vec<u8>> {
    let (mut start, mut all) = (0, Vec::new());
    loop {
        let nominal = ((start / block + 1) * block).max(body + 1);
        let end = ends.iter().copied().find(|&end| end >= nominal).unwrap_or(text.len());
        all.push(text[start..end].to_vec());
        if end == text.len() {
            return all;
        }
        start = end;
    }
}

fn show(Listed { task, mark, .. }: Listed<super::Chunk>) -> Shown {
    let mut bytes = Vec::new();
    let mut pieces = task.pieces().unwrap();
    while let Some(piece) = pieces.next_piece().unwrap() {
        bytes.extend_from_slice(piece);
    }
    (bytes, task.header().to_vec(), mark)
}

fn list(listing: &mut impl Listing<Task = super::Chunk>) -> crate::Result<Vec<Shown>> {
    let cx = ListContext::endless();
    std::iter::from_fn(|| listing.next(&cx).transpose()).map(|listed| listed.map(show)).collect()
}

/// The records of all chunks, one after the other.
fn records(source: &Chunks) -> Vec<Vec<u8>> {
    let (mut listing, cx, mut all) = (source.begin().unwrap(), ListContext::endless(), Vec::new());
    while let Some(Listed { task, .. }) = listing.next(&cx).unwrap() {
        let mut records = task.records().unwrap();
        while let Some((bytes, ends)) = records.next(|_| crate::Result::Ok(())).unwrap() {
            let starts = [0].iter().chain(ends);
            all.extend(starts.zip(ends).map(|(start, end)| bytes[*start..*end].to_vec()));
        }
    }
    all
}

fn piped(text: &[u8]) -> (std::io::PipeReader, PathBuf) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text).unwrap();
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd()).into();
    (reader, path)
}

/// As a file, as a stream, and continued after each of its chunks: the same chunks.
fn check(text: &[u8], boundary: &Boundary, header: Option<(Header, usize)>, block: usize, ends: &Ends) {
    let (_dir, path) = file_with(text);
    let body = header.as_ref().map_or(0, |(_, body)| *body);
    let header = header.map(|(header, _)| header);
    let of = |path: PathBuf| {
        Chunks::new(vec![path], boundary.clone()).block(Some(block as u64)).with_header(header.clone())
    };
    let source = of(path);
    let mut listing = source.begin().unwrap();
    let described = listing.described().unwrap();
    let listed = list(&mut listing);
    let (_reader, pipe) = piped(text);
    let streamed = list(&mut of(pipe).begin().unwrap());
    let what = || format!("{boundary} of {block} in {:?}", text.escape_ascii().to_string());
    let ends = match ends {
        Ok(ends) => ends,
        Err(place) => {
            for error in [listed.unwrap_err(), streamed.unwrap_err()] {
                assert_eq!(error.kind(), Kind::Broken);
                assert!(error.to_string().contains(&format!("byte {place}: ")), "{error} {place} {}", what());
            }
            return;
        }
    };
    let (_again, pipe) = piped(text);
    let mut edges: Vec<usize> = ends.iter().copied().filter(|end| *end > body).collect();
    edges.extend((edges.last().copied().unwrap_or(body) < text.len()).then_some(text.len()));
    let starts = [body].into_iter().chain(edges.iter().copied());
    let naive: Vec<_> = starts.zip(&edges).map(|(start, end)| text[start..*end].to_vec()).collect();
    assert_eq!(records(&source), naive, "{}", what());
    assert_eq!(records(&of(pipe)), naive, "{}", what());
    let wanted = chunks(text, ends, body, block);
    let (listed, streamed) = (listed.unwrap(), streamed.unwrap());
    let bytes = |all: &[Shown]| all.iter().map(|(bytes, ..)| bytes.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&listed), wanted, "{}", what());
    assert_eq!(bytes(&streamed), wanted, "{}", what());
    for (n, (_, header, _)) in listed.iter().chain(&streamed).enumerate() {
        let is_first = n == 0 || n == listed.len();
        assert_eq!(header, if is_first { b"" } else { &text[..body] }, "{}", what());
    }
    for (done, (_, _, mark)) in listed.iter().enumerate() {
        for goes_there in [true, false] {
            let mut again = source.resume(&described, done as u64 + 1).unwrap();
            if goes_there {
                again.go_to(mark.unwrap());
                let before: usize = wanted[..=done].iter().map(Vec::len).sum();
                assert_eq!(again.extent().bytes_before, before as u64);
            }
            assert_eq!(again.mark_before(&ListContext::endless()).unwrap(), *mark);
            assert_eq!(list(&mut again).unwrap(), listed[done + 1..], "{}", what());
        }
    }
}

#[test]
fn lines_quotes_and_fastq_are_cut_as_their_parsers_say() {
    let mut random = Random(17);
    let (mut flaws, mut cuts) = (0, 0);
    for round in 0..250 {
        let block = 1 + random.below(150);
        let text = random.text(400);
        let n = 2 + random.below(4);
        check(&text, &Boundary::lines(n as u64).unwrap(), None, block, &every_lines(n, &text));
        let mut text = some_csv(&mut random);
        if round % 4 == 0 && !text.is_empty() {
            let place = random.below(text.len());
            text[place] = b"a\",\n"[random.below(4)];
        }
        let ends = csv(&text);
        flaws += usize::from(ends.is_err());
        cuts += ends.as_ref().map_or(0, Vec::len);
        check(&text, &Boundary::quoted(b'"', b',').unwrap(), None, block, &ends);
        let text = some_fastq(&mut random);
        check(&text, &Boundary::fastq(), None, block, &fastq(&text));
    }
    assert!(flaws > 10 && cuts > 800, "{flaws} and {cuts}: there are both");
}

#[test]
fn a_header_stands_before_every_chunk_but_the_first_and_records_begin_after_it() {
    let mut random = Random(23);
    for _ in 0..150 {
        let block = 1 + random.below(100);
        let text = some_csv(&mut random);
        let ends = csv(&text).unwrap();
        let n = random.below(3);
        let body = if n == 0 { 0 } else { ends.get(n - 1).copied().unwrap_or(text.len()) };
        let quoted = Boundary::quoted(b'"', b',').unwrap();
        check(&text, &quoted, Some((Header::Records(n as u64), body)), block, &Ok(ends));

        let lines = "#a\n".repeat(random.below(5)).into_bytes();
        let text = [&lines[..], &some_fastq(&mut random)].concat();
        let body = lines.len();
        let ends = fastq(&text[body..]).unwrap().into_iter().map(|end| body + end).collect();
        check(&text, &Boundary::fastq(), Some((Header::Prefix(b"#".to_vec()), body)), block, &Ok(ends));

        // Cut by arithmetic: with the header all is there once, and no line is cut.
        let text = [&lines[..], &random.text(300)].concat();
        let body = text
            .split_inclusive(|b| *b == b'\n')
            .take_while(|line| line.starts_with(b"#"))
            .map(<[u8]>::len)
            .sum();
        let (_dir, path) = file_with(&text);
        let source = Chunks::new(vec![path], Boundary::newline())
            .block(Some(block as u64))
            .with_header(Some(Header::Prefix(b"#".to_vec())));
        let all = list(&mut source.begin().unwrap()).unwrap();
        let naive: Vec<_> = text[body..].split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(records(&source), naive);
        let joined: Vec<u8> = all.iter().flat_map(|(bytes, ..)| bytes.clone()).collect();
        assert_eq!(joined, text);
        for (bytes, header, _) in &all[1..] {
            assert_eq!(header, &text[..body]);
            assert!(!bytes.starts_with(b"#"), "the header is in the first chunk only");
        }
    }
}

#[test]
fn the_records_of_chunks_are_those_of_the_definition() {
    let mut random = Random(29);
    for _ in 0..40 {
        let text = random.text(300);
        for rule in &RULES {
            let (_dir, path) = file_with(&text);
            let source = Chunks::new(vec![path], rule.boundary()).block(Some(1 + random.below(80) as u64));
            let each = rule.chunks(&text, 1).into_iter().filter(|record| !record.is_empty());
            assert_eq!(records(&source), each.map(<[u8]>::to_vec).collect::<Vec<_>>(), "{}", rule.boundary());
        }
    }
}

#[test]
fn what_a_person_sees_of_a_bad_table_and_of_bad_fastq() {
    let quoted = Boundary::quoted(b'"', b',').unwrap();
    let never_ends = "a,\"b\nc,d\n".to_string() + &"e,f\n".repeat(50_000);
    let whole = "@a\nACGT\n+\nIIII\n";
    let cases = [
        (&quoted, never_ends, "byte 2: a quoted field begins here and never ends"),
        (
            &quoted,
            format!("{}7,5\" pipe\n", "a,b\n".repeat(70)),
            "byte 283: a quote in a field that begins without one",
        ),
        (
            &quoted,
            format!("a,b\nc,\"never ends\nd,\"e\"\n{}", "a,b\n".repeat(70)),
            "byte 22: a quote in a field that begins without one (the last quoted field: byte 6)",
        ),
        (&Boundary::fastq(), format!("{whole}@b\nACGT\n"), "byte 15: this record of FASTQ is cut short"),
        (
            &Boundary::fastq(),
            format!("{whole}>b\nACGT\n"),
            "byte 15: a record of FASTQ must begin here, with @",
        ),
        (&Boundary::fastq(), format!("{whole}@b\nACGT\n@c\n"), "byte 15: this record of FASTQ has no line"),
        (
            &Boundary::fastq(),
            format!("{whole}@b\nAC\n+\nIII\n"),
            "byte 15: this record of FASTQ has more qualities",
        ),
    ];
    for (boundary, text, problem) in cases {
        let (_dir, path) = file_with(text);
        let error = list(&mut Chunks::new(vec![path], boundary.clone()).begin().unwrap()).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
    // Empty lines after the last record are none.
    let (_dir, path) = file_with(format!("\u{feff}{whole}\r\n\n{whole}\n\n"));
    assert_eq!(records(&Chunks::new(vec![path], Boundary::fastq()).block(Some(1))).len(), 2);
    // A byte order mark stands before the first quote.
    let (_dir, path) = file_with("\u{feff}\"a\nb\",c\n");
    assert_eq!(list(&mut Chunks::new(vec![path], quoted).begin().unwrap()).unwrap().len(), 1);
}
