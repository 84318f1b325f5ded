//! What a `$NAME` stands for.

use super::cursor::Cursor;
use super::error::{Fault, SyntaxError};
use super::limits::{MAX_DEPTH, MAX_VARIABLE_DEPTH};
use super::parser::{FileParser, Parser};
use super::position::Position;
use super::value::{Map, Value, ValueKind};

/// The value of `name`: from the innermost map that has the key, else from the environment, where it is
/// read as a configuration value and so may be a number, an array, or another variable.
///
/// `depth` is how deep the use is nested, since the value brings its own depth along.
pub(super) fn resolve(
    parser: &mut Parser<'_>,
    scopes: &mut [Map],
    name: &str,
    depth: usize,
    at: &Position,
) -> Result<Value, SyntaxError> {
    for scope in scopes.iter_mut().rev() {
        let Some(entry) = scope.get_mut(name) else { continue };
        entry.used = true;
        // The definition may be used many times over: each use counts, and is checked before it is made.
        parser.weigh(entry.value.weight(), at)?;
        if depth + entry.value.depth() > MAX_DEPTH {
            let fault =
                Fault::TooMuch { limit: MAX_DEPTH, what: "maps and arrays within each other" };
            return Err(SyntaxError { at: at.clone(), fault });
        }
        return Ok(Value { at: at.clone(), kind: entry.value.kind.clone() });
    }
    let fault = |fault| SyntaxError { at: at.clone(), fault };
    let Some(text) = parser.source.variable(name) else {
        return Err(fault(Fault::UnknownVariable(name.to_owned())));
    };
    let kind = environment(parser, name, &text, depth).map_err(fault)?;
    Ok(Value { at: at.clone(), kind })
}

/// The value of an environment variable.
fn environment(
    parser: &mut Parser<'_>,
    name: &str,
    text: &str,
    depth: usize,
) -> Result<ValueKind, Fault> {
    if parser.resolving.iter().any(|open| open == name) {
        return Err(Fault::VariableCycle(name.to_owned()));
    }
    if parser.resolving.len() >= MAX_VARIABLE_DEPTH {
        let what = "environment variables that refer to each other";
        return Err(Fault::TooMuch { limit: MAX_VARIABLE_DEPTH, what });
    }
    if text.trim().is_empty() {
        return Ok(ValueKind::Text(String::new()));
    }
    parser.resolving.push(name.to_owned());
    let cursor = Cursor::new(format!("${name}").into(), text);
    let value = FileParser::for_variable(parser, cursor, depth).lone_value();
    parser.resolving.pop();
    match value {
        Ok(value) => Ok(value.kind),
        Err(SyntaxError { fault: cycle @ Fault::VariableCycle(_), .. }) => Err(cycle),
        Err(error) => Err(Fault::Variable { name: name.to_owned(), fault: Box::new(error.fault) }),
    }
}
