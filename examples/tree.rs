//! Fingerprints of all files below a directory, in the order of their names.
//!
//! ```console
//! $ cargo run --example tree -- src
//! ```
//!
//! A file that changes while it is read, or between two runs, ends the loop: its fingerprint would be of nothing.

use bivouac::prelude::*;
use std::hash::{DefaultHasher, Hasher};

fn main() -> Exit {
    files(std::env::args().nth(1).unwrap_or_else(|| ".".to_string()))
        .map(|file, cx| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&file.read(cx)?);
            cx.sleep(Duration::from_millis(5))?; // so that there is time to interrupt it
            Ok(format!("{:016x} {}\n", hasher.finish(), file.path().display()))
        })
        .write_to("fingerprints.txt")
        .main()
}
