//! Numbers as Python spells them, written into a buffer that the caller owns.

/// The most bytes that [`write_int`] takes or touches.
pub(super) const INT_BYTES: usize = 27;
/// The most bytes that [`write_float`] takes.
pub(super) const FLOAT_BYTES: usize = 26;

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// Ten to the eighth: a machine word holds the digits of numbers below it.
const EIGHT: u64 = 100_000_000;

/// Writes `value` in decimal at `out[at..]`; returns where it ends.
#[inline(always)]
pub(super) fn write_int(out: &mut [u8], mut at: usize, value: i64) -> usize {
    if value < 0 {
        out[at] = b'-';
        at += 1;
    }
    let n = value.unsigned_abs();
    if n < EIGHT {
        let digits = eight_digits(n);
        let zeros = (digits.trailing_zeros() / 8).min(7);
        let text = (digits | ASCII_ZEROS) >> (8 * zeros);
        put_array(out, at, text.to_le_bytes());
        return at + 8 - zeros as usize;
    }
    let (high, low) = (n / EIGHT, n % EIGHT);
    if high < EIGHT {
        let high = eight_digits(high);
        let zeros = high.trailing_zeros() / 8;
        let digits = u128::from(high | ASCII_ZEROS) | u128::from(eight_digits(low) | ASCII_ZEROS) << 64;
        put_array(out, at, (digits >> (8 * zeros)).to_le_bytes());
        return at + 16 - zeros as usize;
    }
    write_long(out, at, n)
}

/// Writes bytes whose number is known when this is compiled: a store, where a slice of any length would be a call.
#[inline(always)]
pub(super) fn put_array<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    *out[at..].first_chunk_mut().expect("the caller left room") = bytes;
}

/// More than 16 digits.
#[inline(never)]
fn write_long(out: &mut [u8], at: usize, n: u64) -> usize {
    let mut buffer = itoa::Buffer::new();
    put(out, at, buffer.format(n).as_bytes())
}

/// The 8 decimal digits of `n`, one in each byte, the first in the lowest: halves, then quarters, then eighths are
/// split off in lanes of one word.
#[inline(always)]
fn eight_digits(n: u64) -> u64 {
    debug_assert!(n < 100_000_000);
    let halves = (n / 10_000) | ((n % 10_000) << 32);
    // x / 100 = x * 10486 >> 20 for x < 10,000.
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | ((halves - 100 * hundreds) << 16);
    // x / 10 = x * 103 >> 10 for x < 100.
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((quarters - 10 * tens) << 8)
}

