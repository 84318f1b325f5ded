//! Tables: framed and fitted to the width on a terminal, bare columns for everything else.

use comfy_table::{Cell, CellAlignment, ContentArrangement, presets};

/// The narrowest terminal, in columns, that a table is folded for.
const NARROWEST: u16 = 40;

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(header: &[&str], framed: bool) -> Self {
        let mut table = comfy_table::Table::new();
        if framed {
            table.load_style(presets::UTF8_FULL_CONDENSED.with_rounded_corners());
            // Some terminals say that they have no columns at all.
            if table.width().is_some_and(|columns| columns >= NARROWEST) {
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
        } else {
            table.load_style(presets::NOTHING);
        }
        table.set_header(header.iter().copied());
        Self(table)
    }

    /// Adds a row. A cell that is a number stands right.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cell = |text: &T| {
            let text = text.as_ref();
            let number = text.starts_with(|c: char| c.is_ascii_digit())
                && text.chars().all(|c| c.is_ascii_digit() || c == ',');
            let alignment = if number { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text).set_alignment(alignment)
        };
        self.0.add_row(cells.iter().map(cell));
    }

    /// The table as text, without blanks at the ends of lines.
    pub(crate) fn render(&self) -> String {
        self.0.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn without_a_terminal_there_are_only_columns() {
        let mut table = Table::new(&["Name", "Messages"], false);
        table.row(&["ORDERS", "1,234"]);
        assert_eq!(table.render(), " Name    Messages\n ORDERS     1,234");
    }

    #[test]
    fn on_a_terminal_there_is_a_frame() {
        let mut table = Table::new(&["Name"], true);
        table.row(&["ORDERS"]);
        assert!(table.render().starts_with('╭'), "{}", table.render());
    }
}
