//! The inside of a JSON string, and what it stands for.

/// Appends what the inside of a string, whose escapes are well-formed, stands for. `false`, and nothing is appended, if
/// an escape is half of a pair that makes a character.
pub fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    while let Some(plain) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..plain]);
        text = match one(&text[plain + 1..], out) {
            Some(rest) => rest,
            None => {
                out.truncate(before);
                return false;
            }
        };
    }
    out.extend_from_slice(text);
    true
}

/// Appends the character of an escape; returns what follows.
fn one<'a>(escape: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (kind, rest) = escape.split_first()?;
    out.push(match kind {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(rest, out),
        quoted => *quoted,
    });
    Some(rest)
}

fn unicode<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (first, rest) = hex(digits)?;
    let (code, rest) = match (first, rest) {
        (0xd800..0xdc00, [b'\\', b'u', behind @ ..]) => {
            let (second, rest) = hex(behind)?;
            if !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), rest)
        }
        (code, rest) => (code, rest),
    };
    // A half of a pair that stands alone is no character.
    let mut bytes = [0; 4];
    out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut bytes).as_bytes());
    Some(rest)
}

fn hex(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// The number of bytes before the first that is a quote, a backslash or a control character: eight at a time.
#[inline]
pub fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest bit that is set is right; a borrow may set wrong ones above it.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64)) | below_space) & HIGH;
        if found != 0 {
            return 8 * i + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    text.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str) {
        let mut out = b"before".to_vec();
        let good = unescape(text.as_bytes(), &mut out);
        match serde_json::from_str::<String>(&format!("\"{text}\"")) {
            Ok(expect) => assert_eq!((good, out), (true, format!("before{expect}").into_bytes()), "{text}"),
            Err(_) => assert_eq!((good, out), (false, b"before".to_vec()), "{text}"),
        }
    }

    #[test]
    fn every_escape() {
        check(r#"a\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00\u0000 é"#);
    }

    #[test]
    fn halves_of_pairs_are_refused() {
        for text in [r"\ud800", r"\udc00", r"a\ud83d\n", r"\ud83dx", r"\ud83d\ud83d", r"\ude00\ud83d", r"\ud83d\u0041"]
        {
            check(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn strings_read_as_serde_json_reads_them(
            text in r#"(a|é|\\[bfnrt"/\\]|\\u[0-9a-fA-F]{4}|\\u[dD][89a-fA-F][0-9a-f]{2}|\\ud83d\\ude0[0-9]){0,12}"#,
        ) {
            check(&text);
        }

        #[test]
        fn plain_bytes_end_where_a_simple_loop_ends(
            text in proptest::collection::vec(
                proptest::sample::select(b"aaaaaaaaaaaaaaaaaaaaaaa \"\\\x00\x1f\x20\x21\x7f\x80\xa2\xdc\xff".to_vec()), 0..40,
            ),
        ) {
            let simple = text.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(plain_bytes(&text), simple.unwrap_or(text.len()));
        }
    }
}
