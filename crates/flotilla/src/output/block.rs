//! A block of labelled values under headings, the labels right-aligned to one column:
//!
//! ```text
//! Cluster Information:
//!
//!                  Name: C1
//!                Leader: n1-c1
//! ```

use std::fmt::Write;

/// Columns the labels take at least, so that blocks of different commands look alike.
const LABELS: usize = 21;

/// The lines of a block, in order.
#[derive(Debug, Default)]
pub(crate) struct Block {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Title(String),
    Heading(&'static str),
    Field(&'static str, String),
}

impl Block {
    /// A block with a first line of text.
    pub(crate) fn new(title: String) -> Self {
        Self { lines: vec![Line::Title(title)] }
    }

    /// Begins a section.
    pub(crate) fn heading(&mut self, text: &'static str) -> &mut Self {
        self.lines.push(Line::Heading(text));
        self
    }

    /// Adds a labelled value.
    pub(crate) fn field(&mut self, label: &'static str, value: impl Into<String>) -> &mut Self {
        self.lines.push(Line::Field(label, value.into()));
        self
    }

    /// Adds a labelled value if it says anything.
    pub(crate) fn field_if(&mut self, label: &'static str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        if value.is_empty() { self } else { self.field(label, value) }
    }

    /// The whole block as text.
    pub(crate) fn render(&self) -> String {
        let width = self.lines.iter().fold(LABELS, |width, line| match line {
            Line::Field(label, _) => width.max(label.len()),
            _ => width,
        });
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = match line {
                Line::Title(title) => writeln!(text, "{title}"),
                Line::Heading(heading) if index == 0 => writeln!(text, "{heading}:\n"),
                Line::Heading(heading) => writeln!(text, "\n{heading}:\n"),
                Line::Field(label, value) => writeln!(text, "{label:>width$}: {value}"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Block;

    #[test]
    fn labels_end_in_one_column() {
        let mut block = Block::new("Information for Stream S created now".into());
        block.heading("Cluster Information").field("Name", "C1").field("Leader", "n1-c1");
        block.field_if("Tags", "");
        let expected = "Information for Stream S created now\n\nCluster Information:\n\n\
            \x20                Name: C1\n               Leader: n1-c1\n";
        assert_eq!(block.render(), expected);
    }
}
