//! Strings: quoted with escapes, quoted without, blocks, and bare words.

use super::cursor::{Cursor, is_blank, is_line_end};
use super::error::{Fault, SyntaxError};

/// A bare word and whether it was plain: a word with an escape is text whatever it looks like.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) escaped: bool,
}

/// Reads `"..."` with escapes; the cursor stands on the quote.
pub(super) fn double_quoted(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    let begin = cursor.position();
    cursor.next();
    let mut bytes = Vec::new();
    loop {
        bytes.extend_from_slice(cursor.take_while(|c| c != '"' && c != '\\').as_bytes());
        match cursor.peek() {
            Some('"') => break,
            Some(_) => bytes.push(escape(cursor)?),
            None => {
                return Err(SyntaxError { at: begin, fault: Fault::Unclosed { what: "a string" } });
            }
        }
    }
    cursor.next();
    String::from_utf8(bytes).map_err(|_| SyntaxError { at: begin, fault: Fault::NotUtf8 })
}

/// Reads `'...'`, where nothing is special; the cursor stands on the quote.
pub(super) fn single_quoted(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    let begin = cursor.position();
    cursor.next();
    let text = cursor.take_while(|c| c != '\'').to_owned();
    if !cursor.take('\'') {
        return Err(SyntaxError { at: begin, fault: Fault::Unclosed { what: "a string" } });
    }
    Ok(text)
}

/// Reads a block: everything between `(` and a line that holds nothing but `)`, line ends included.
pub(super) fn block(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    let begin = cursor.position();
    cursor.next();
    let mut text = String::new();
    loop {
        text.push_str(cursor.take_while(|c| !is_line_end(c)));
        let Some(line_end) = cursor.next() else {
            return Err(SyntaxError { at: begin, fault: Fault::Unclosed { what: "a block" } });
        };
        text.push(line_end);
        if cursor.take_block_end() {
            return Ok(text);
        }
    }
}

/// Reads a bare word: up to a blank, a line end, or something that ends a value.
pub(super) fn bare(cursor: &mut Cursor<'_>) -> Result<Word, SyntaxError> {
    let begin = cursor.position();
    let ends = |c: char| is_blank(c) || is_line_end(c) || matches!(c, ',' | ';' | ']' | '}');
    let mut bytes = Vec::new();
    let mut escaped = false;
    loop {
        bytes.extend_from_slice(cursor.take_while(|c| c != '\\' && !ends(c)).as_bytes());
        if cursor.peek() != Some('\\') {
            break;
        }
        bytes.push(escape(cursor)?);
        escaped = true;
    }
    let text =
        String::from_utf8(bytes).map_err(|_| SyntaxError { at: begin, fault: Fault::NotUtf8 })?;
    Ok(Word { text, escaped })
}

/// Reads one escape; the cursor stands on the backslash.
fn escape(cursor: &mut Cursor<'_>) -> Result<u8, SyntaxError> {
    let begin = cursor.position();
    let fault = |fault| SyntaxError { at: begin.clone(), fault };
    cursor.next();
    let kind = cursor.next().ok_or_else(|| fault(Fault::Unclosed { what: "an escape" }))?;
    match kind {
        't' => Ok(b'\t'),
        'n' => Ok(b'\n'),
        'r' => Ok(b'\r'),
        '"' => Ok(b'"'),
        '\\' => Ok(b'\\'),
        'x' => {
            let mut digit = || cursor.next().and_then(|c| c.to_digit(16));
            let (high, low) = (digit(), digit());
            let byte = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            byte.ok_or_else(|| fault(Fault::Escape('x')))
        }
        other => Err(fault(Fault::Escape(other))),
    }
}
