//! The files of the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::Manifest;
use crate::source::Source;

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below `root` that belong to the tree, as paths from the workspace's root, in order.
pub(crate) fn files(root: &Path, wanted: impl Fn(&str) -> bool + Copy) -> Vec<String> {
    /// What is built, fetched, or run here.
    const OUTSIDE: &[&str] = &["target", ".git", ".flotilla", "node_modules", "__pycache__"];
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display())) {
        let path = entry.expect("a directory can be read to its end").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !OUTSIDE.contains(&name.as_str()) {
            found.extend(files(&path, wanted));
        } else if path.is_file() && wanted(&name) {
            let path = path.strip_prefix(workspace()).unwrap_or(&path);
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found.sort_unstable();
    found
}

pub(crate) fn manifests() -> Vec<Manifest> {
    let mut paths = files(&workspace().join("crates"), |name| name == "Cargo.toml");
    paths.push("tests/Cargo.toml".into());
    paths.into_iter().map(|path| Manifest::parse(path.clone(), &read(&path))).collect()
}

pub(crate) fn sources() -> Vec<Source> {
    let roots = ["crates", "tests", "tools"].map(|root| workspace().join(root));
    let paths = roots.iter().flat_map(|root| files(root, |name| name.ends_with(".rs")));
    let mut sources: Vec<Source> =
        paths.map(|path| Source::new(path.clone(), read(&path))).collect();
    let fixtures: BTreeSet<String> = sources.iter().flat_map(fixtures_of).collect();
    for source in &mut sources {
        source.is_test |= fixtures.contains(&source.path);
    }
    sources
}

/// The files of modules that a file declares for tests only.
pub(crate) fn fixtures_of(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|two| two[0] == "#[cfg(test)]");
    let names = declared.filter_map(|two| two[1].strip_prefix("mod ")?.strip_suffix(';'));
    let stem = source.path.trim_end_matches(".rs");
    let (dir, file) = stem.rsplit_once('/').unwrap_or_default();
    let dir = if ["lib", "main", "mod"].contains(&file) { dir } else { stem };
    names.flat_map(|name| [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")]).collect()
}

mod tests {
    use super::*;

    #[test]
    fn finds_modules_for_tests() {
        let text = "#[cfg(test)]\nmod fixture;\nmod machine;\n".to_owned();
        let found = fixtures_of(&Source::new("crates/meta/src/lib.rs".into(), text));
        assert_eq!(found[0], "crates/meta/src/fixture.rs");
        assert_eq!(found.len(), 2);
    }
}
