//! A loop whose items use rayon: prime numbers, a block of numbers an item.
//!
//! ```console
//! $ cargo run --example rayon_inside
//! ```
//!
//! The workers are a rayon pool, and `par_iter` inside of an item runs in that pool. So a single large item uses
//! every core, and no worker waits for another one.

use bivouac::prelude::*;
use rayon::prelude::*;

const BLOCK: u64 = 2_000;

fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn main() -> Exit {
    resumable(0..300_u64)
        .map(|block, cx| {
            let numbers = (block * BLOCK..(block + 1) * BLOCK).into_par_iter();
            let prime = |n: u64| cx.yield_point().map(|()| is_prime(n).then(|| format!("{n}\n")));
            let primes: Result<Vec<_>, TaskError> = numbers.map(prime).collect();
            Ok(primes?.into_iter().flatten().collect::<String>())
        })
        .write_to("primes.txt")
        .main()
}
