//! Files that are compressed, and are read as they are.
//!
//! A pattern finds nothing in compressed bytes, and an exit code of 1 then reads as "there is no such line". The
//! first bytes tell the format, as `file` sees it; the name does not.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// First bytes, the format, and the program that decompresses to standard output.
const FORMATS: [(&[u8], &str, &str); 5] = [
    (&[0x1f, 0x8b], "gzip", "zcat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstdcat"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz", "xzcat"),
    (b"BZh", "bzip2", "bzcat"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4", "lz4cat"),
];

/// The format of this file and its program, if it is a regular file that can be read.
fn format(path: &Path) -> Option<(&'static str, &'static str)> {
    // A FIFO would wait for its writer, and would lose the bytes.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut first = Vec::new();
    File::open(path).ok()?.take(6).read_to_end(&mut first).ok()?;
    FORMATS
        .iter()
        .find(|(magic, ..)| first.starts_with(magic))
        .map(|(_, format, program)| (*format, *program))
}

/// A sentence about the first compressed file among these: what it is, and what to type.
pub(crate) fn hint(files: &[PathBuf], line: impl Fn(&str, &Path) -> String) -> Option<String> {
    let found = |path: &PathBuf| format(path).map(|found| (path.clone(), found));
    let (path, (format, program)) = files.iter().find_map(found)?;
    Some(format!(
        "{}: is compressed ({format}), and was read as it is\n  {}",
        path.display(),
        line(program, &path)
    ))
}
