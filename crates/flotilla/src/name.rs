//! Names that become one token of an API subject.

/// The longest stream or consumer name JetStream allows, in bytes.
const LONGEST: usize = 255;

/// Reads a stream, consumer or server name.
///
/// # Errors
/// The name is empty, too long, or has a character that would make it more than one token of a subject.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a name cannot be empty".into());
    }
    if text.len() > LONGEST {
        return Err(format!("a name has at most {LONGEST} bytes, this one has {}", text.len()));
    }
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    match text.chars().find(|&c| forbidden(c)) {
        Some(c) => Err(format!("{c:?} cannot be part of a name")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_are_single_tokens() {
        assert_eq!(parse("ORDERS_4-a").as_deref(), Ok("ORDERS_4-a"));
        for bad in ["", "a.b", "a b", "*", ">", "a/b", "a\\b", "a\tb", &"x".repeat(256)] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
