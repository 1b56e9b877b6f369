//! What commands print: data on stdout, as text for people or as JSON.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::args::Format;

/// Prints to stdout in the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// One result: JSON on a line, or the text.
    pub fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let json = serde_json::to_string(value)?;
        self.print_text(&json, text);
        Ok(())
    }

    /// The same of JSON that is there as a text, and is not read and written again.
    pub fn print_text(self, json: &str, text: impl FnOnce() -> String) {
        if self.json {
            println!("{json}");
        } else {
            println!("{}", text());
        }
    }

    /// Rows of an answer in the form that was asked for; `json` is the whole answer.
    pub fn rows(self, format: Format, json: &str, columns: &[String], rows: &[Row]) -> anyhow::Result<()> {
        match format {
            Format::Table => self.print_text(json, || aligned(columns, rows)),
            Format::Csv => print!("{}", csv(columns, rows)?),
            Format::Ndjson => print!("{}", ndjson(rows)?),
        }
        Ok(())
    }

    /// Rows of an answer: the answer itself as JSON, or a table.
    pub fn table(self, answer: &Value, columns: &[String], rows: &[Value]) -> anyhow::Result<()> {
        self.print(answer, || table(columns, rows))
    }
}

/// The fields of a JSON object, in their order and as they are written: a number that is read into a
/// double and written again may have other digits.
#[derive(Clone, Debug)]
pub struct Row(Vec<(String, Box<RawValue>)>);

impl Row {
    fn of(value: &Value) -> Self {
        let field = |(name, value): (&String, &Value)| Some((name.clone(), to_raw_value(value).ok()?));
        Self(value.as_object().into_iter().flatten().filter_map(field).collect())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Names and JSON of the fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// The JSON of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.get())
    }

    /// The row with this JSON in a field that it has.
    pub fn with(mut self, name: &str, json: &str) -> Self {
        if let Some((_, value)) = self.0.iter_mut().find(|(field, _)| field == name) {
            *value = RawValue::from_string(json.to_owned()).expect("a value is given as JSON");
        }
        self
    }

    /// A field as a person reads it.
    pub fn cell(&self, name: &str) -> String {
        let json = self.get(name).unwrap_or("null");
        match json.as_bytes().first() {
            Some(b'n') => "NULL".to_owned(),
            Some(b'"') => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
            _ => json.to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Row(fields))
    }
}

/// Aligned columns under their names.
pub fn table(columns: &[String], rows: &[Value]) -> String {
    let rows: Vec<Row> = rows.iter().map(Row::of).collect();
    aligned(columns, &rows)
}

/// The same of rows as they came.
pub fn aligned(columns: &[String], rows: &[Row]) -> String {
    let mut lines = vec![columns.to_vec()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| row.cell(column)).collect()));
    let widths: Vec<usize> =
        (0..columns.len()).map(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0)).collect();
    let padded = |line: &Vec<String>| -> String {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

/// Rows as CSV under a header; a NULL is an empty field, and so is an empty text.
pub fn csv(columns: &[String], rows: &[Row]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns)?;
    for row in rows {
        let is_null = |name: &String| row.get(name).is_none_or(|json| json == "null");
        writer.write_record(columns.iter().map(|name| if is_null(name) { String::new() } else { row.cell(name) }))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Rows as NDJSON: an object a line, its values as they came.
pub fn ndjson(rows: &[Row]) -> anyhow::Result<String> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    Ok(text)
}

/// A count with its unit.
pub fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
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

    #[test]
    fn numbers_have_the_digits_with_which_they_came() {
        let rows: Vec<Row> =
            serde_json::from_str(r#"[{"x":2.2250738585072014e-308,"n":[9007199254740993,-0.0],"s":"a\"b"}]"#).unwrap();
        let columns = ["x", "n", "s", "none"].map(str::to_owned);
        let text = aligned(&columns, &rows);
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["2.2250738585072014e-308", "[9007199254740993,-0.0]", "a\"b", "NULL"]);
    }

    #[test]
    fn rows_are_csv_and_ndjson_with_their_digits() {
        let rows: Vec<Row> =
            serde_json::from_str(r#"[{"a":"x, \"y\"","n":18446744073709551617.0},{"a":null,"n":[1]}]"#).unwrap();
        assert_eq!(
            csv(&["a", "n"].map(str::to_owned), &rows).unwrap(),
            "a,n\n\"x, \"\"y\"\"\",18446744073709551617.0\n,[1]\n"
        );
        let lines = "{\"a\":\"x, \\\"y\\\"\",\"n\":18446744073709551617.0}\n{\"a\":null,\"n\":[1]}\n";
        assert_eq!(ndjson(&rows).unwrap(), lines);
    }
}
