//! Which files `grep` searches, by their names.
//!
//! With GNU grep the last option that matches a name counts, and a name that none matches is searched unless the first
//! option is `--include`. So `--exclude='x*' --include='*.c'` searches all but `x*` there, and not `*.c` alone. Here the
//! order does not matter: a name must match an `--include`, if there is one, and no `--exclude`.

use bivouac::Error;
use clap::Args;
use globset::{Glob, GlobSet};
use std::ffi::OsString;
use std::path::Path;

#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct NameArgs {
    /// Search only files whose names match GLOB, as in '*.c'; repeatable
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true, value_parser = glob, help_heading = "What to find")]
    include: Vec<Glob>,

    /// Search no files whose names match GLOB; repeatable
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true, value_parser = glob, help_heading = "What to find")]
    exclude: Vec<Glob>,

    /// With -r: search nothing below directories whose names match GLOB, as in .git; repeatable
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true, value_parser = directory, help_heading = "What to find")]
    exclude_dir: Vec<Glob>,
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|error| format!("{}; as in '*.c'", error.kind()))
}

fn directory(text: &str) -> Result<Glob, String> {
    glob(text.trim_end_matches('/'))
}

/// The names that are searched.
pub(super) struct Names {
    include: GlobSet,
    exclude: GlobSet,
    exclude_dir: GlobSet,
}

impl NameArgs {
    pub(super) fn names(&self) -> bivouac::Result<Names> {
        let set = |option: &str, globs: &[Glob]| {
            GlobSet::new(globs).map_err(|error| Error::usage(option, error.kind()).advise("name fewer"))
        };
        Ok(Names {
            include: set("--include", &self.include)?,
            exclude: set("--exclude", &self.exclude)?,
            exclude_dir: set("--exclude-dir", &self.exclude_dir)?,
        })
    }

    /// As they were typed, for a comparison.
    pub(super) fn words(&self) -> impl Iterator<Item = OsString> {
        let named = [
            ("--include", &self.include),
            ("--exclude", &self.exclude),
            ("--exclude-dir", &self.exclude_dir),
        ];
        let words = named.map(|(name, globs)| globs.iter().map(move |glob| format!("{name}={glob}").into()));
        words.into_iter().flatten()
    }
}

impl Names {
    /// Whether some names are searched, and others are not.
    pub(super) fn are_chosen(&self) -> bool {
        !(self.include.is_empty() && self.exclude.is_empty())
    }

    pub(super) fn has(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default();
        (self.include.is_empty() || self.include.is_match(name)) && !self.exclude.is_match(name)
    }

    pub(super) fn goes_into(&self, directory: &Path) -> bool {
        !directory.file_name().is_some_and(|name| self.exclude_dir.is_match(name))
    }
}
