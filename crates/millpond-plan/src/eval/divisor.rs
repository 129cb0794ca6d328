//! Division of many integers by one positive number: a multiplication and a shift for each, in place of a division.
//!
//! The factor is that of Granlund and Montgomery, "Division by invariant integers using multiplication" (PLDI 1994),
//! theorem 4.2, for dividends of 63 bits.

/// A positive divisor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Divisor {
    divisor: i64,
    /// `2^shift / divisor`, rounded up.
    factor: u64,
    shift: u32,
}

impl Divisor {
    /// `None` if the number is not positive.
    pub(super) fn new(divisor: i64) -> Option<Self> {
        let unsigned = u64::try_from(divisor).ok().filter(|&divisor| divisor > 0)?;
        let shift = 63 + (u64::BITS - (unsigned - 1).leading_zeros());
        let factor = (1u128 << shift).div_ceil(unsigned.into());
        // 2^63 / divisor * 2^bits, and the divisor is more than half of 2^bits.
        let factor = u64::try_from(factor).ok()?;
        Some(Divisor { divisor, factor, shift })
    }

    /// The number.
    pub(super) fn get(self) -> i64 {
        self.divisor
    }

    /// The quotient, rounded towards minus infinity.
    #[inline]
    pub(super) fn floor_div(self, dividend: i64) -> i64 {
        // The complement of a negative number is not negative, and its quotient is the complement of the quotient.
        let sign = dividend >> 63;
        let quotient = (u128::from((dividend ^ sign) as u64) * u128::from(self.factor)) >> self.shift;
        quotient as i64 ^ sign
    }

    /// The remainder, at least 0 and below the divisor.
    #[inline]
    pub(super) fn remainder(self, dividend: i64) -> i64 {
        dividend.wrapping_sub(self.floor_div(dividend).wrapping_mul(self.divisor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            any::<i64>(),
            -100..100i64,
            (0..63u32, -2..3i64).prop_map(|(bit, near)| (1i64 << bit).wrapping_add(near)),
            (0..4i64).prop_map(|near| i64::MAX - near),
            (0..4i64).prop_map(|near| i64::MIN + near),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_is_the_euclidean_division(dividend in number(), factor in number(), divisor in number(), near in -1..2i64) {
            match Divisor::new(divisor) {
                None => prop_assert!(divisor <= 0),
                // Multiples of the divisor, and what is beside them, are where rounding could fail.
                Some(fast) => for dividend in [dividend, divisor.wrapping_mul(factor).wrapping_add(near)] {
                    prop_assert_eq!(fast.floor_div(dividend), dividend.div_euclid(divisor));
                    prop_assert_eq!(fast.remainder(dividend), dividend.rem_euclid(divisor));
                },
            }
        }
    }
}
