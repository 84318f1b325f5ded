//! Manifests, as far as the rules look into them.

/// One manifest: its path from the workspace's root, its package, and what it depends on outside tests.
pub(crate) struct Manifest {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) dependencies: Vec<(usize, String)>,
}

impl Manifest {
    pub(crate) fn parse(path: String, text: &str) -> Self {
        let (mut name, mut dependencies, mut section) = (String::new(), Vec::new(), "");
        for (index, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()))
        {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']');
                let named =
                    section.rsplit_once("dependencies.").filter(|_| is_dependencies(section));
                dependencies.extend(named.map(|(_, name)| (index, name.to_owned())));
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let key = key.trim();
            if section == "package" && key == "name" {
                name = value.trim().trim_matches('"').to_owned();
            } else if is_dependencies(section) && section.ends_with("dependencies") {
                let name = key.split('.').next().unwrap_or(key);
                dependencies.push((index, name.to_owned()));
            }
        }
        Self { path, name, dependencies }
    }
}

/// `[dependencies]`, `[target.x.dependencies]` and `[dependencies.foo]`, but not those of tests.
pub(crate) fn is_dependencies(section: &str) -> bool {
    section.contains("dependencies") && !section.contains("dev-dependencies")
}

mod tests {
    use super::*;

    #[test]
    fn reads_a_manifest() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\n# c = 1\nd = { path = \"x\" }\n\
                    [dependencies.e]\nversion = \"1\"\n[dev-dependencies]\nf = \"1\"\n[target.'cfg(unix)'.dependencies]\ng = \"1\"\n";
        let manifest = Manifest::parse("a/Cargo.toml".into(), text);
        let names: Vec<&str> =
            manifest.dependencies.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            (manifest.name.as_str(), names.as_slice()),
            ("a", ["b", "d", "e", "g"].as_slice())
        );
    }
}
