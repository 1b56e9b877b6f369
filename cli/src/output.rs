//! What commands print: data on stdout, as text for people or as JSON.

use serde::Serialize;
use serde_json::Value;

/// Prints to stdout in the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// One result: JSON on a line, or the text.
    pub fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(value)?);
        } else {
            println!("{}", text());
        }
        Ok(())
    }

    /// Rows of an answer: the answer itself as JSON, or a table.
    pub fn table(self, answer: &Value, columns: &[String], rows: &[Value]) -> anyhow::Result<()> {
        self.print(answer, || table(columns, rows))
    }
}

/// Aligned columns under their names.
pub fn table(columns: &[String], rows: &[Value]) -> String {
    let cell = |row: &Value, column: &String| match &row[column] {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut lines = vec![columns.to_vec()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    let widths: Vec<usize> =
        (0..columns.len()).map(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0)).collect();
    let padded = |line: &Vec<String>| -> String {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned() {
        let rows = [json!({"country": "Norway", "lines": 12}), json!({"country": null, "lines": 3})];
        assert_eq!(table(&["country".into(), "lines".into()], &rows), "country  lines\nNorway   12\nNULL     3");
    }
}
