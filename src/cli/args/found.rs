//! Findings of a verb before its job begins: names below directories, lists of files, patterns in files.
//!
//! The shards of a job must not look for them one by one. So the findings are in their plan, beside the command line.

use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::ops::Not;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A word of a command line, readable where it is text.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Word {
    Text(String),
    Bytes(Vec<u8>),
}

impl Word {
    pub(crate) fn of(word: impl AsRef<OsStr>) -> Self {
        let word = word.as_ref().to_os_string();
        word.into_string().map_or_else(|word| Self::Bytes(word.into_vec()), Self::Text)
    }

    pub(crate) fn plain(self) -> OsString {
        match self {
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => OsString::from_vec(bytes),
        }
    }
}

/// Words that are kept.
pub(crate) fn words(of: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<Word> {
    of.into_iter().map(Word::of).collect()
}

/// Paths that were kept.
pub(super) fn paths(of: Vec<Word>) -> Vec<PathBuf> {
    of.into_iter().map(|word| word.plain().into()).collect()
}

/// What was found, and for which words.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Found {
    pub(super) typed: Vec<Word>,
    pub(super) files: Vec<Word>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) patterns: Vec<Word>,
    /// Directories that cannot be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unlisted: Vec<Word>,
    #[serde(default)]
    pub(super) with_filename: bool,
    /// The list of files came through a pipe.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub(crate) is_piped: bool,
}
