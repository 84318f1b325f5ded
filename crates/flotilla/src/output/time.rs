//! Times, in the local time zone.

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// The time of day now, as progress lines begin.
pub(crate) fn of_day() -> String {
    Zoned::now().strftime("%H:%M:%S").to_string()
}

/// A time of the API (RFC 3339) as people read it: local, to the second, with its offset. What cannot be
/// read is shown as it is.
pub(crate) fn local(text: &str) -> String {
    local_in(text, TimeZone::system())
}

fn local_in(text: &str, zone: TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Whether the API's time is a real one: NATS writes the year 1 for "never".
pub(crate) fn is_set(text: &str) -> bool {
    !text.is_empty() && !text.starts_with("0001-01-01")
}

/// A time of the API given in nanoseconds since 1970, as RFC 3339.
pub(crate) fn from_nanoseconds(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| nanoseconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_and_to_the_second() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(local_in("2021-02-05T11:07:34.123456789Z", zone), "2021-02-05T12:07:34+01:00");
        assert_eq!(local("soon"), "soon");
    }

    #[test]
    fn the_year_one_is_never() {
        assert!(!is_set("0001-01-01T00:00:00Z"));
        assert!(!is_set(""));
        assert!(is_set("2021-02-05T11:07:34Z"));
        assert_eq!(from_nanoseconds(1_000_000_000), "1970-01-01T00:00:01Z");
    }
}
