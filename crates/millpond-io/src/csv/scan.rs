//! Masks of the structural bytes among 64: one bit for each byte, the lowest for the first.
//!
//! Written so that the compiler turns the comparisons into vector instructions of whatever processor it builds for.

use super::dialect::Dialect;

/// The bytes to look for: delimiters, newlines, quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner {
    delimiter: u8,
    /// The newline once more, where there are no quotes.
    quote: u8,
}

impl Scanner {
    pub(super) fn new(dialect: &Dialect) -> Self {
        Scanner { delimiter: dialect.delimiter, quote: dialect.quote.unwrap_or(b'\n') }
    }

    /// The mask of the 64 bytes from `at` on; bits past the end of the text are 0.
    #[inline]
    pub(super) fn at(&self, text: &[u8], at: usize) -> u64 {
        match text[at..].first_chunk::<64>() {
            Some(block) => self.block(block),
            None => self.tail(&text[at..]),
        }
    }

    #[cold]
    fn tail(&self, rest: &[u8]) -> u64 {
        let mut block = [0; 64];
        block[..rest.len()].copy_from_slice(rest);
        self.block(&block) & ((1 << rest.len()) - 1)
    }

    #[inline]
    fn block(&self, block: &[u8; 64]) -> u64 {
        let mut found = [0u8; 64];
        for (i, (found, byte)) in found.iter_mut().zip(block).enumerate() {
            let wanted = (*byte == self.delimiter) | (*byte == b'\n') | (*byte == self.quote);
            *found = u8::from(wanted).wrapping_neg() & (1 << (i % 8));
        }
        let mut mask = 0;
        for (i, eight) in found.as_chunks::<8>().0.iter().enumerate() {
            // The bits are in different places of their bytes, so their sum in the top byte has them all.
            let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0101_0101_0101_0101) >> 56;
            mask |= bits << (8 * i);
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn masks_equal_a_plain_loop(
            text in proptest::collection::vec(proptest::sample::select(b",,\n\n\"\"a\x00\x80\xff\x0b\x8a-".to_vec()), 0..200),
            at in 0usize..200,
        ) {
            let at = at.min(text.len());
            for (quote, wanted) in [(Some(b'"'), &b",\n\""[..]), (None, b",\n")] {
                let scanner = Scanner::new(&Dialect { delimiter: b',', quote, escape: None });
                let bits = text[at..].iter().take(64).enumerate();
                let expect = bits.fold(0, |bits, (i, b)| bits | (u64::from(wanted.contains(b)) << i));
                prop_assert_eq!(scanner.at(&text, at), expect);
            }
        }
    }
}
