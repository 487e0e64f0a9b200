//! Shared by the tests of the jobs: random data that is the same in every run, and the GNU tools to compare with.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// A linear congruential generator: reproducible, and good enough to hit edges.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The output of the installed tool, in the C locale.
pub(crate) fn gnu<A: AsRef<OsStr>, F: AsRef<OsStr>>(
    tool: &str,
    options: impl IntoIterator<Item = A>,
    files: &[F],
) -> Output {
    Command::new(tool).args(options).arg("--").args(files).env("LC_ALL", "C").output().unwrap()
}
