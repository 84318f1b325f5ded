//! Colour, where it is wanted. It only repeats what the words already say.

use std::env;

use clap::ColorChoice;

/// Whether to colour standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    pub(crate) fn new(choice: ColorChoice, terminal: bool) -> Self {
        let enabled = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wanted(|name| env::var(name).ok(), terminal),
        };
        Self { enabled }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.enabled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The conventions of the environment, in their order: NO_COLOR, CLICOLOR_FORCE, TERM=dumb, a terminal.
fn wanted(variable: impl Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    terminal && set("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_in_the_usual_order() {
        let decide = |set: &[(&str, &str)], terminal| {
            wanted(
                |name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
                terminal,
            )
        };
        assert!(decide(&[("TERM", "xterm")], true));
        assert!(!decide(&[("TERM", "xterm")], false));
        assert!(!decide(&[("TERM", "dumb")], true));
        assert!(decide(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!decide(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!decide(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true));
        assert!(decide(&[("NO_COLOR", ""), ("TERM", "xterm")], true), "an empty NO_COLOR is unset");
    }

    #[test]
    fn uncoloured_text_is_the_text() {
        assert_eq!(Paint::new(ColorChoice::Never, true).bad("OFFLINE"), "OFFLINE");
        assert_eq!(Paint::new(ColorChoice::Always, false).bad("x"), "\x1b[31mx\x1b[0m");
    }
}
