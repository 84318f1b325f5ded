//! Durations as Go spells them (`1h30m`, `250ms`): what a negative acknowledgement may carry, and
//! what the texts of errors show. Everywhere else a duration is an integer of nanoseconds.

use std::fmt;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Nanoseconds, shown as Go shows a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub u64);

impl GoDuration {
    /// Reads one or more numbers with units, such as `1h30m` or `1.5s`. A negative duration is
    /// zero: whoever waits for it need not. `None` when `text` is not a duration or too long for
    /// Go (292 years).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Some(Self(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total = 0_u64;
        while !rest.is_empty() {
            let (nanos, after) = parse_component(rest)?;
            total = total.checked_add(nanos).filter(|total| i64::try_from(*total).is_ok())?;
            rest = after;
        }
        Some(Self(if negative { 0 } else { total }))
    }
}

/// One number and its unit, in nanoseconds, and what follows.
fn parse_component(text: &str) -> Option<(u64, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { crate::decimal::parse(whole.as_bytes())? };
    Some((whole.checked_mul(unit)?.checked_add(parse_fraction(fraction, unit)?)?, rest))
}

/// The digits behind a decimal point, as nanoseconds of `unit`, rounded down.
fn parse_fraction(digits: &str, unit: u64) -> Option<u64> {
    let mut nanos = 0_u128;
    let mut scale = 1_u128;
    for byte in digits.bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
        // Beyond a hundred-trillionth of an hour no digit makes a nanosecond.
        if scale < 100_000_000_000_000_000 {
            nanos = nanos * 10 + u128::from(byte - b'0');
            scale *= 10;
        }
    }
    u64::try_from(nanos * u128::from(unit) / scale).ok()
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        match nanos {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{nanos}ns"),
            MICROSECOND..MILLISECOND => fixed(f, nanos, MICROSECOND, "µs"),
            MILLISECOND..SECOND => fixed(f, nanos, MILLISECOND, "ms"),
            _ => {
                if nanos >= HOUR {
                    write!(f, "{}h", nanos / HOUR)?;
                }
                if nanos >= MINUTE {
                    write!(f, "{}m", nanos % HOUR / MINUTE)?;
                }
                fixed(f, nanos % MINUTE, SECOND, "s")
            }
        }
    }
}

/// Writes `nanos` as a number of `unit` without trailing zeros.
fn fixed(f: &mut fmt::Formatter<'_>, nanos: u64, unit: u64, name: &str) -> fmt::Result {
    write!(f, "{}", nanos / unit)?;
    let fraction = nanos % unit;
    if fraction > 0 {
        let places = unit.ilog10() as usize;
        let digits = format!("{fraction:0places$}");
        write!(f, ".{}", digits.trim_end_matches('0'))?;
    }
    f.write_str(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_shown_as_go_shows_them() {
        let table = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (100 * MILLISECOND, "100ms"),
            (5 * SECOND, "5s"),
            (1_500 * MILLISECOND, "1.5s"),
            (MINUTE, "1m0s"),
            (2 * HOUR + 1, "2h0m0.000000001s"),
        ];
        for (nanos, text) in table {
            assert_eq!(GoDuration(nanos).to_string(), text);
            assert_eq!(GoDuration::parse(text), Some(GoDuration(nanos)), "{text}");
        }
    }

    #[test]
    fn go_durations_are_read() {
        let table = [
            ("1h15m30.918273645s", 4_530_918_273_645),
            (".5s", SECOND / 2),
            ("1.s", SECOND),
            ("10us", 10_000),
            ("+1m", MINUTE),
            ("-1m", 0),
            ("0", 0),
            ("0.3333333333333333333h", 1_199_999_999_999),
        ];
        for (text, nanos) in table {
            assert_eq!(GoDuration::parse(text), Some(GoDuration(nanos)), "{text}");
        }
        for text in ["", "-", "1", "s", ".s", "1x", "1 s", "1.2.3s", "3000000h", "99999999999h"] {
            assert_eq!(GoDuration::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(nanos in 0..=i64::MAX as u64) {
            let text = GoDuration(nanos).to_string();
            prop_assert_eq!(GoDuration::parse(&text), Some(GoDuration(nanos)));
        }

        #[test]
        fn no_text_panics(text in "[0-9.hmsnuµ+-]{0,30}|.*") {
            let _ = GoDuration::parse(&text);
        }
    }
}
