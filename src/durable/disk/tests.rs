//! What the tests of all rooms have in place of a real disk.

pub(crate) mod sim;
