//! Passwords and tokens, kept out of logs by their type.

use std::fmt;

/// A password, a token, or a bcrypt hash of one.
///
/// It has no `Display`, and its `Debug` shows nothing; [`expose`](Self::expose) is the one way to the
/// content, so that every use can be found.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(content: impl Into<Box<str>>) -> Self {
        Self(content.into())
    }

    /// The content: for checking credentials and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the content is a bcrypt hash and not the secret itself.
    pub fn is_bcrypt(&self) -> bool {
        ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| self.0.starts_with(prefix))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
