//! The configuration's files and variables, from the real file system and environment.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flotilla_config::Source;

/// Reads files from disk and variables from the process's environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSource;

impl Source for SystemSource {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too long, even one without a size, such as a
        // pipe.
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(bound).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() > limit {
            return Err(format!("the file is larger than {limit} bytes"));
        }
        Ok(bytes)
    }

    fn variable(&self, name: &str) -> Option<String> {
        // A name that no variable can have would make the standard library panic on some systems.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        std::env::var(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_longer_than_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.conf");
        std::fs::write(&path, "port: 4222").unwrap();
        assert_eq!(SystemSource.read(&path, 10).as_deref(), Ok(b"port: 4222".as_slice()));
        assert!(SystemSource.read(&path, 9).unwrap_err().contains("larger than 9 bytes"));
        assert!(SystemSource.read(&directory.path().join("no"), 9).is_err());
    }

    #[test]
    fn impossible_names_are_no_variables() {
        for name in ["", "a=b", "a\0b", "FLOTILLA_TEST_SURELY_UNSET"] {
            assert_eq!(SystemSource.variable(name), None);
        }
    }
}
