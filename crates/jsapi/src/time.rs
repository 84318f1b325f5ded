//! Points in time on the wire: RFC 3339 with nanoseconds, in UTC.
//!
//! The reference's "zero time", the first second of year 1, says that something never happened. It
//! is not a moment any server can stamp, so it is kept apart from them.

use std::fmt;

use flotilla_stream::Timestamp;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01. Years that begin in March end with the leap day.
const EPOCH_FROM_MARCH_OF_YEAR_ZERO: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097; // 400 years
/// Seconds from 1970 back to 0001-01-01T00:00:00Z.
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// A point in time on the wire, or the zero time `0001-01-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Option<Timestamp>);

impl Time {
    /// The zero time: never, or not yet.
    pub const ZERO: Self = Self(None);

    /// Reads an RFC 3339 time with any offset and any number of fractional digits, of which the
    /// first nine count. A time outside of what a [`Timestamp`] can hold (years 1677 to 2262) is
    /// moved to its nearest end. `None` when `text` is not a time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.split_once('T')?;
        let days = parse_date(date)?;
        let (seconds, nanos) = parse_clock(clock)?;
        let seconds = days * SECONDS_PER_DAY + seconds;
        if seconds == ZERO_TIME_SECONDS && nanos == 0 {
            return Some(Self::ZERO);
        }
        let nanos = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
        let nanos = nanos.clamp(i64::MIN.into(), i64::MAX.into());
        Some(Self(Some(Timestamp(nanos as i64))))
    }
}

impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Self {
        Self(Some(timestamp))
    }
}

/// Writes `2026-01-02T03:04:05.000000006Z`; a fraction has no trailing zeros, and is left out when
/// it is zero.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Timestamp(nanos)) = self.0 else {
            return f.write_str("0001-01-01T00:00:00Z");
        };
        let seconds = nanos.div_euclid(NANOS_PER_SECOND);
        let (year, month, day) = date_of(seconds.div_euclid(SECONDS_PER_DAY));
        let clock = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let fraction = nanos.rem_euclid(NANOS_PER_SECOND);
        if fraction > 0 {
            let digits = format!("{fraction:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Year, month and day of the day `days` after 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_OF_YEAR_ZERO;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    // Leap days so far: one per 4 years, none per century, one per 400 years.
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, months come in runs of 153 days per five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a date that exists.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH_FROM_MARCH_OF_YEAR_ZERO
}

/// `YYYY-MM-DD` to days since 1970-01-01.
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    let days = days_of(year, month, day);
    // A date that does not exist (February 30) comes back as another one.
    let exists = parts.next().is_none() && date_of(days) == (year, month, day);
    exists.then_some(days)
}

/// `HH:MM:SS[.fraction]` and an offset, to seconds in UTC (which may lie in the day before or
/// after) and nanoseconds.
fn parse_clock(text: &str) -> Option<(i64, i64)> {
    let offset_at = text.find(['Z', '+', '-'])?;
    let (clock, offset) = text.split_at(offset_at);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, parse_fraction(fraction)?),
        None => (clock, 0),
    };
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = digits(parts.next()?, 2).filter(|minute| *minute < 60)?;
    let second = digits(parts.next()?, 2).filter(|second| *second < 60)?;
    if parts.next().is_some() {
        return None;
    }
    Some((hour * 3600 + minute * 60 + second - parse_offset(offset)?, fraction))
}

/// `Z`, `+HH:MM` or `-HH:MM`, in seconds east of UTC.
fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let hours = digits(hours, 2).filter(|hours| *hours <= 24)?;
    let minutes = digits(minutes, 2).filter(|minutes| *minutes < 60)?;
    Some(sign * (hours * 3600 + minutes * 60))
}

fn parse_fraction(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let places = text.bytes().map(|byte| i64::from(byte - b'0')).chain(std::iter::repeat(0));
    Some(places.take(9).fold(0, |nanos, digit| nanos * 10 + digit))
}

/// A number of exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let valid = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.bytes().fold(0, |number, byte| number * 10 + i64::from(byte - b'0')))
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;

        impl Visitor<'_> for TimeVisitor {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time such as 2026-01-02T03:04:05.6Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                Time::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(TimeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: i64) -> Time {
        Time(Some(Timestamp(nanos)))
    }

    #[test]
    fn known_moments_are_written_as_the_reference_writes_them() {
        let table = [
            (Time::ZERO, "0001-01-01T00:00:00Z"),
            (at(0), "1970-01-01T00:00:00Z"),
            (at(-1), "1969-12-31T23:59:59.999999999Z"),
            (at(951_782_400_000_000_000), "2000-02-29T00:00:00Z"),
            (at(1_795_177_390_210_367_923), "2026-11-20T12:23:10.210367923Z"),
            (at(1_795_177_390_069_620_000), "2026-11-20T12:23:10.06962Z"),
            (at(i64::MAX), "2262-04-11T23:47:16.854775807Z"),
            (at(i64::MIN), "1677-09-21T00:12:43.145224192Z"),
        ];
        for (time, text) in table {
            assert_eq!(time.to_string(), text);
            assert_eq!(Time::parse(text), Some(time), "{text}");
        }
    }

    #[test]
    fn offsets_and_long_fractions_are_understood() {
        let expected = Time::parse("2024-01-02T01:04:05.6Z");
        assert!(expected.is_some());
        assert_eq!(Time::parse("2024-01-02T03:04:05.6+02:00"), expected);
        assert_eq!(Time::parse("2024-01-01T20:34:05.600000000999-04:30"), expected);
        assert_eq!(Time::parse("9999-12-31T23:59:59Z"), Some(at(i64::MAX)));
        assert_eq!(Time::parse("0001-01-01T00:00:01Z"), Some(at(i64::MIN)));
        assert_eq!(Time::parse("0001-01-01T01:00:00+01:00"), Some(Time::ZERO));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "now",
            "2024-01-02",
            "2024-01-02T03:04:05",
            "2024-01-02 03:04:05Z",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-02T24:00:00Z",
            "2024-01-02T00:00:60Z",
            "2024-01-02T00:00:00.Z",
            "2024-01-02T00:00:00.1xZ",
            "2024-01-02T00:00:00+1:00",
            "2024-01-02T00:00:00ZZ",
            "2024-1-2T00:00:00Z",
            "+024-01-02T00:00:00Z",
        ] {
            assert_eq!(Time::parse(text), None, "{text:?}");
        }
        assert!(serde_json::from_str::<Time>("\"never\"").is_err());
        assert!(serde_json::from_str::<Time>("5").is_err());
    }

    proptest! {
        #[test]
        fn every_timestamp_survives_the_wire(nanos: i64) {
            let json = serde_json::to_string(&at(nanos)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Time>(&json).unwrap(), at(nanos));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+-]{0,40}|.*") {
            let _ = Time::parse(&text);
        }

        #[test]
        fn dates_follow_each_other(days in -200_000_i64..200_000) {
            let (year, month, day) = date_of(days);
            prop_assert_eq!(days_of(year, month, day), days);
            prop_assert!(date_of(days + 1) > (year, month, day));
        }
    }
}
