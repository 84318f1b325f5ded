//! What a bare word means: a boolean, a number, a date, or just text.

use super::error::Fault;
use super::value::{Integer, ValueKind};

/// The value that a bare word stands for.
///
/// What begins with a digit and is neither number nor date is text, so that `127.0.0.1:4222` and
/// `10m30s` need no quotes.
pub(super) fn classify(word: &str) -> Result<ValueKind, Fault> {
    if let Some(value) = boolean(word) {
        return Ok(ValueKind::Bool(value));
    }
    let digits = word.strip_prefix('-').unwrap_or(word);
    let signed = digits.len() < word.len();
    match digits.chars().next() {
        Some(c) if c.is_ascii_digit() => {}
        // Like NATS, which lets nothing but a number begin with a sign.
        _ if signed => return Err(Fault::Number),
        Some('.') if digits.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => {
            return Err(Fault::Number);
        }
        _ => return Ok(ValueKind::Text(word.to_owned())),
    }
    if let Some(number) = integer(word)? {
        return Ok(ValueKind::Integer(number));
    }
    if let Some(number) = float(word) {
        return Ok(ValueKind::Float(number));
    }
    if signed {
        return Err(Fault::Number);
    }
    if is_datetime(word) {
        return Ok(ValueKind::Datetime(word.to_owned()));
    }
    Ok(ValueKind::Text(word.to_owned()))
}

fn boolean(word: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 6] = [
        ("true", true),
        ("yes", true),
        ("on", true),
        ("false", false),
        ("no", false),
        ("off", false),
    ];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// Digits with an optional suffix: `k`, `m`, `g`, `t`, `p`, `e` are powers of 1000; with a `b`, `i` or
/// `ib` behind, they are powers of 1024.
fn integer(word: &str) -> Result<Option<Integer>, Fault> {
    let end = word.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(word.len());
    let (digits, suffix) = word.split_at(end);
    let Some(factor) = factor(suffix) else { return Ok(None) };
    let number = digits
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or(Fault::OutOfRange)?;
    let suffixed = (!suffix.is_empty()).then(|| word.into());
    Ok(Some(Integer { number, suffixed }))
}

fn factor(suffix: &str) -> Option<i64> {
    let mut letters = suffix.chars();
    let Some(letter) = letters.next() else { return Some(1) };
    let power = "kmgtpe".find(letter.to_ascii_lowercase())?;
    let base: i64 = match letters.as_str().to_ascii_lowercase().as_str() {
        "" => 1000,
        "b" | "i" | "ib" => 1024,
        _ => return None,
    };
    base.checked_pow(u32::try_from(power).ok()? + 1)
}

fn float(word: &str) -> Option<f64> {
    let (whole, fraction) = word.split_once('.')?;
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    word.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `YYYY-MM-DDTHH:MM:SSZ`, each field within its range.
fn is_datetime(word: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = word.len() == SHAPE.len()
        && word.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            _ => byte == *shape,
        });
    let within = |from: usize, low: u8, high: u8| {
        let field = word.get(from..from + 2).and_then(|field| field.parse::<u8>().ok());
        field.is_some_and(|field| (low..=high).contains(&field))
    };
    fits && within(5, 1, 12)
        && within(8, 1, 31)
        && within(11, 0, 23)
        && within(14, 0, 59)
        && within(17, 0, 59)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(word: &str) -> Option<i64> {
        match classify(word) {
            Ok(ValueKind::Integer(integer)) => Some(integer.number),
            _ => None,
        }
    }

    fn is_text(word: &str) -> bool {
        matches!(classify(word), Ok(ValueKind::Text(text)) if text == word)
    }

    #[test]
    fn suffixes_multiply_by_powers_of_1000_or_1024() {
        assert_eq!(number("8"), Some(8));
        assert_eq!(number("8k"), Some(8_000));
        assert_eq!(number("8K"), Some(8_000));
        assert_eq!(number("8kb"), Some(8_192));
        assert_eq!(number("8Ki"), Some(8_192));
        assert_eq!(number("8KiB"), Some(8_192));
        assert_eq!(number("3m"), Some(3_000_000));
        assert_eq!(number("3MB"), Some(3 << 20));
        assert_eq!(number("2g"), Some(2_000_000_000));
        assert_eq!(number("2GiB"), Some(2 << 30));
        assert_eq!(number("1t"), Some(1_000_000_000_000));
        assert_eq!(number("1tb"), Some(1 << 40));
        assert_eq!(number("7eb"), Some(7 << 60));
        assert_eq!(number("-5k"), Some(-5_000));
    }

    #[test]
    fn what_only_begins_like_a_number_is_text() {
        for word in ["1.2.3", "127.0.0.1:4222", "4222s", "8kk", "10m30s", "12abc", "5x", "1e5"] {
            assert!(is_text(word), "{word}");
        }
    }

    #[test]
    fn a_sign_or_a_point_must_begin_a_number() {
        for word in ["-", "-x", "-5x", ".5", "-1.2.3", "--5"] {
            assert!(classify(word).is_err(), "{word}");
        }
        assert!(is_text("./store") && is_text(".flotilla/n1"));
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused_not_wrapped() {
        assert_eq!(classify("9223372036854775808").err(), Some(Fault::OutOfRange));
        assert_eq!(classify("100e").err(), Some(Fault::OutOfRange));
    }

    #[test]
    fn booleans_come_in_any_case() {
        for (word, value) in [("yes", true), ("On", true), ("oFF", false), ("NO", false)] {
            assert!(matches!(classify(word), Ok(ValueKind::Bool(found)) if found == value));
        }
    }

    #[test]
    fn dates_are_zulu_and_within_the_calendar() {
        assert!(matches!(classify("2026-11-20T12:34:56Z"), Ok(ValueKind::Datetime(_))));
        assert!(is_text("2026-13-20T12:34:56Z"));
        assert!(matches!(classify("1.5"), Ok(ValueKind::Float(number)) if number == 1.5));
    }
}
