//! The words of a command in the record of its job.
//!
//! The obvious form is the command as one text, its words with blanks between them. But then `tr 'a b' c`
//! and `tr a 'b c'` have the same text, and a run of one would continue a job of the other. So the record has a list of
//! words, as the system takes it.

use crate::jobs::quote;
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A list of texts. A word that is not UTF-8 becomes an object, so that no text can be mistaken for it.
pub(crate) fn to_record<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Value {
    let word = |word: W| match word.as_ref().to_str() {
        Some(text) => json!(text),
        None => json!({ "bytes": word.as_ref().as_bytes().escape_ascii().to_string() }),
    };
    Value::Array(words.into_iter().map(word).collect())
}

/// For a person: as it would be typed. Two lists that differ are shown in different ways.
pub(crate) fn shown(record: &Value) -> String {
    let word = |word: &Value| match (word.as_str(), word["bytes"].as_str()) {
        (Some(text), _) => quote::argument(text.as_ref()),
        (None, Some(bytes)) => format!("$'{bytes}'"),
        (None, None) => word.to_string(),
    };
    match record.as_array() {
        Some(words) => words.iter().map(word).collect::<Vec<_>>().join(" "),
        None => record.to_string(),
    }
}

/// The words of a command that is run, for a message.
pub(crate) fn typed(command: &bivouac::process::Command) -> String {
    let words: Vec<OsString> = command.argv().map(OsString::from).collect();
    quote::command(&words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn lists_that_differ_are_recorded_and_shown_in_different_ways() {
        let raw = OsString::from_vec(b"\xff".to_vec());
        let lists: [&[&OsStr]; 5] = [
            &["tr".as_ref(), "a b".as_ref(), "c".as_ref()],
            &["tr".as_ref(), "a".as_ref(), "b c".as_ref()],
            &["tr".as_ref(), "a b c".as_ref()],
            &["tr".as_ref(), raw.as_ref()],
            &["tr".as_ref(), r"\xff".as_ref()],
        ];
        let records = lists.map(to_record);
        let words = records.each_ref().map(shown);
        assert_eq!(&words[..3], ["tr 'a b' c", "tr a 'b c'", "tr 'a b c'"]);
        for (n, record) in records.iter().enumerate() {
            assert!(records[..n].iter().all(|other| other != record), "{record}");
            assert!(words[..n].iter().all(|other| *other != words[n]), "{}", words[n]);
        }
    }
}
