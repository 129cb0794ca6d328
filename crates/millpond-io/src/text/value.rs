//! Values from the bytes of a field.

/// A 64-bit integer: decimal digits with an optional sign. `text` is the whole piece, so that short fields can be read
/// with two loads that end where the field ends.
#[inline(always)]
pub(crate) fn int(text: &[u8], start: usize, end: usize) -> Option<i64> {
    let length = end - start;
    if length == 0 || length > 16 || end < 16 || !text[start].is_ascii_digit() {
        return int_slow(&text[start..end]);
    }
    let bytes = text[end - 16..end].first_chunk::<16>()?;
    let (high, low) = bytes.split_at(8);
    let low = eight_digits(word(low), length.min(8))?;
    let high = if length > 8 { eight_digits(word(high), length - 8)? } else { 0 };
    Some((high * 100_000_000 + low) as i64)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The number that the last `count` (1 to 8) bytes of a word spell; the others are passed over.
#[inline]
fn eight_digits(word: u64, count: usize) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let live = !0u64 << (64 - 8 * count);
    let word = (word & live) | (ZEROS & !live);
    let carried = word.wrapping_add(0x0606_0606_0606_0606);
    if (word & HIGH) | ((carried & HIGH) >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let digits = word - ZEROS;
    let pairs = digits * 10 + (digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(low.wrapping_add(high) >> 32)
}

/// The same, byte by byte; any length, signs, and the limits of 64 bits.
#[cold]
pub(crate) fn int_slow(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Counted downwards, where the range is one wider.
    let mut value: i64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// A 64-bit float: decimal or exponent form, `inf`, `infinity` and `nan` in any case.
pub(crate) fn float(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// One of the pairs of words below, in any case.
pub(crate) fn bool(field: &[u8]) -> Option<bool> {
    const WORDS: [(&[u8], &[u8]); 6] =
        [(b"true", b"false"), (b"1", b"0"), (b"t", b"f"), (b"yes", b"no"), (b"y", b"n"), (b"on", b"off")];
    WORDS.iter().find_map(|(yes, no)| {
        let is = |word: &[u8]| field.eq_ignore_ascii_case(word);
        is(yes).then_some(true).or_else(|| is(no).then_some(false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(field: &str, expect: Option<i64>) {
        for before in ["", "a,", "98765432109876543,"] {
            let text = format!("{before}{field}\n");
            let end = text.len() - 1;
            assert_eq!(int(text.as_bytes(), before.len(), end), expect, "{text:?}");
        }
    }

    #[test]
    fn ints_at_the_limits() {
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        check("9223372036854775808", None);
        check("-9223372036854775809", None);
        check("00000000000000000000000000000001", Some(1));
    }

    #[test]
    fn what_is_not_an_int() {
        for field in ["", "-", "+", "1.0", " 1", "1 ", "1_000", "12:30", "0x10", "١", "--1", "1e3"] {
            check(field, None);
        }
    }

    #[test]
    fn bools_in_all_their_words() {
        for (yes, no) in [("true", "false"), ("1", "0"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off")] {
            for (word, value) in [(yes, true), (no, false)] {
                assert_eq!(bool(word.as_bytes()), Some(value));
                assert_eq!(bool(word.to_uppercase().as_bytes()), Some(value));
            }
        }
        for word in ["", "10", "tr", "yess", "oN1", "nope", "2", " t"] {
            assert_eq!(bool(word.as_bytes()), None, "{word:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn int_equals_the_standard_parser(field in "[+-]?[0-9]{0,20}[0-9:/x]?") {
            check(&field, field.parse().ok());
        }

        #[test]
        fn any_int_reads_back(value: i64) {
            check(&value.to_string(), Some(value));
        }
    }
}
