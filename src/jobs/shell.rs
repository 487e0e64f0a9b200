//! Which shell reads a text that a command line calls a command.
//!
//! The obvious one is `sh`, which every system has and which says the same everywhere. People write for the
//! shell at their prompt, though: `[[ … ]]`, `<( … )`, a function that they have exported. So another one can
//! be named. Items are handed over as parameters whichever it is (`template/script.rs`), and that is written in
//! the language of `sh`; a shell that does not read that language is refused by name.

use bivouac::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell(OsString);

/// Shells with a language of their own.
const OTHER_LANGUAGES: [&str; 9] = ["fish", "csh", "tcsh", "nu", "pwsh", "xonsh", "elvish", "rc", "es"];

impl Shell {
    /// The shell with this name: a name, a path, or `auto` for the one at the prompt.
    pub(crate) fn named(name: &OsStr) -> Result<Self> {
        let program = match name.to_str() {
            Some("auto") => std::env::var_os("SHELL").filter(|shell| !shell.is_empty()),
            Some(_) | None => Some(name.to_os_string()),
        };
        let program = program.unwrap_or_else(|| "sh".into());
        let stem = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        if OTHER_LANGUAGES.contains(&stem.as_str()) {
            return Err(Error::usage("--shell", format_args!("{stem} does not read the language of sh"))
                .advise("use --shell, --shell=bash or --shell=zsh"));
        }
        Ok(Self(program))
    }

    /// Whether this is the one that is meant by `--shell` alone.
    pub(crate) fn is_sh(&self) -> bool {
        self.0 == "sh" || self.0 == "/bin/sh"
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.0
    }

    pub(crate) fn words(&self, mut text: Vec<u8>) -> Vec<Vec<u8>> {
        if matches!(text.first(), Some(b'-' | b'+')) {
            text.insert(0, b' '); // Otherwise the shell takes it for one of its own options.
        }
        let program = if self.is_sh() { b"/bin/sh".to_vec() } else { self.0.as_encoded_bytes().to_vec() };
        vec![program, b"-c".to_vec(), text]
    }
}
