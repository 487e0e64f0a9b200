//! A context for tests of listings.

use super::ListContext;
use crate::task::stop_fd::StopFd;

impl ListContext<'static> {
    /// That of a run that is never over.
    pub(crate) fn endless() -> Self {
        static NEVER: std::sync::OnceLock<StopFd> = std::sync::OnceLock::new();
        Self::real(NEVER.get_or_init(|| StopFd::new().unwrap()))
    }
}
