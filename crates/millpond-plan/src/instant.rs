//! Instants: floats as ints that order as they do, so that times of either type are kept and compared as ints.
//!
//! Both zeros are one instant. NaN has none that a time could be.

/// The instant of a float.
#[inline]
pub fn of(time: f64) -> i64 {
    let bits = (if time == 0.0 { 0.0 } else { time }).to_bits() as i64;
    flipped(bits)
}

/// The float of an instant.
#[inline]
pub fn float(instant: i64) -> f64 {
    f64::from_bits(flipped(instant) as u64)
}

/// With all bits but the sign turned over, if it is negative; its own inverse.
fn flipped(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn instants_order_as_floats_and_are_read_back(a in proptest::num::f64::ANY, b in proptest::num::f64::ANY) {
            if !a.is_nan() && !b.is_nan() {
                prop_assert_eq!(of(a).cmp(&of(b)), a.partial_cmp(&b).unwrap());
                prop_assert_eq!(float(of(a)), a);
            }
        }
    }

    #[test]
    fn both_zeros_are_one_instant() {
        assert_eq!(of(-0.0), of(0.0));
        assert!(float(of(-0.0)).is_sign_positive());
    }
}
