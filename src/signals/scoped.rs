//! Threads that end before their scope does, and may borrow from it. They inherit the mask like all others.

use super::Masked;
use std::io;
use std::thread::{Builder, Scope, ScopedJoinHandle};

impl Masked {
    /// Starts a thread of a scope, which is born with the handled signals blocked.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Masked::spawn).
    pub(crate) fn spawn_scoped<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        name: &str,
        body: impl FnOnce() + Send + 'scope,
    ) -> io::Result<ScopedJoinHandle<'scope, ()>> {
        Builder::new().name(name.to_string()).spawn_scoped(scope, body)
    }
}
