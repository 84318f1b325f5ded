//! Named connections, read from the files of the `nats` tool: nobody configures the same servers twice.
//!
//! A context is `<config>/nats/context/<name>.json`, the selected one's name stands in
//! `<config>/nats/context.txt`; `<config>` is `$XDG_CONFIG_HOME`, else `~/.config`. Nothing is ever written.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::Deserialize;

/// The settings of a context that this tool understands; the rest of the file is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Context {
    /// Comma-separated server URLs.
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Certificate, key and authority: paths of PEM files.
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) ca: String,
    pub(crate) tls_first: bool,
    pub(crate) inbox_prefix: String,
    pub(crate) jetstream_domain: String,
    pub(crate) jetstream_api_prefix: String,
    // Not supported, and refused rather than ignored: connecting as somebody else would be worse.
    creds: String,
    nkey: String,
    user_jwt: String,
    nsc: String,
    socks_proxy: String,
}

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    #[error("context {name:?} does not exist: there is no {}", path.display())]
    Unknown { name: String, path: PathBuf },
    #[error("context {0:?} has a name that is not a file name")]
    Name(String),
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a context: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error(
        "context {name:?} sets {setting:?}, which this tool does not support; use --user, --token or --tlscert"
    )]
    Unsupported { name: String, setting: &'static str },
}

impl Context {
    /// Reads the named context, or the selected one, or an empty one if none is selected.
    ///
    /// # Errors
    /// The context is missing or damaged, or needs something this tool cannot do.
    pub(crate) fn load(name: Option<&str>) -> Result<Self, ContextError> {
        match config_home() {
            Some(home) => Self::load_from(&home, name),
            None => Ok(Self::default()),
        }
    }

    fn load_from(home: &Path, name: Option<&str>) -> Result<Self, ContextError> {
        let selected = match name {
            Some(name) => Some(name.to_owned()),
            None => selected(home)?,
        };
        let Some(name) = selected else { return Ok(Self::default()) };
        if name.contains(['/', '\\']) || name == ".." {
            return Err(ContextError::Name(name));
        }
        let path = home.join("nats/context").join(format!("{name}.json"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContextError::Unknown { name, path });
            }
            Err(source) => return Err(ContextError::Io { path, source }),
        };
        let context: Self =
            serde_json::from_str(&text).map_err(|source| ContextError::Json { path, source })?;
        context.refuse_unsupported(&name)?;
        Ok(context)
    }

    fn refuse_unsupported(&self, name: &str) -> Result<(), ContextError> {
        let settings = [
            ("creds", &self.creds),
            ("nkey", &self.nkey),
            ("user_jwt", &self.user_jwt),
            ("nsc", &self.nsc),
            ("socks_proxy", &self.socks_proxy),
        ];
        match settings.into_iter().find(|(_, value)| !value.is_empty()) {
            Some((setting, _)) => Err(ContextError::Unsupported { name: name.to_owned(), setting }),
            None => Ok(()),
        }
    }
}

fn config_home() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

fn selected(home: &Path) -> Result<Option<String>, ContextError> {
    let path = home.join("nats/context.txt");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ContextError::Io { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("nats/context")).unwrap();
        for (name, text) in files {
            fs::write(home.path().join("nats").join(name), text).unwrap();
        }
        home
    }

    #[test]
    fn a_named_context_goes_before_the_selected_one() {
        let home = home(&[
            ("context.txt", "west\n"),
            (
                "context/west.json",
                r#"{"description":"","url":"nats://west:4222","color_scheme":""}"#,
            ),
            ("context/east.json", r#"{"url":"nats://east:4222","user":"ada","password":"x"}"#),
        ]);
        assert_eq!(Context::load_from(home.path(), None).unwrap().url, "nats://west:4222");
        let east = Context::load_from(home.path(), Some("east")).unwrap();
        assert_eq!((east.url.as_str(), east.user.as_str()), ("nats://east:4222", "ada"));
    }

    #[test]
    fn without_any_context_everything_is_empty() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Context::load_from(home.path(), None).unwrap().url, "");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let home = home(&[
            ("context/creds.json", r#"{"url":"nats://a","creds":"/a.creds"}"#),
            ("context/broken.json", "{"),
        ]);
        let load = |name| Context::load_from(home.path(), Some(name)).unwrap_err();
        assert!(matches!(load("creds"), ContextError::Unsupported { setting: "creds", .. }));
        assert!(matches!(load("broken"), ContextError::Json { .. }));
        assert!(matches!(load("none"), ContextError::Unknown { .. }));
        assert!(matches!(load("../x"), ContextError::Name(_)));
    }
}
