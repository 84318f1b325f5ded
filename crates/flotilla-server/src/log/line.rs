//! One line of the log.

use std::fmt::{self, Write as _};

use jiff::civil::DateTime;

/// Appends `[pid] date time [TAG] text` and a line end.
///
/// Control characters of the text are shown as escapes: what a client sends ends up here, and must not be
/// able to make lines of its own.
pub(super) fn write_line(
    line: &mut String,
    pid: u32,
    time: Option<DateTime>,
    tag: &str,
    text: fmt::Arguments<'_>,
) {
    // Writing to a string cannot fail.
    let _ = write!(line, "[{pid}] ");
    if let Some(time) = time {
        let _ = write!(
            line,
            "{:04}/{:02}/{:02} {:02}:{:02}:{:02}.{:06} ",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.subsec_nanosecond() / 1000
        );
    }
    let _ = write!(line, "[{tag}] ");
    let _ = Escaped(line).write_fmt(text);
    line.push('\n');
}

/// Writes text with its control characters escaped, tabs excepted.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_control = |c: char| c.is_control() && c != '\t';
        let mut rest = text;
        while let Some(at) = rest.find(is_control) {
            let (plain, tail) = rest.split_at(at);
            self.0.push_str(plain);
            let mut chars = tail.chars();
            if let Some(control) = chars.next() {
                self.0.extend(control.escape_default());
            }
            rest = chars.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: Option<DateTime>, text: &str) -> String {
        let mut line = String::new();
        write_line(&mut line, 42, time, "INF", format_args!("{text}"));
        line
    }

    #[test]
    fn lines_look_like_those_of_nats_server() {
        let time = jiff::civil::date(2026, 1, 2).at(3, 4, 5, 123_456_789);
        assert_eq!(line(Some(time), "ready"), "[42] 2026/01/02 03:04:05.123456 [INF] ready\n");
        assert_eq!(line(None, "ready"), "[42] [INF] ready\n");
    }

    #[test]
    fn text_cannot_make_lines_of_its_own() {
        assert_eq!(
            line(None, "a\r\n[1] [FTL] b\tc\u{1b}[31m é"),
            "[42] [INF] a\\r\\n[1] [FTL] b\tc\\u{1b}[31m é\n"
        );
    }
}
