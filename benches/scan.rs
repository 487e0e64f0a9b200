//! How fast one thread finds where records end that only a reader from the beginning can tell apart.
//!
//! It lists the chunks of a file that lies in memory, as the source thread of a job does: read, look, cut. The number
//! to beat is that of memory, because the commands of `pipe` read each byte too.
//!
//! ```text
//! cargo bench --bench scan            of 256 MiB
//! cargo bench --bench scan -- 1024    of so many MiB
//! ```

use bivouac::input::{Boundary, Chunk, Chunks};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mebibytes = std::env::args().filter_map(|word| word.parse::<usize>().ok()).next_back().unwrap_or(256);
    let mut rows = String::new();
    for n in 0..20_000 {
        writeln!(rows, "{n},\"text, \"\"{n}\"\"\nof two lines\",{},plain text", n * 7919)?;
    }
    let plain = "some plain text without any of them, of a usual length\n".repeat(20_000);
    let reads =
        "@read\nACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT\n+\nIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIII\n"
            .repeat(10_000);
    let quoted = Boundary::quoted(b'"', b',')?;
    let kinds = [
        ("quotes in each line", rows.as_str(), quoted.clone()),
        ("quotes, without any", &plain, quoted),
        ("lines by number", &plain, Boundary::lines(4)?),
        ("FASTQ", &reads, Boundary::fastq()),
    ];
    for (what, text, boundary) in kinds {
        let file = tempfile::NamedTempFile::new()?;
        let times = (mebibytes << 20).div_ceil(text.len());
        for _ in 0..times {
            file.as_file().write_all(text.as_bytes())?;
        }
        let mut speeds = Vec::new();
        for _ in 0..5 {
            speeds.push(list(file.path(), &boundary, times * text.len())?);
        }
        speeds.sort_by(f64::total_cmp);
        // A bench prints what it has measured; the lint is for the library.
        writeln!(std::io::stdout(), "scan {what}: {:.2} GiB/s", speeds[speeds.len() / 2])?;
    }
    Ok(())
}

/// Gibibytes a second.
fn list(path: &Path, boundary: &Boundary, bytes: usize) -> Result<f64, Failure> {
    let chunks = Chunks::new(vec![path.to_path_buf()], boundary.clone()).block(Some(4 << 20));
    let began = Instant::now();
    let mut last = 0;
    bivouac::list(&chunks, &mut |_, chunk: Chunk| {
        last = chunk.aligned()?.end;
        Ok(())
    })?;
    assert_eq!(last, bytes as u64);
    Ok(bytes as f64 / began.elapsed().as_secs_f64() / f64::from(1 << 30))
}
