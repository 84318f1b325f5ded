//! Durations as Go writes them: `2s`, `1m30s`, `1.5h`, `250ms`.

use std::time::Duration;

/// Nanoseconds of a unit's name.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number where one should be.
    #[error("expected a number and a unit, such as \"2s\" or \"1m30s\"")]
    Shape,
    /// A number without a unit, or with an unknown one.
    #[error("the units are ns, us, ms, s, m and h")]
    Unit,
    /// A duration below zero.
    #[error("a duration cannot be negative")]
    Negative,
    /// More than about 292 years.
    #[error("the duration is too long")]
    TooLong,
}

/// Parses a duration; `0` alone needs no unit.
///
/// # Errors
/// If the text is no duration, is negative, or exceeds 2^63 nanoseconds (what Go can hold).
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = match text.strip_prefix('-') {
        Some("0") => "0",
        Some(_) => return Err(DurationError::Negative),
        None => text.strip_prefix('+').unwrap_or(text),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Shape);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, behind) = component(rest)?;
        total = total.checked_add(nanos).ok_or(DurationError::TooLong)?;
        rest = behind;
    }
    match i64::try_from(total) {
        Ok(_) => Ok(Duration::from_nanos(total)),
        Err(_) => Err(DurationError::TooLong),
    }
}

/// One number with its unit, in nanoseconds, and what follows.
fn component(text: &str) -> Result<(u64, &str), DurationError> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(behind) => split_digits(behind),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Shape);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationError::Unit)?;

    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| DurationError::TooLong)?,
    };
    let nanos = whole.checked_mul(*scale).ok_or(DurationError::TooLong)?;
    let nanos = nanos.checked_add(fraction_of(fraction, *scale)).ok_or(DurationError::TooLong)?;
    Ok((nanos, rest))
}

/// `0.<digits>` of `scale`, rounded down; digits beyond a nanosecond's worth say nothing.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let mut value: u128 = 0;
    let mut unit: u128 = 1;
    for digit in digits.chars().take(18).filter_map(|c| c.to_digit(10)) {
        value = value * 10 + u128::from(digit);
        unit *= 10;
    }
    // Below `scale`, since value < unit.
    u64::try_from(value * u128::from(scale) / unit).unwrap_or(0)
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Writes a duration so that [`parse_duration`] reads the same again.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = nanos;
    for (unit, scale) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)] {
        let count = rest / scale;
        rest %= scale;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    for (unit, scale) in [("ms", 1_000_000), ("us", 1_000), ("ns", 1)] {
        let count = rest / scale;
        rest %= scale;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("2s", 2_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("250ms", 250_000_000),
            ("3µs", 3_000),
            ("1h0m0.000000001s", 3_600_000_000_001),
            ("+1ns", 1),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for (text, error) in [
            ("", DurationError::Shape),
            ("s", DurationError::Shape),
            ("xx", DurationError::Shape),
            (".s", DurationError::Shape),
            ("10", DurationError::Unit),
            ("10x", DurationError::Unit),
            ("1d", DurationError::Unit),
            ("-1s", DurationError::Negative),
            ("3000000h", DurationError::TooLong),
            ("99999999999999999999s", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_durations_are_read_back(nanos in 0..=i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_duration(&text);
        }
    }
}
