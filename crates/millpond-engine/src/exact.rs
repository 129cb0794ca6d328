//! The exact sum of any floats, and what it rounds to: a superaccumulator.
//!
//! Every finite float is a whole number of units of 2⁻¹⁰⁷⁴, so a fixed-point number that is wide enough holds any sum
//! of them without an error, whatever the order. The idea is Kulisch's long accumulator; the form, digits of 32 bits in
//! words of 64 so that carries can wait, is the small superaccumulator of R. M. Neal, *Fast exact summation using small
//! and large superaccumulators*, 2015 (xsum).

/// Digits of 32 bits: 2,098 bits of a float's range, 126 for multiplicities and numbers of rows, and some to spare.
pub(crate) const DIGITS: usize = 70;
/// A float is a whole number of units of 2 to the power of minus this.
const UNIT: u32 = 1074;
/// An addition adds less than 2³³ to a digit, so after this many the words of 64 bits are still far from full.
const MOST_PENDING: u32 = 1 << 28;

/// A sum of finite floats, each times a whole number. Its digits count units of 2⁻¹⁰⁷⁴, the lowest first.
#[derive(Clone, Debug)]
pub(crate) struct ExactSum {
    digits: [i64; DIGITS],
    /// Additions since the last carries were taken.
    pending: u32,
}

/// A sum without its sign, every digit below 2³².
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Magnitude {
    pub digits: [u32; DIGITS],
    pub negative: bool,
}

/// What is left below the unit of a magnitude.
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    /// Whether it is half a unit at least.
    half: bool,
    /// Whether it is neither nothing nor just half a unit.
    more: bool,
}

impl Default for ExactSum {
    fn default() -> Self {
        ExactSum { digits: [0; DIGITS], pending: 0 }
    }
}

impl ExactSum {
    /// Adds a finite float `times` times.
    pub(crate) fn add(&mut self, value: f64, times: i64) {
        debug_assert!(value.is_finite());
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52) as u32 & 0x7ff, bits & ((1 << 52) - 1));
        let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
        let product = i128::from(mantissa) * i128::from(times);
        self.add_units(if value.is_sign_negative() { -product } else { product }, exponent.max(1) - 1);
    }

    /// Adds a whole number.
    pub(crate) fn add_int(&mut self, value: i128) {
        self.add_units(value, UNIT);
    }

    /// Adds `number` times two to the power of `shift` units.
    fn add_units(&mut self, number: i128, shift: u32) {
        let (mut at, shift) = ((shift / 32) as usize, shift % 32);
        let sign = if number < 0 { -1 } else { 1 };
        let mut rest = number.unsigned_abs();
        while rest != 0 {
            let shifted = u64::from(rest as u32) << shift;
            self.digits[at] += sign * i64::from(shifted as u32);
            self.digits[at + 1] += sign * (shifted >> 32) as i64;
            rest >>= 32;
            at += 1;
        }
        self.pending += 1;
        if self.pending == MOST_PENDING {
            self.carry();
        }
    }

    /// Adds a digit of a [`Magnitude`].
    pub(crate) fn add_digit(&mut self, at: usize, digit: u32, negative: bool) {
        self.digits[at] += if negative { -i64::from(digit) } else { i64::from(digit) };
        self.pending += 1;
        if self.pending == MOST_PENDING {
            self.carry();
        }
    }

    /// Brings all digits but the last into 0 to 2³² - 1.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits[..DIGITS - 1] {
            let sum = *digit + carry;
            carry = sum >> 32;
            *digit = sum & 0xffff_ffff;
        }
        self.digits[DIGITS - 1] += carry;
        self.pending = 0;
    }

    /// The sum as sign and digits. Equal sums have equal ones.
    pub(crate) fn magnitude(&mut self) -> Magnitude {
        self.carry();
        let negative = self.digits[DIGITS - 1] < 0;
        let mut carry = 0;
        let digits = self.digits.map(|digit| {
            let sum = if negative { carry - digit } else { carry + digit };
            carry = sum >> 32;
            sum as u32
        });
        debug_assert_eq!(carry, 0, "the digits hold every sum of 64-bit multiplicities");
        Magnitude { digits, negative }
    }
}

