//! The simplest sink.

use crate::error::Result;
use crate::task::{Committed, Sink};

/// Throws the output away: for jobs whose result is their total, or whose effect is elsewhere.
#[derive(Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn begin(&mut self, _committed: Option<&Committed>) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }

    fn make_durable(&mut self) -> Result<Committed> {
        Ok(Committed::default())
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn publish(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_published(&mut self, _committed: &Committed) -> Result<bool> {
        Ok(true)
    }
}
