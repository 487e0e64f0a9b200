//! Which signal means what. A table, not code.
use std::fmt;
/// What a signal, a handle or a budget can ask of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// x
    Stop,
    /// x
    Checkpoint,
}
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x")
    }
}