impl Magnitude {
    /// Whether the sum is 0.
    pub(crate) fn is_zero(&self) -> bool {
        self.digits == [0; DIGITS]
    }

    /// The float that is nearest, of two equally near the even one; infinite beyond the range of floats.
    pub(crate) fn nearest(&self) -> f64 {
        nearest(&self.digits, self.negative, Below::default())
    }

    /// The float that is nearest to a `count`-th of it; `count` is positive.
    pub(crate) fn nearest_mean(&self, count: i64) -> f64 {
        let count = count.unsigned_abs();
        let mut quotient = [0; DIGITS];
        let mut remainder = 0;
        let mut significant = 0;
        for at in (0..DIGITS).rev() {
            let dividend = u128::from(remainder) << 32 | u128::from(self.digits[at]);
            quotient[at] = (dividend / u128::from(count)) as u32;
            remainder = (dividend % u128::from(count)) as u64;
            significant += usize::from(significant > 0 || quotient[at] != 0);
            // More than 64 bits are known, so the float ends among them: below, it only matters whether there is anything.
            if significant == 3 {
                let more = remainder != 0 || self.digits[..at].iter().any(|digit| *digit != 0);
                return nearest(&quotient, self.negative, Below { half: false, more });
            }
        }
        let half = count - remainder <= remainder;
        let below = Below { half, more: remainder != 0 && count - remainder != remainder };
        nearest(&quotient, self.negative, below)
    }
}

/// The float nearest to these digits and what is `below` them.
fn nearest(digits: &[u32; DIGITS], negative: bool, below: Below) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit != 0) else {
        // Less than a unit: half of one goes to the even number, which is 0.
        let unit = f64::from_bits(u64::from(below.half && below.more));
        return if negative && unit != 0.0 { -unit } else { unit };
    };
    let last_bit = 32 * top as u32 + digits[top].ilog2();
    // Positions of the float's lowest bit and of the bit below it.
    let lowest = last_bit.saturating_sub(52);
    let bits_from = |from: u32| {
        let (at, shift) = ((from / 32) as usize, from % 32);
        let digit = |at: usize| u128::from(digits.get(at).copied().unwrap_or(0));
        ((digit(at) | digit(at + 1) << 32 | digit(at + 2) << 64) >> shift) as u64
    };
    let mantissa = bits_from(lowest) & ((1 << 53) - 1);
    let (half, more) = match lowest.checked_sub(1) {
        None => (below.half, below.more),
        Some(bit) => {
            let (at, shift) = ((bit / 32) as usize, bit % 32);
            let lower = digits[at] & ((1 << shift) - 1) != 0 || digits[..at].iter().any(|digit| *digit != 0);
            (digits[at] >> shift & 1 == 1, lower || below.half || below.more)
        }
    };
    let up = half && (more || mantissa & 1 == 1);
    // The leading bit of the mantissa adds one to the exponent, as a carry out of it does.
    let bits = (u64::from(lowest) << 52) + mantissa + u64::from(up);
    let float = f64::from_bits(bits.min(f64::INFINITY.to_bits()));
    if negative { -float } else { float }
}