/// Writes `value` as Python's `repr` does (the shortest text that reads back as the same number; an exponent from
/// 1e16 on and below 1e-4) at `out[at..]`; returns where it ends.
pub(super) fn write_float(out: &mut [u8], at: usize, value: f64) -> usize {
    if !value.is_finite() {
        let text = match value {
            f64::INFINITY => "inf",
            f64::NEG_INFINITY => "-inf",
            _ => "nan",
        };
        return put(out, at, text.as_bytes());
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let mantissa_end = match memchr::memchr(b'e', text) {
        None => {
            // Ryu writes 1e16 and up, and below 1e-5, with an exponent; so does Python, and also from 1e-5 to 1e-4.
            if value == 0.0 || value.abs() >= 1e-4 {
                return put(out, at, text);
            }
            text.len()
        }
        Some(end) => end,
    };
    let Shortest { negative, digits, count, point } = Shortest::of(text, mantissa_end);
    write_shortest(out, at, negative, &digits[..count], point)
}

/// The shortest digits of a number: `0.d1d2d3... * 10^point`.
struct Shortest {
    negative: bool,
    digits: [u8; 24],
    count: usize,
    point: i32,
}

impl Shortest {
    /// Takes apart what `ryu` wrote; its exponent, if any, stands after `mantissa_end`.
    fn of(text: &[u8], mantissa_end: usize) -> Self {
        let negative = text[0] == b'-';
        let mut all = [0u8; 24];
        let (mut count, mut point, mut seen_point) = (0, 0, false);
        for byte in &text[usize::from(negative)..mantissa_end] {
            match byte {
                b'.' => seen_point = true,
                b'0' if count == 0 => point -= i32::from(seen_point),
                digit => {
                    all[count] = *digit;
                    count += 1;
                    point += i32::from(!seen_point);
                }
            }
        }
        while count > 1 && all[count - 1] == b'0' {
            count -= 1;
        }
        let exponent = text.get(mantissa_end + 1..).and_then(|text| std::str::from_utf8(text).ok());
        point += exponent.and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
        Shortest { negative, digits: all, count, point }
    }
}

fn write_shortest(out: &mut [u8], mut at: usize, negative: bool, digits: &[u8], point: i32) -> usize {
    if negative {
        at = put(out, at, b"-");
    }
    if (-3..=16).contains(&point) {
        return write_positional(out, at, digits, point);
    }
    at = put(out, at, &digits[..1]);
    if digits.len() > 1 {
        at = put(out, at, b".");
        at = put(out, at, &digits[1..]);
    }
    let exponent = point - 1;
    at = put(out, at, if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        at = put(out, at, b"0");
    }
    let mut buffer = itoa::Buffer::new();
    put(out, at, buffer.format(exponent.abs()).as_bytes())
}

fn write_positional(out: &mut [u8], mut at: usize, digits: &[u8], point: i32) -> usize {
    const ZEROS: [u8; 16] = [b'0'; 16];
    if point <= 0 {
        at = put(out, at, b"0.");
        at = put(out, at, &ZEROS[..point.unsigned_abs() as usize]);
        return put(out, at, digits);
    }
    let point = point as usize;
    if point < digits.len() {
        at = put(out, at, &digits[..point]);
        at = put(out, at, b".");
        return put(out, at, &digits[point..]);
    }
    at = put(out, at, digits);
    at = put(out, at, &ZEROS[..point - digits.len()]);
    put(out, at, b".0")
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    out[at..at + bytes.len()].copy_from_slice(bytes);
    at + bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn int(value: i64) -> String {
        let mut out = [0; INT_BYTES];
        let end = write_int(&mut out, 0, value);
        String::from_utf8_lossy(&out[..end]).into_owned()
    }

    fn float(value: f64) -> String {
        let mut out = [0; FLOAT_BYTES];
        let end = write_float(&mut out, 0, value);
        String::from_utf8_lossy(&out[..end]).into_owned()
    }

    #[test]
    fn ints_at_every_length() {
        let mut value = 1i64;
        for _ in 0..19 {
            for near in [value - 1, value, value + 1] {
                assert_eq!(int(near), near.to_string());
                assert_eq!(int(-near), (-near).to_string());
            }
            value = value.wrapping_mul(10);
        }
        assert_eq!(int(i64::MIN), i64::MIN.to_string());
        assert_eq!(int(i64::MAX), i64::MAX.to_string());
    }

    /// Each expectation is what Python's `repr` prints.
    #[test]
    fn floats_are_spelled_as_python_spells_them() {
        for (value, expect) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (100.0, "100.0"),
            (123456789.125, "123456789.125"),
            (-158819219704319.12, "-158819219704319.12"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (0.000012345, "1.2345e-05"),
            (0.00009999, "9.999e-05"),
            (1e15, "1000000000000000.0"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.2345e16, "1.2345e+16"),
            (-1e22, "-1e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (-2.2250738585072014e-308, "-2.2250738585072014e-308"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (1e-7, "1e-07"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(float(value), expect);
        }
    }

    /// The simple twin: Python's rule on the digits that the standard library finds.
    fn python_repr(value: f64) -> String {
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
        let exponent: i32 = exponent.parse().expect("the exponent is a number");
        if (-4..16).contains(&exponent) || value == 0.0 {
            format!("{value:?}")
        } else {
            format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_int_reads_back(value: i64, shift in 0..63u32) {
            let value = value >> shift;
            prop_assert_eq!(int(value), value.to_string());
        }

        #[test]
        fn any_float_is_short_and_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            // Where two shortest texts are equally near, the standard library and Python differ in the last digit.
            let text = float(value);
            let twin = python_repr(value);
            prop_assert_eq!(text.len(), twin.len());
            prop_assert_eq!(text.find(['.', 'e']), twin.find(['.', 'e']));
            prop_assert_eq!(text.parse::<f64>().ok(), Some(value));
        }

        #[test]
        fn any_short_decimal_is_spelled_as_python_spells_it(digits in -99_999_999i64..99_999_999, scale in -20..20i32) {
            let value: f64 = format!("{digits}e{scale}").parse().expect("a number");
            prop_assert_eq!(float(value), python_repr(value));
        }
    }
}
