//! Kinds of files: what a record of each is, and what stands before the first.

use bivouac::Result;
use bivouac::input::{Boundary, Header};
use clap::ValueEnum;
use serde::Serialize;
use std::path::Path;

/// A kind of file. `docs/pipe.md` has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Lines after a header of one, and a quoted field may hold newlines (RFC 4180)
    Csv,
    /// Lines after a header of one
    Tsv,
    /// Lines
    Jsonl,
    /// Records begin with > at the start of a line
    Fasta,
    /// Records of FASTQ, also with wrapped lines
    Fastq,
    /// Lines after leading ones with @
    Sam,
    /// Lines after leading ones with #
    Vcf,
    /// Records begin with `From ` at the start of a line
    Mbox,
    /// Records end with a zero byte
    Nul,
}

impl Format {
    pub(crate) fn boundary(self) -> Result<Boundary> {
        match self {
            Self::Csv => Boundary::quoted(b'"', b','),
            Self::Tsv | Self::Jsonl | Self::Sam | Self::Vcf => Ok(Boundary::newline()),
            Self::Fasta => Boundary::between(b"\n", b">"),
            Self::Mbox => Boundary::between(b"\n", b"From "),
            Self::Fastq => Ok(Boundary::fastq()),
            Self::Nul => Ok(Boundary::nul()),
        }
    }

    pub(crate) fn header(self) -> Option<Header> {
        match self {
            Self::Csv | Self::Tsv => Some(Header::Records(1)),
            Self::Sam => Some(Header::Prefix(b"@".to_vec())),
            Self::Vcf => Some(Header::Prefix(b"#".to_vec())),
            Self::Jsonl | Self::Fasta | Self::Fastq | Self::Mbox | Self::Nul => None,
        }
    }

    /// The byte that ends a record.
    pub(crate) fn end(self) -> u8 {
        match self {
            Self::Nul => 0,
            Self::Csv | Self::Tsv | Self::Jsonl | Self::Fasta => b'\n',
            Self::Fastq | Self::Sam | Self::Vcf | Self::Mbox => b'\n',
        }
    }
}

/// The kind of records that the name of a file suggests.
pub(crate) fn suggested(path: &Path) -> Option<&'static str> {
    let packed = path
        .extension()
        .is_some_and(|end| ["gz", "bgz", "zst", "xz", "bz2", "lz4"].iter().any(|e| end == *e));
    let path = if packed { Path::new(path.file_stem()?) } else { path };
    Some(match path.extension()?.to_str()? {
        "csv" => "csv",
        "tsv" => "tsv",
        "fasta" | "fa" | "fna" | "faa" => "fasta",
        "fastq" | "fq" => "fastq",
        "sam" => "sam",
        "vcf" => "vcf",
        "mbox" => "mbox",
        _ => return None,
    })
}
