//! Where the text of a configuration comes from: the crate itself opens no file and reads no environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Gives the parser its files and variables.
pub trait Source {
    /// The bytes of a file, at most `limit` of them.
    ///
    /// # Errors
    /// A reason for the operator, such as `no such file or directory`. A file longer than `limit` is
    /// an error too, and must be found to be one before it is read whole.
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, String>;

    /// An environment variable, if it is set and valid UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Files and variables held in memory, for tests and for configurations that never were a file.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    files: BTreeMap<PathBuf, Vec<u8>>,
    variables: BTreeMap<String, String>,
}

impl MemorySource {
    /// A source with one file.
    pub fn with_file(path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        Self::default().file(path, text)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Source for MemorySource {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, String> {
        let text = self.files.get(path).ok_or("no such file or directory")?;
        if text.len() > limit {
            return Err(format!("the file is larger than {limit} bytes"));
        }
        Ok(text.clone())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
