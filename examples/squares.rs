//! A resumable loop in ten lines: a file of squares.
//!
//! ```console
//! $ cargo run --example squares
//! ```
//!
//! Stop it by Ctrl-C, `kill -TERM` or `kill -KILL`, and start it again: `squares.txt` becomes the same, byte for byte.

use bivouac::prelude::*;

fn main() -> Exit {
    resumable(0..2_000_u64)
        .map(|n, cx| {
            cx.sleep(Duration::from_millis(2))?; // the work
            Ok(format!("{}\n", n * n))
        })
        .write_to("squares.txt")
        .progress(bivouac::progress::bar())
        .main()
}
