//! The finished mark: the bytes that say that the logical run of the newest manifest came to its end.
//!
//! One line of fixed length, twice in the file, so that a damaged byte leaves one of the two whole; a write that was
//! torn may leave none, which counts as not finished.

use xxhash_rust::xxh3::xxh3_64;

/// Name of the file.
pub(crate) const FILE: &str = "finished";
/// Length of the file.
pub(crate) const BYTES: usize = 2 * LINE_BYTES;
const LINE_BYTES: usize = 71;
const FIRST_WORDS: &str = "millpond finished 2 ";

/// A manifest whose logical run finished; generation 0 (and checksum 0) before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) generation: u64,
    pub(crate) manifest_checksum: u64,
}

impl Mark {
    /// `millpond finished 2 <generation> <checksum of the manifest> <checksum of the line so far>`, twice.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut line = format!("{FIRST_WORDS}{:016} {:016x} ", self.generation, self.manifest_checksum);
        let checksum = xxh3_64(line.as_bytes());
        line.push_str(&format!("{checksum:016x}\n"));
        line.repeat(2).into_bytes()
    }

    /// The mark in a file's bytes; `None` if both lines are torn.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Mark> {
        bytes.chunks(LINE_BYTES).find_map(decode_line)
    }
}

fn decode_line(line: &[u8]) -> Option<Mark> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.strip_prefix(FIRST_WORDS)?.split(' ');
    let generation = words.next()?.parse().ok()?;
    let manifest_checksum = u64::from_str_radix(words.next()?, 16).ok()?;
    let mark = Mark { generation, manifest_checksum };
    (mark.encode().chunks(LINE_BYTES).next() == Some(line)).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { generation: 41, manifest_checksum: 0xfeed_0000_0000_0007 };

    #[test]
    fn a_mark_reads_back_and_has_its_length() {
        let bytes = MARK.encode();
        assert_eq!(bytes.len(), BYTES);
        assert_eq!(Mark::decode(&bytes), Some(MARK));
    }

    #[test]
    fn one_flipped_bit_anywhere_changes_nothing() {
        for at in 0..BYTES * 8 {
            let mut bytes = MARK.encode();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(Mark::decode(&bytes), Some(MARK), "bit {at}");
        }
    }

    #[test]
    fn a_mark_torn_at_any_byte_is_the_old_one_the_new_one_or_none() {
        let (old, new) = (Mark { generation: 9, manifest_checksum: 1 }, Mark { generation: 10, manifest_checksum: 2 });
        for cut in 0..=BYTES {
            let torn = [&new.encode()[..cut], &old.encode()[cut..]].concat();
            assert!([None, Some(old), Some(new)].contains(&Mark::decode(&torn)), "cut at {cut}");
            let mut zeroed = new.encode();
            zeroed[cut..].fill(0);
            assert!([None, Some(new)].contains(&Mark::decode(&zeroed)), "zeros from {cut}");
        }
    }
}
