//! Test data: the same bytes on every machine and in every run, and unkind ones.
//!
//! Text that is all alike hides mistakes at the edges of chunks. So the lines here have very
//! different lengths (one is longer than any reader's buffer), some are empty, the words that the
//! tests look for stand at irregular distances, and the last line has no newline.

use std::sync::OnceLock;

/// How large the text is that the interruption tests work on: at [`crate::jobs::SLOW`] a run
/// takes some seconds, of which a test sees the first part only.
const LARGE: usize = 8 << 20;

/// A small generator (xorshift64*), so that no crate can change the data under the tests.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).unwrap() % bound
    }
}

const WORDS: [&str; 16] = [
    "static",
    "int",
    "mutex_lock",
    "spin_lock",
    "foo_12_bar",
    "return",
    "dev_7_open",
    "0x3f",
    "the",
    "a",
    "struct",
    "kernel",
    "page_lock",
    "of",
    "EXPORT",
    "unlock",
];

/// Text of at least `bytes` bytes, without a newline at its end.
pub(crate) fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut text = Vec::with_capacity(bytes + 1024);
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        let words = match random.below(1000) {
            0 => 4000,
            1..100 => 0,
            n => n % 17,
        };
        for _ in 0..words {
            text.extend_from_slice(WORDS[random.below(WORDS.len())].as_bytes());
            text.push(if random.below(50) == 0 { b'\t' } else { b' ' });
        }
        text.extend_from_slice(format!("line {number}\n").as_bytes());
    }
    text.extend_from_slice(b"the last mutex_lock line 12_34 has no newline");
    text
}

/// The text for interruptions. It has one line that is larger than a mebibyte.
pub(crate) fn large_text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut whole = text(1, LARGE / 2);
        whole.extend(b" spin_lock and very long".repeat(50_000));
        whole.push(b'\n');
        whole.extend(text(2, LARGE / 2));
        whole
    })
}

/// Relative paths and contents of a few hundred files, empty ones among them.
pub(crate) fn tree() -> Vec<(String, Vec<u8>)> {
    let mut random = Random::new(3);
    (0..300)
        .map(|n| {
            let size = match n % 10 {
                0 => 0,
                1 => 60_000,
                _ => random.below(20_000),
            };
            let mut bytes = text(n, size);
            bytes.truncate(size);
            (format!("d{}/e{}/file{n}.txt", n % 7, n % 3), bytes)
        })
        .collect()
}
