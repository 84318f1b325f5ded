//! How long a server has been running, as the reference writes it.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Written `1y2d3h4m5s`: from the largest unit that is not zero down to seconds, those between included. A year has
/// 365 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub Duration);

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [
            (seconds / (365 * 86_400), "y"),
            (seconds / 86_400 % 365, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
        units.iter().skip(first).try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

impl Serialize for Uptime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_with_the_largest_unit_and_leaves_none_out_after_it() {
        let written = |seconds| Uptime(Duration::from_secs(seconds)).to_string();
        assert_eq!(written(0), "0s");
        assert_eq!(written(59), "59s");
        assert_eq!(written(60), "1m0s");
        assert_eq!(written(3_661), "1h1m1s");
        assert_eq!(written(86_400), "1d0h0m0s");
        assert_eq!(written(366 * 86_400 + 7), "1y1d0h0m7s");
    }
}
