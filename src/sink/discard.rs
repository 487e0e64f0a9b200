//! The simplest sink.

use crate::error::Result;
use crate::task::Sink;

/// The methods of a sink that keeps nothing.
macro_rules! without_a_place {
    () => {
        fn begin(&mut self, _committed: Option<&crate::task::Committed>) -> Result<()> {
            Ok(())
        }

        fn make_durable(&mut self) -> Result<crate::task::Committed> {
            Ok(crate::task::Committed::default())
        }

        fn is_immediate(&self) -> bool {
            true
        }

        fn publish(&mut self) -> Result<()> {
            Ok(())
        }

        fn is_published(&mut self, _committed: &crate::task::Committed) -> Result<bool> {
            Ok(true)
        }
    };
}
pub(crate) use without_a_place;

/// Throws the output away: for jobs whose result is their total, or whose effect is elsewhere.
///
/// ```
/// use bivouac::{Exit, Location, sink::Discard};
///
/// let look = bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).state(Location::Nowhere);
/// assert_eq!(look.into_run()?.sink(Discard).run().exit(), Exit::Code(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    without_a_place!();

    fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}
