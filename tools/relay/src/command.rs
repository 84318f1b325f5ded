//! The lines that control a relay at run time.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::conditions::Change;
use crate::relay::Pairs;

/// One line of control; see the program's own page for the grammar.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Changes conditions.
    Change(Pairs, Change),
    /// Prints conditions and traffic.
    Show,
    /// Ends the relay.
    Quit,
}

/// A line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(String);

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CommandError {}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((verb, rest)) = words.split_first() else {
            return Err(CommandError("empty line".to_owned()));
        };
        match (*verb, rest) {
            ("show", []) => return Ok(Self::Show),
            ("quit", []) => return Ok(Self::Quit),
            ("heal", []) => return Ok(Self::Change(Pairs::all(), Change::Heal)),
            ("isolate", [server]) => return Ok(Self::Change(Pairs::around(server), Change::Cut)),
            _ => {}
        }
        let (pairs, value) = pairs(rest)?;
        let change = match (*verb, value) {
            ("cut", []) => Change::Cut,
            ("join", []) => Change::Join,
            ("heal", []) => Change::Heal,
            ("loss", [value]) => Change::Loss(probability(value)?),
            ("duplicate", [value]) => Change::Duplicate(probability(value)?),
            ("reorder", [value]) => Change::Reorder(probability(value)?),
            ("delay", [value]) => Change::Delay(duration(value)?),
            ("jitter", [value]) => Change::Jitter(duration(value)?),
            _ => return Err(CommandError(format!("not a command: {}", line.trim()))),
        };
        Ok(Self::Change(pairs, change))
    }
}

/// `A>B`, or `A B` for both directions, `*` being everybody; and what follows.
fn pairs<'a, 'b>(words: &'a [&'b str]) -> Result<(Pairs, &'a [&'b str]), CommandError> {
    let (from, to, both, rest) = match words {
        [pair, rest @ ..] if pair.contains('>') => {
            let (from, to) = pair.split_once('>').unwrap_or_default();
            (from, to, false, rest)
        }
        [a, b, rest @ ..] => (*a, *b, true, rest),
        _ => return Err(CommandError("names no pair: write A B, or A>B".to_owned())),
    };
    let server = |name: &str| (name != "*").then(|| name.to_owned());
    Ok((Pairs { from: server(from), to: server(to), both }, rest))
}

fn probability(text: &str) -> Result<f64, CommandError> {
    match text.parse() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err(CommandError(format!("{text} is no probability between 0 and 1"))),
    }
}

/// A whole number with `us`, `ms` or `s`.
fn duration(text: &str) -> Result<Duration, CommandError> {
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let number = digits.parse();
    match (number, &text[digits.len()..]) {
        (Ok(number), "us") => Ok(Duration::from_micros(number)),
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        _ => Err(CommandError(format!("{text} is no duration such as 20ms"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(line: &str) -> (Pairs, Change) {
        match line.parse() {
            Ok(Command::Change(pairs, change)) => (pairs, change),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn lines_say_who_and_what() {
        assert_eq!(change("cut n1 n2"), (Pairs::between("n1", "n2"), Change::Cut));
        assert_eq!(change("cut n1>n2"), (Pairs::one_way("n1", "n2"), Change::Cut));
        assert_eq!(change(" join n1  n2 "), (Pairs::between("n1", "n2"), Change::Join));
        assert_eq!(change("isolate n1"), (Pairs::around("n1"), Change::Cut));
        assert_eq!(change("heal"), (Pairs::all(), Change::Heal));
        assert_eq!(change("heal n1 n2"), (Pairs::between("n1", "n2"), Change::Heal));
        assert_eq!(change("loss n1 * 0.1"), (Pairs::around("n1"), Change::Loss(0.1)));
        let delay = Change::Delay(Duration::from_millis(20));
        assert_eq!(change("delay *>* 20ms"), (Pairs::all(), delay));
        assert_eq!("show".parse(), Ok(Command::Show));
    }

    #[test]
    fn other_lines_are_errors() {
        for line in ["", "cut", "cut n1", "loss a b", "loss a b 2", "delay a b 20", "delay a b xs"]
        {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
        assert!("jump a b".parse::<Command>().is_err());
        assert!("delay a b 99999999999999999999s".parse::<Command>().is_err());
        assert!("delay a b ü".parse::<Command>().is_err());
    }
}
