//! What can be wrong with the text of a configuration.

use super::position::Position;

/// The first fault in the text of a configuration, and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {fault}")]
pub struct SyntaxError {
    /// Where the fault is.
    pub at: Position,
    /// What it is.
    pub fault: Fault,
}

/// A fault in the text. Content is never repeated, since it may be a secret; single characters and
/// names of files and variables are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is not there, or not readable, or too large.
    #[error("cannot read {path:?}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the source said.
        reason: String,
    },
    /// Bytes that are no UTF-8.
    #[error("the text is not valid UTF-8")]
    NotUtf8,
    /// A `:` or `=` where a key should be.
    #[error("unexpected `{0}`: a key must stand before it")]
    SeparatorWithoutKey(char),
    /// Something that no key can begin with.
    #[error("expected a key, but got `{0}`")]
    ExpectedKey(char),
    /// A key with nothing behind it.
    #[error("expected a value after the key {0:?}")]
    ExpectedValue(String),
    /// Two values without something between them.
    #[error("expected a new line, `,` or `;` after the value, but got `{0}`")]
    ExpectedEnd(char),
    /// Two array items without something between them.
    #[error("expected `,`, a new line or `]` after the array's item, but got `{0}`")]
    ExpectedArrayEnd(char),
    /// `[a,,b]`.
    #[error("unexpected `{0}`: an array's item must stand before it")]
    ExpectedItem(char),
    /// A `}` that closes nothing.
    #[error("unexpected `}}`: no map is open here")]
    StrayBrace,
    /// Text behind the brace that closes the whole configuration.
    #[error("unexpected text after the brace that closes the configuration")]
    TrailingText,
    /// The text ends inside something.
    #[error("the text ends inside {what} that begins here")]
    Unclosed {
        /// What was still open.
        what: &'static str,
    },
    /// A `\` with something unknown behind it.
    #[error(r#"`\{0}` is no escape: only \xHH, \t, \n, \r, \" and \\ are"#)]
    Escape(char),
    /// A number that does not fit 64 bits.
    #[error("the integer is out of range")]
    OutOfRange,
    /// Something that begins like a number and is none.
    #[error("not a number: quote it if it is a string")]
    Number,
    /// A `$NAME` that is defined nowhere.
    #[error(
        "variable reference for '{0}' can not be found: define it before its use, in this map, an \
         enclosing one, or the environment"
    )]
    UnknownVariable(String),
    /// An environment variable that refers to itself.
    #[error("variable reference cycle for '{0}'")]
    VariableCycle(String),
    /// An environment variable that is no single value.
    #[error("variable reference for '{name}' could not be parsed: {fault}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with its value.
        fault: Box<Self>,
    },
    /// `include` without a path.
    #[error("expected a path after `include`")]
    IncludePath,
    /// A file that includes itself.
    #[error("{0:?} includes itself")]
    IncludeCycle(String),
    /// More nesting than a configuration can need.
    #[error("more than {limit} {what}")]
    TooMuch {
        /// The limit.
        limit: usize,
        /// What there is too much of.
        what: &'static str,
    },
}
