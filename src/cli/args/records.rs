//! Options that say what a record is and what stands before the first: the same for every verb that reads records.

use crate::cli::parse;
use bivouac::input::{Boundary, Header};
use bivouac::{Error, Result};
use clap::{Args, ValueEnum};
use std::path::Path;

/// A kind of file; each is a set of the other options. README.md has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// `--csv --header`
    Csv,
    /// Lines, with `--header`; with --csv-quote also newlines in quotes
    Tsv,
    /// Lines
    Jsonl,
    /// `--record-start '>'`
    Fasta,
    /// Records of FASTQ, also with wrapped lines
    Fastq,
    /// Lines, with `--header-prefix @`
    Sam,
    /// Lines, with `--header-prefix '#'`
    Vcf,
    /// `--record-start 'From '`
    Mbox,
    /// Records end with a zero byte
    Nul,
}

#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct RecordArgs {
    /// Read records and headers as in files of this kind
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with_all = ["record_end", "record_start", "null", "fixed", "csv", "record_lines"], help_heading = "Where the input is cut")]
    pub(crate) format: Option<Format>,

    /// Records are lines, and a quoted field may hold newlines (RFC 4180)
    #[arg(long, conflicts_with_all = ["record_end", "record_start", "null", "fixed", "record_lines"], help_heading = "Where the input is cut")]
    pub(crate) csv: bool,

    /// With --csv: the quote [default: "]
    #[arg(long, value_name = "BYTE", value_parser = parse::byte, help_heading = "Where the input is cut")]
    pub(crate) csv_quote: Option<u8>,

    /// With --csv: what stands between fields [default: a comma, of tsv a tab]
    #[arg(long, value_name = "BYTE", value_parser = parse::byte, help_heading = "Where the input is cut")]
    pub(crate) csv_separator: Option<u8>,

    /// A record has N lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["record_end", "record_start", "null", "fixed"], help_heading = "Where the input is cut")]
    pub(crate) record_lines: Option<u64>,

    /// Give each command the first N records of its file before its chunk; with --record-lines, the first N lines [default: 1; 0: none]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1", help_heading = "Where the input is cut")]
    pub(crate) header: Option<u64>,

    /// Give each command the leading lines of its file that begin with BYTES, as # in VCF and @ in SAM
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, conflicts_with = "header", help_heading = "Where the input is cut")]
    pub(crate) header_prefix: Option<parse::Bytes>,
}

impl RecordArgs {
    /// The kind of records, if these options say it and do not contradict each other.
    pub(crate) fn boundary(&self) -> Result<Option<Boundary>> {
        let is_tsv = self.format == Some(Format::Tsv);
        let details = self.csv_quote.is_some() || self.csv_separator.is_some();
        if self.csv || self.format == Some(Format::Csv) || is_tsv && details {
            let separator = self.csv_separator.unwrap_or(if is_tsv { b'\t' } else { b',' });
            return Boundary::quoted(self.csv_quote.unwrap_or(b'"'), separator).map(Some);
        }
        if details {
            return Err(Error::usage("--csv-quote and --csv-separator", "belong to --csv")
                .advise("add --csv, or --format csv or tsv"));
        }
        let Some(format) = self.format else { return self.record_lines.map(Boundary::lines).transpose() };
        match format {
            Format::Csv | Format::Tsv | Format::Jsonl | Format::Sam | Format::Vcf => Ok(Boundary::newline()),
            Format::Fasta => Boundary::between(b"\n", b">"),
            Format::Mbox => Boundary::between(b"\n", b"From "),
            Format::Fastq => Ok(Boundary::fastq()),
            Format::Nul => Ok(Boundary::nul()),
        }
        .map(Some)
    }

    /// What stands before the records.
    pub(crate) fn header(&self) -> Option<Header> {
        match (self.header, &self.header_prefix, self.format) {
            (Some(0), _, _) => None,
            (Some(n), _, _) => Some(Header::Records(n)),
            (None, Some(prefix), _) => Some(Header::Prefix(prefix.0.clone())),
            (None, None, Some(Format::Csv | Format::Tsv)) => Some(Header::Records(1)),
            (None, None, Some(Format::Sam)) => Some(Header::Prefix(b"@".to_vec())),
            (None, None, Some(Format::Vcf)) => Some(Header::Prefix(b"#".to_vec())),
            (
                None,
                None,
                None | Some(Format::Jsonl | Format::Fasta | Format::Fastq | Format::Mbox | Format::Nul),
            ) => None,
        }
    }

    /// Nothing was said of records or headers.
    pub(crate) fn is_unset(&self) -> bool {
        self.format.is_none()
            && !self.csv
            && self.record_lines.is_none()
            && self.header.is_none()
            && self.header_prefix.is_none()
    }
}

/// What the name of a file says of its records.
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
