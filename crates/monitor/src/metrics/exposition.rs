//! The text format of Prometheus, version 0.0.4, as much of it as is needed.

use std::fmt::{Display, Write as _};

/// What a page in this format is called.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that grows. Every name stands on it once.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// Something that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.describe(name, help, "gauge");
        self.sample(name, value);
    }

    /// Something that only grows, from the start of the process on.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.describe(name, help, "counter");
        self.sample(name, value);
    }

    /// A gauge that is always 1 and says the rest in its labels.
    pub(crate) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.describe(name, help, "gauge");
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        self.sample(&format!("{name}{{{}}}", labels.join(",")), 1);
    }

    /// How often something took up to so many seconds, ascending and each with all below; then how long all together took,
    /// and how many they were.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        (sum, count): (f64, u64),
    ) {
        self.describe(name, help, "histogram");
        for (bound, up_to) in buckets {
            self.sample(&format!("{name}_bucket{{le=\"{bound}\"}}"), up_to);
        }
        self.sample(&format!("{name}_bucket{{le=\"+Inf\"}}"), count);
        self.sample(&format!("{name}_sum"), sum);
        self.sample(&format!("{name}_count"), count);
    }

    /// The page.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn describe(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }
}

/// A label's value as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Exposition::default();
        page.info("a_info", "Who.", &[("name", "x\"\\\n"), ("version", "1")]);
        page.counter("b_total", "How many.", 7_u64);
        page.gauge("c_bytes", "How much.", u64::MAX);
        page.histogram("d_seconds", "How long.", [(0.001, 2), (0.5, 3)], (1.25, 4));
        let expected = concat!(
            "# HELP a_info Who.\n# TYPE a_info gauge\na_info{name=\"x\\\"\\\\\\n\",version=\"1\"} 1\n",
            "# HELP b_total How many.\n# TYPE b_total counter\nb_total 7\n",
            "# HELP c_bytes How much.\n# TYPE c_bytes gauge\nc_bytes 18446744073709551615\n",
            "# HELP d_seconds How long.\n# TYPE d_seconds histogram\n",
            "d_seconds_bucket{le=\"0.001\"} 2\nd_seconds_bucket{le=\"0.5\"} 3\n",
            "d_seconds_bucket{le=\"+Inf\"} 4\nd_seconds_sum 1.25\nd_seconds_count 4\n",
        );
        assert_eq!(page.finish(), expected);
    }
}
