//! Counts the words of text files: chunks of whole lines in parallel, and one total.
//!
//! ```console
//! $ cargo run --example words -- README.md docs/*.md
//! ```
//!
//! The total is part of every checkpoint. Stop it at any time and start it again: it goes on where it was, and
//! prints the same.

use bivouac::prelude::*;
use std::collections::BTreeMap;
use std::env::args;
use std::error::Error;
use std::io::{Write, stdout};

type Counts = BTreeMap<String, u64>;

fn count(chunk: Chunk, cx: &Context<'_>) -> Result<Counts, TaskError> {
    let mut counts = Counts::new();
    for word in chunk.text(cx)?.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    cx.sleep(Duration::from_millis(5))?; // so that there is time to interrupt it
    Ok(counts)
}

fn main() -> Exit {
    bivouac::main(|signals| -> Result<(), Box<dyn Error + Send + Sync>> {
        let counts = lines(args().skip(1).collect::<Vec<_>>())
            .block(1 << 10)
            .map(count)
            .fold(Counts::new, |all, one| {
                one.into_iter().for_each(|(word, n)| *all.entry(word).or_default() += n)
            })
            .state("words.state")
            .run(signals)?
            .finished()?;
        for (word, n) in counts {
            writeln!(stdout(), "{n} {word}")?;
        }
        Ok(())
    })
}
