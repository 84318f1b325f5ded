//! What text is a subject.
//!
//! The rules are those of the NATS server: tokens are separated by `.`, none is empty, and none holds white space.
//! Control characters are refused too, since a subject travels inside a text line. `*` and `>` are wildcards only
//! when they are a whole token: `a*b` is an ordinary literal token.

use thiserror::Error;

/// Separates the tokens of a subject.
pub const SEPARATOR: char = '.';
/// The token that stands for exactly one token.
pub const ANY: &str = "*";
/// The last token of a pattern that stands for one or more tokens.
pub const REST: &str = ">";

/// Why text is not the subject it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSubject {
    /// The subject, or one of its tokens, is empty.
    #[error("subject {0:?} has an empty token: write tokens joined by single dots")]
    EmptyToken(String),
    /// White space or a control character is in the subject.
    #[error("subject {0:?} holds white space or a control character")]
    Character(String),
    /// `>` is not the last token.
    #[error("subject {0:?} has tokens after '>': it may only be the last token")]
    RestNotLast(String),
    /// A wildcard token is in a subject that must be a literal.
    #[error("subject {0:?} holds a wildcard where a literal subject is needed")]
    Wildcard(String),
}

/// The tokens of `subject`, from left to right. An empty text has one empty token.
pub fn tokens(subject: &str) -> std::str::Split<'_, char> {
    subject.split(SEPARATOR)
}

/// Is `subject` something a client may publish to? Tokens `*` and `>` are allowed and taken literally, as the NATS
/// server does outside of pedantic mode.
pub fn is_publishable(subject: &str) -> bool {
    let mut token_is_empty = true;
    for byte in subject.bytes() {
        match byte {
            b'.' if token_is_empty => return false,
            b'.' => token_is_empty = true,
            byte if !is_token_byte(byte) => return false,
            _ => token_is_empty = false,
        }
    }
    !token_is_empty
}

/// Is `subject` something a client may subscribe to: a literal, or a pattern whose only `>` is its last token?
pub fn is_subscribable(subject: &str) -> bool {
    is_publishable(subject) && rest_is_last(subject)
}

/// Is `subject` a valid subject without wildcard tokens?
pub fn is_literal(subject: &str) -> bool {
    is_publishable(subject) && !has_wildcards(subject)
}

/// Does any token of `subject` stand for other tokens?
pub fn has_wildcards(subject: &str) -> bool {
    // Most subjects hold neither character; only then is the walk over the tokens worth its cost.
    subject.bytes().any(|byte| byte == b'*' || byte == b'>')
        && tokens(subject).any(|token| token == ANY || token == REST)
}

/// Checks that `subject` may be subscribed to.
///
/// # Errors
/// Says which rule of the grammar is broken.
pub fn check_subscribable(subject: &str) -> Result<(), InvalidSubject> {
    check_characters(subject)?;
    if !rest_is_last(subject) {
        return Err(InvalidSubject::RestNotLast(subject.to_owned()));
    }
    Ok(())
}

/// Checks that `subject` is a valid subject without wildcards.
///
/// # Errors
/// Says which rule of the grammar is broken.
pub fn check_literal(subject: &str) -> Result<(), InvalidSubject> {
    check_characters(subject)?;
    if has_wildcards(subject) {
        return Err(InvalidSubject::Wildcard(subject.to_owned()));
    }
    Ok(())
}

fn check_characters(subject: &str) -> Result<(), InvalidSubject> {
    if tokens(subject).any(str::is_empty) {
        return Err(InvalidSubject::EmptyToken(subject.to_owned()));
    }
    if !subject.bytes().all(is_token_byte) {
        return Err(InvalidSubject::Character(subject.to_owned()));
    }
    Ok(())
}

fn rest_is_last(subject: &str) -> bool {
    let mut tokens = tokens(subject);
    tokens.by_ref().find(|token| *token == REST).is_none_or(|_| tokens.next().is_none())
}

/// Anything but ASCII white space and control characters; bytes of longer UTF-8 sequences are all fine.
fn is_token_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_follows_the_reference_server() {
        // (subject, publishable, subscribable, literal)
        let table = [
            ("foo", true, true, true),
            ("foo.bar", true, true, true),
            ("größe.温度", true, true, true),
            ("foo.*", true, true, false),
            ("foo.>", true, true, false),
            (">", true, true, false),
            ("*", true, true, false),
            ("foo.>.bar", true, false, false),
            (">.bar", true, false, false),
            ("foo*.b>r", true, true, true),
            (">>", true, true, true),
            ("", false, false, false),
            (".", false, false, false),
            (".foo", false, false, false),
            ("foo.", false, false, false),
            ("foo..bar", false, false, false),
            ("foo bar", false, false, false),
            ("foo\tbar", false, false, false),
            ("foo\r\nbar", false, false, false),
            ("foo.\u{0}", false, false, false),
            ("foo.\u{7f}", false, false, false),
        ];
        for (subject, publishable, subscribable, literal) in table {
            assert_eq!(is_publishable(subject), publishable, "publishable {subject:?}");
            assert_eq!(is_subscribable(subject), subscribable, "subscribable {subject:?}");
            assert_eq!(is_literal(subject), literal, "literal {subject:?}");
            assert_eq!(check_subscribable(subject).is_ok(), subscribable, "check {subject:?}");
            assert_eq!(check_literal(subject).is_ok(), literal, "check literal {subject:?}");
        }
    }

    #[test]
    fn errors_name_the_broken_rule() {
        assert_eq!(check_literal("a..b"), Err(InvalidSubject::EmptyToken("a..b".into())));
        assert_eq!(check_literal("a b"), Err(InvalidSubject::Character("a b".into())));
        assert_eq!(check_literal("a.*"), Err(InvalidSubject::Wildcard("a.*".into())));
        assert_eq!(check_subscribable(">.a"), Err(InvalidSubject::RestNotLast(">.a".into())));
    }
}
