//! Paths as text: stored without loss, and named for a person.
//!
//! A path on Unix is any bytes but NUL. The obvious way into JSON replaces the bytes that are not text by
//! "�", and no file of that name can be opened. So a path is stored as text, or else as its bytes in base64.
//! For `#[serde(with = "path_text")]`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes { base64: String },
}

/// Writes a path.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => Text::Plain(text.to_string()),
        None => Text::Bytes { base64: STANDARD.encode(path.as_os_str().as_bytes()) },
    }
    .serialize(to)
}

/// Reads a path.
///
/// # Errors
///
/// It is neither a text nor base64.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Ok(match Text::deserialize(from)? {
        Text::Plain(text) => PathBuf::from(text),
        Text::Bytes { base64 } => {
            PathBuf::from(OsString::from_vec(STANDARD.decode(base64).map_err(D::Error::custom)?))
        }
    })
}

/// The name of an input for a person.
pub(super) fn named(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_string() } else { path.display().to_string() }
}
