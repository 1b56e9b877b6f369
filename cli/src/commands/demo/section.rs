//! What a person sees of a step: a heading, a paragraph, a table.

use super::paint::Paint;

/// Columns that a line of prose has at most.
const WIDTH: usize = 100;
const INDENT: &str = "  ";

/// A step as it is shown.
#[derive(Clone, Debug)]
pub struct Section {
    pub heading: &'static str,
    pub prose: String,
    pub table: Table,
}

/// Rows below their header.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Section {
    /// The text of the section with this number.
    pub fn text(&self, number: u32, paint: Paint) -> String {
        let heading = paint.bold(&format!("{number}. {}", self.heading));
        format!("{heading}\n{}\n\n{}\n", wrapped(&self.prose), self.table.text(paint))
    }
}

impl Table {
    pub fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub fn row<T: Into<String>>(mut self, cells: impl IntoIterator<Item = T>) -> Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    fn text(&self, paint: Paint) -> String {
        let header = paint.dim(&self.line(&self.header));
        let rows = self.rows.iter().map(|row| self.line(row));
        [header].into_iter().chain(rows).map(|line| format!("{INDENT}{line}")).collect::<Vec<_>>().join("\n")
    }

    fn line(&self, cells: &[String]) -> String {
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let width = self.width(column);
            if self.is_numeric(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().chain([&self.header]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    }

    /// Numbers stand below each other by their last digit.
    fn is_numeric(&self, column: usize) -> bool {
        let is_number = |cell: &String| cell.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ',' | '.'));
        self.rows.iter().filter_map(|row| row.get(column)).all(is_number)
    }
}

/// The text in lines that are as long as they may be.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_right_and_words_left() {
        let table = Table::new(["country", "lines"]).row(["Norway", "12"]).row(["United Kingdom", "26,927"]);
        let expected = "  country          lines\n  Norway              12\n  United Kingdom  26,927";
        assert_eq!(table.text(Paint::none()), expected);
    }

    #[test]
    fn prose_is_wrapped_between_words() {
        let text = wrapped(&"four ".repeat(50));
        let lines: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lines, [99, 99, 49]);
        assert_eq!(wrapped("a\n  b"), "a b");
    }

    #[test]
    fn a_section_has_heading_paragraph_and_table() {
        let section = Section { heading: "A heading", prose: "Why.".into(), table: Table::new(["n"]).row(["1"]) };
        assert_eq!(section.text(2, Paint::none()), "2. A heading\nWhy.\n\n  n\n  1\n");
    }
}
