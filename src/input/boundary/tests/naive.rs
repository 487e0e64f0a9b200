//! The definition once more, as slow as it reads: what everything is compared with.

/// A definition and the boundary that is made from it.
pub(in crate::input) enum Rule {
    Between(&'static [u8], &'static [u8]),
    Fixed(u64),
}

/// Enough to overlap with themselves and their neighbours in a text of `a`, `b` and newlines.
pub(in crate::input) const RULES: [Rule; 12] = [
    Rule::Between(b"\n", b""),
    Rule::Between(b"", b"\n"),
    Rule::Between(b"aa", b""),
    Rule::Between(b"\n\n", b""),
    Rule::Between(b"", b"aa"),
    Rule::Between(b"a", b"a"),
    Rule::Between(b"\n", b"ab"),
    Rule::Between(b"ab\nab\n", b""),
    Rule::Between(b"ba", b"ab"),
    Rule::Between(b"aaaaaaaa", b"aaaaaaa"),
    Rule::Fixed(1),
    Rule::Fixed(7),
];

impl Rule {
    pub(in crate::input) fn boundary(&self) -> crate::input::Boundary {
        match *self {
            Rule::Between(end, start) => crate::input::Boundary::between(end, start).unwrap(),
            Rule::Fixed(n) => crate::input::Boundary::fixed(n).unwrap(),
        }
    }

    pub(in crate::input) fn is_match(&self, data: &[u8], p: usize) -> bool {
        match *self {
            Rule::Between(end, start) => data[..p].ends_with(end) && data[p..].starts_with(start),
            Rule::Fixed(n) => (p as u64).is_multiple_of(n),
        }
    }

    /// From the left, each as far from the one before as it must be.
    fn boundaries(&self, data: &[u8]) -> Vec<usize> {
        let apart = match *self {
            Rule::Between(end, start) => end.len().max(start.len()),
            Rule::Fixed(_) => 1,
        };
        let mut all: Vec<usize> = Vec::new();
        for p in (0..data.len()).filter(|&p| self.is_match(data, p)) {
            if all.last().is_none_or(|last| p - last >= apart) {
                all.push(p);
            }
        }
        all
    }

    pub(in crate::input) fn align(&self, data: &[u8], p: usize) -> usize {
        if p == 0 {
            return 0;
        }
        self.boundaries(data).into_iter().find(|&boundary| boundary >= p).unwrap_or(data.len())
    }

    /// All chunks of `data`, empty ones included.
    pub(in crate::input) fn chunks<'a>(&self, data: &'a [u8], block: usize) -> Vec<&'a [u8]> {
        let count = data.len().div_ceil(block).max(1);
        let edge = |k: usize| self.align(data, (k * block).min(data.len()));
        (0..count).map(|k| &data[edge(k)..edge(k + 1)]).collect()
    }
}

/// Numbers that are the same in every run of the tests.
pub(in crate::input) struct Random(pub(in crate::input) u64);

impl Random {
    pub(in crate::input) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    /// A text in which everything overlaps; some are of one letter for long stretches.
    pub(in crate::input) fn text(&mut self, longest: usize) -> Vec<u8> {
        let (length, sameness) = (self.below(longest), 1 + self.below(6));
        let mut letter = b'a';
        let mut next = || {
            if self.below(sameness) == 0 {
                letter = b"ab\n"[self.below(3)];
            }
            letter
        };
        (0..length).map(|_| next()).collect()
    }
}
