//! Decimal numbers as the hot paths read and write them: no allocation, no sign, no surprises.

/// Appends `number` in decimal.
pub(crate) fn push(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20]; // u64::MAX has 20 digits.
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `number` in decimal, with a minus sign where it has one.
pub(crate) fn push_signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    push(out, number.unsigned_abs());
}

/// The number that `text` is, when it is nothing but one to twenty digits that fit.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_digits_that_fit_are_a_number() {
        assert_eq!(parse(b"0"), Some(0));
        assert_eq!(parse(b"007"), Some(7));
        assert_eq!(parse(b"18446744073709551615"), Some(u64::MAX));
        for refused in ["", "+1", "-1", " 1", "1 ", "1_0", "0x1", "18446744073709551616"] {
            assert_eq!(parse(refused.as_bytes()), None, "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, signed: i64) {
            let mut out = Vec::new();
            push(&mut out, number);
            prop_assert_eq!(parse(&out), Some(number));
            out.clear();
            push_signed(&mut out, signed);
            prop_assert_eq!(String::from_utf8(out).unwrap(), signed.to_string());
        }
    }
}
