//! `digest --check`: verifies a list that `digest`, `b3sum` or `sha256sum` has made.

use crate::jobs::complaints::Complaints;
use crate::jobs::digest::{Algorithm, hash_file};
use crate::jobs::names;
use bivouac::ending::{FINISHED, FINISHED_WITH_FAILURES};
use bivouac::input::{Chunk, InputFile};
use bivouac::{Context, Error, Job, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Digits of either checksum.
const DIGITS: usize = 64;

/// How many bytes of the list make one task: some fifty lines.
pub(crate) const BLOCK: u64 = 4096;

/// The job. Its source: the list, cut at lines.
#[derive(Debug)]
pub(crate) struct Check {
    algorithm: Algorithm,
    list: String,
    complaints: Complaints,
}

/// How many lines came out how.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    agree: u64,
    differ: u64,
    unreadable: u64,
    malformed: u64,
}

/// What is known after some tasks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    tally: Tally,
}

/// A line of the list.
struct Entry<'l> {
    hash: &'l [u8],
    path: PathBuf,
}

impl Check {
    /// `list`: the name of what is checked, for complaints.
    pub(crate) fn new(algorithm: Algorithm, list: String, complaints: Complaints) -> Self {
        Self { algorithm, list, complaints }
    }

    fn verify(
        &self,
        entry: &Entry<'_>,
        cx: &Context<'_>,
        tally: &mut Tally,
    ) -> Result<&'static str, TaskError> {
        let found = InputFile::look_at(&entry.path).map_err(TaskError::Fatal);
        match found.and_then(|file| hash_file(&file, self.algorithm, cx)) {
            Ok(hash) if hash.as_bytes().eq_ignore_ascii_case(entry.hash) => {
                tally.agree += 1;
                Ok("OK")
            }
            Ok(_) => {
                tally.differ += 1;
                Ok("FAILED")
            }
            Err(TaskError::Fatal(_)) => {
                tally.unreadable += 1;
                Ok("FAILED open or read")
            }
            Err(error) => Err(error),
        }
    }
}

/// `hash  name` or `hash *name`; with a backslash in front, the name is escaped.
fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hash, rest) = line.split_at_checked(DIGITS)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    if name.is_empty() || !hash.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let path =
        if escaped { names::unescape(name)? } else { PathBuf::from(std::ffi::OsStr::from_bytes(name)) };
    Some(Entry { hash, path })
}

impl Job for Check {
    type Task = Chunk;
    type Partial = Tally;
    type Total = Total;

    fn name(&self) -> &str {
        "digest --check"
    }

    fn fingerprint(&self) -> Value {
        json!({ "algorithm": self.algorithm })
    }

    /// The files may have changed since the last time, and that is what is asked for.
    fn is_about_now(&self) -> bool {
        true
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> Result<Tally, TaskError> {
        let mut tally = Tally::default();
        let mut out = Vec::new();
        let mut list = Vec::new();
        // The whole block first: while files are read, the buffer for pieces belongs to them.
        let mut pieces = chunk.pieces();
        while let Some(piece) = pieces.next_piece()? {
            if list.try_reserve(piece.len()).is_err() {
                let how = format_args!("has a line of {} bytes, and there is no memory for it", piece.len());
                return Err(Error::broken(&self.list, how)
                    .advise("see whether it is a list of checksums")
                    .into());
            }
            list.extend_from_slice(piece);
        }
        for line in list.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let Some(entry) = parse(line) else {
                tally.malformed += 1;
                continue;
            };
            let verdict = self.verify(&entry, cx, &mut tally)?;
            let (name, escaped) = names::escape(entry.path.as_os_str().as_bytes());
            if escaped {
                out.push(b'\\');
            }
            out.extend_from_slice(&name);
            out.extend_from_slice(format!(": {verdict}\n").as_bytes());
        }
        cx.emit(out)?;
        Ok(tally)
    }

    fn fold(&self, total: &mut Total, partial: Tally, _out: &mut Vec<u8>) {
        total.tally.agree += partial.agree;
        total.tally.differ += partial.differ;
        total.tally.unreadable += partial.unreadable;
        total.tally.malformed += partial.malformed;
    }

    fn finish(&self, total: &mut Total, _out: &mut Vec<u8>) {
        let Tally { agree, differ, unreadable, malformed } = total.tally;
        if agree + differ + unreadable == 0 {
            self.complaints.say(format!("{}: no properly formatted checksum lines found", self.list));
        }
        if differ > 0 && agree == 0 {
            let (is, other) = match self.algorithm {
                Algorithm::Blake3 => ("BLAKE3", "sha256"),
                Algorithm::Sha256 => ("SHA-256", "blake3"),
            };
            self.complaints.say(format!(
                "{}: none of its checksums is the {is} one; if another tool has made it: --algorithm {other}",
                self.list
            ));
        }
        let warnings = [
            (malformed, "line is improperly formatted", "lines are improperly formatted"),
            (unreadable, "listed file could not be read", "listed files could not be read"),
            (differ, "computed checksum did NOT match", "computed checksums did NOT match"),
        ];
        for (count, one, several) in warnings {
            match count {
                0 => {}
                1 => self.complaints.say(format!("WARNING: 1 {one}")),
                _ => self.complaints.say(format!("WARNING: {count} {several}")),
            }
        }
    }

    fn verdict(&self, total: &Total) -> u8 {
        let Tally { agree, differ, unreadable, .. } = total.tally;
        if agree > 0 && differ + unreadable == 0 { FINISHED } else { FINISHED_WITH_FAILURES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_either_tool_are_understood_and_others_are_not() {
        let hash = "0123456789abcdef".repeat(4);
        let path = |line: &str| parse(line.as_bytes()).map(|entry| entry.path);
        assert_eq!(path(&format!("{hash}  a b")), Some("a b".into()));
        assert_eq!(path(&format!("{hash} *a")), Some("a".into()));
        assert_eq!(path(&format!("\\{hash}  a\\nb\\\\")), Some("a\nb\\".into()));
        for wrong in [format!("{hash} a"), format!("{}  a", &hash[1..]), format!("x{}  a", &hash[1..]), hash]
        {
            assert_eq!(path(&wrong), None, "{wrong}");
        }
    }
}
