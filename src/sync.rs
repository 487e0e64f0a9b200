//! The lock of this crate: a mutex that does not care about poison.
//!
//! A standard mutex is poisoned when a thread panics while it holds the lock, because the data may be half
//! changed then. Here a task that panics is caught outside of all locks, so a poisoned mutex has lost nothing,
//! and a panic of its next user would turn one failed task into a failed run.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex, poisoned or not.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