#[cfg(test)]
pub(crate) mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    /// Floats of every kind: of all bits, near each other, and at the ends of what there is.
    pub(crate) fn floats() -> impl Strategy<Value = f64> {
        let ends = [
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            f64::from_bits(0x7ff0_0000_0000_0001),
            f64::from_bits(0xfff8_0000_0000_0123),
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MAX / 2.0,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            -f64::from_bits(1),
            f64::MIN_POSITIVE - f64::from_bits(1),
        ];
        prop_oneof![
            2 => prop::sample::select(ends.to_vec()),
            2 => any::<u64>().prop_map(f64::from_bits),
            3 => (-100_000..100_000i64).prop_map(|cents| cents as f64 / 100.0),
            1 => (any::<u64>(), 1000..1050u64).prop_map(|(bits, exponent)| f64::from_bits(bits >> 12 | exponent << 52)),
            1 => (any::<u64>(), prop::sample::select(vec![-1.0, 1.0]), 0..2046i32)
                .prop_map(|(_, sign, exponent)| sign * f64::from_bits((exponent as u64) << 52)),
        ]
    }

    fn units(value: f64) -> BigInt {
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7ff;
        let mantissa = bits & ((1 << 52) - 1) | u64::from(exponent > 0) << 52;
        let magnitude = BigInt::from(mantissa) << (exponent.max(1) - 1);
        if value.is_sign_negative() { -magnitude } else { magnitude }
    }

    /// Whether no float is nearer to `number / count` units than `float`, and it is even if another is as near.
    fn is_nearest(float: f64, number: &BigInt, count: i64) -> bool {
        // The float after the largest one would be this many units.
        let place = |float: f64| match float {
            f64::INFINITY => BigInt::from(1u8) << 2098u32,
            f64::NEG_INFINITY => -(BigInt::from(1u8) << 2098u32),
            float => units(float),
        };
        let far = |float: f64| {
            let distance = number - place(float) * count;
            if distance < BigInt::ZERO { -distance } else { distance }
        };
        let is_even = float.to_bits().is_multiple_of(2);
        [float.next_up(), float.next_down()].into_iter().filter(|next| *next != float).all(|next| {
            let (this, other) = (far(float), far(next));
            this < other || this == other && is_even
        })
    }

    proptest! {
        #[test]
        fn sums_and_means_are_the_nearest_floats(
            terms in prop::collection::vec((floats(), prop_oneof![Just(1i64), Just(-1), -5..5i64, any::<i64>()]), 0..12),
            count in prop_oneof![1..10i64, any::<i64>().prop_map(|count| count.max(1))],
        ) {
            let (mut sum, mut expect) = (ExactSum::default(), BigInt::ZERO);
            for (value, times) in terms.into_iter().filter(|(value, _)| value.is_finite()) {
                sum.add(value, times);
                expect += units(value) * times;
            }
            let magnitude = sum.magnitude();
            prop_assert_eq!(magnitude.is_zero(), expect == BigInt::ZERO);
            for (float, count) in [(magnitude.nearest(), 1), (magnitude.nearest_mean(count), count)] {
                prop_assert!(is_nearest(float, &expect, count), "{} of {} / {}", float, expect, count);
                prop_assert!(float.to_bits() != (-0.0f64).to_bits());
            }
        }

        #[test]
        fn ints_are_exact(sum in any::<i128>(), count in 1..i64::MAX) {
            let mut exact = ExactSum::default();
            exact.add_int(sum);
            let units = BigInt::from(sum) << UNIT;
            prop_assert!(is_nearest(exact.magnitude().nearest_mean(count), &units, count));
        }
    }

    #[test]
    fn carries_that_wait_are_taken_in_time() {
        let mut sum = ExactSum { pending: MOST_PENDING - 2, ..ExactSum::default() };
        (0..5).for_each(|_| sum.add(-f64::MAX, i64::MAX));
        (0..5).for_each(|_| sum.add(f64::MAX, i64::MAX));
        assert!(sum.magnitude().is_zero());
    }

    #[test]
    fn a_mean_may_be_finite_where_the_sum_is_not() {
        let mut sum = ExactSum::default();
        sum.add(f64::MAX, i64::MAX);
        let magnitude = sum.magnitude();
        assert_eq!((magnitude.nearest(), magnitude.nearest_mean(i64::MAX)), (f64::INFINITY, f64::MAX));
    }
}
