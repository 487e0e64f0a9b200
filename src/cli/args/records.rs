//! Options that say what a record is and what stands before the first: the same for every verb that reads records.

use crate::cli::parse;
use crate::jobs::formats::Format;
use bivouac::input::{Boundary, Header};
use bivouac::{Error, Result};
use clap::Args;

#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct RecordArgs {
    /// Read records and headers as in files of this kind
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with_all = ["record_end", "record_start", "null", "fixed", "csv", "record_lines"], help_heading = "Where the input is cut")]
    pub(crate) format: Option<Format>,

    /// Records are lines, and a quoted field may hold newlines (RFC 4180)
    #[arg(long, conflicts_with_all = ["record_end", "record_start", "null", "fixed", "record_lines"], help_heading = "Where the input is cut")]
    pub(crate) csv: bool,

    /// With --csv: the quote [default: "]
    #[arg(long, value_name = "BYTE", allow_hyphen_values = true, value_parser = parse::byte, help_heading = "Where the input is cut")]
    pub(crate) csv_quote: Option<u8>,

    /// With --csv: what stands between fields [default: a comma, of tsv a tab]
    #[arg(long, value_name = "BYTE", allow_hyphen_values = true, value_parser = parse::byte, help_heading = "Where the input is cut")]
    pub(crate) csv_separator: Option<u8>,

    /// A record has N lines
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["record_end", "record_start", "null", "fixed"], help_heading = "Where the input is cut")]
    pub(crate) record_lines: Option<u64>,

    /// Give each command the first N records of its file before its chunk; with --record-lines, the first N lines [default: 1; 0: none]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1", help_heading = "Where the input is cut")]
    pub(crate) header: Option<u64>,

    /// Give each command the leading lines of its file that begin with BYTES, as # in VCF and @ in SAM
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse::bytes, conflicts_with = "header", help_heading = "Where the input is cut")]
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
        match self.format {
            Some(format) => format.boundary().map(Some),
            None => self.record_lines.map(Boundary::lines).transpose(),
        }
    }

    /// What stands before the records.
    pub(crate) fn header(&self) -> Option<Header> {
        match (self.header, &self.header_prefix) {
            (Some(0), _) => None,
            (Some(n), _) => Some(Header::Records(n)),
            (None, Some(prefix)) => Some(Header::Prefix(prefix.0.clone())),
            (None, None) => self.format.and_then(Format::header),
        }
    }

    /// How many lines each record has, where that is the same for all.
    pub(crate) fn lines(&self) -> u64 {
        match self.format {
            Some(Format::Fastq) => 4,
            Some(_) | None => self.record_lines.unwrap_or(1),
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
