//! Durations: read as people and NATS write them (`90s`, `1h30m`, `2d`), shown in the same notation.

use std::time::Duration;

/// Units, longest first; nanoseconds in each.
const UNITS: [(&str, u64); 9] = [
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Reads a duration: numbers, each with a unit of `w d h m s ms us ns`.
///
/// # Errors
/// There is no number, no unit, or it is longer than NATS can say (292 years).
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a duration is expected, such as 30s, 5m or 1h30m".into());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number
            .parse()
            .map_err(|_| format!("a number is expected before {after:?}, as in 30s"))?;
        let (unit, nanoseconds) = UNITS
            .into_iter()
            .find(|(unit, _)| after.starts_with(unit))
            .ok_or_else(|| format!("a unit is expected after {number}: w d h m s ms us ns"))?;
        total += number * nanoseconds as f64;
        rest = &after[unit.len()..];
    }
    if total > i64::MAX as f64 {
        return Err("a duration is at most 292 years".into());
    }
    Ok(Duration::from_nanos(total as u64))
}

/// Nanoseconds, as JSON carries durations.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `2m0s`, `1h30m0s`, `250ms`, `1.5s`.
pub(crate) fn short(duration: Duration) -> String {
    let nanoseconds = nanoseconds(duration);
    let seconds = duration.as_secs();
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", nanoseconds / 1_000),
        1_000_000..1_000_000_000 => format!("{}ms", nanoseconds / 1_000_000),
        _ if seconds < 60 => {
            let text = format!("{:.2}", duration.as_secs_f64());
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => long(seconds),
    }
}

fn long(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes}m{seconds}s"),
        (0, _) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m{seconds}s"),
    }
}

/// How long ago a peer was heard: `0.07s`, and `2m3s` beyond a minute.
pub(crate) fn ago(nanoseconds: u64) -> String {
    let duration = Duration::from_nanos(nanoseconds);
    if duration.as_secs() < 60 {
        format!("{:.2}s", duration.as_secs_f64())
    } else {
        long(duration.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse(text).unwrap().as_secs_f64();
        assert_eq!(seconds("30s"), 30.0);
        assert_eq!(seconds("1h30m"), 5400.0);
        assert_eq!(seconds("250ms"), 0.25);
        assert_eq!(seconds("1.5h"), 5400.0);
        assert_eq!(seconds("1w2d"), 9.0 * 86_400.0);
        for bad in ["", "5", "s", "5x", "1h-3m", "1..5s", "300000d"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_same_notation() {
        let shown = |text| short(parse(text).unwrap());
        assert_eq!(shown("2m"), "2m0s");
        assert_eq!(shown("90m"), "1h30m0s");
        assert_eq!(shown("1500ms"), "1.5s");
        assert_eq!(shown("77us"), "77µs");
        assert_eq!(shown("26h"), "1d2h0m0s");
        assert_eq!(short(Duration::ZERO), "0s");
        assert_eq!(ago(70_000_000), "0.07s");
        assert_eq!(ago(123_000_000_000), "2m3s");
    }
}
