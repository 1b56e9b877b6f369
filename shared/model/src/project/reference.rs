//! Reference tables as the project declares them, and as a generation pins them.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeValue;

use super::column::Column;
use super::declared::{Columns, KEY_HELP};
use super::table::{Entry, Table, Text};
use crate::key::canonical_type;

/// A small table of facts that views join by its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    pub name: String,
    /// File or folder, relative to the project's.
    pub file: String,
    pub format: ReferenceFormat,
    /// Columns that together name at most one row.
    pub key: Vec<String>,
    pub columns: Vec<Column>,
}

/// How a reference's file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceFormat {
    /// With a header; columns are found by name, an empty field is NULL.
    Csv,
    Parquet,
    /// The folder of a Delta table, read at its newest version.
    Delta,
}

/// The rows that a generation was built with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferencePin {
    pub name: String,
    pub key: Vec<String>,
    pub columns: Vec<Column>,
    /// Of key, columns and rows, whatever the rows' order: the first 16 bytes of a SHA-256, in hex.
    pub hash: String,
    pub rows: u64,
    /// Version of the Delta table that the rows were read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

impl ReferenceFormat {
    /// By the file's extension; what has none is the folder of a Delta table.
    fn of_file(file: &str) -> Option<Self> {
        let name = file.trim_end_matches('/').rsplit('/').next().unwrap_or(file);
        match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("csv") => Some(Self::Csv),
            Some("parquet") => Some(Self::Parquet),
            Some("delta") | None => Some(Self::Delta),
            Some(_) => None,
        }
    }
}

const KEYS: [&str; 4] = ["file", "format", "key", "columns"];

/// The reference of this name, which may not be one of those that are taken by sources.
pub(super) fn reference<'i>(
    at: &Text<'i>,
    name: &Spanned<String>,
    value: Spanned<DeValue<'i>>,
    taken: &BTreeSet<String>,
) -> Option<Reference> {
    if taken.contains(name.get_ref()) {
        at.report(name.span(), format!("'{}' is a source already", name.get_ref()), "give the reference another name");
    }
    let mut table = Table::of(at, value, &KEYS);
    let file: Option<Spanned<String>> = table.required("file", KEY_HELP);
    let format = match table.optional("format") {
        Some(format) => Some(format),
        None => file.as_ref().and_then(|file| told_by_name(at, file)),
    };
    let key = table.required("key", KEY_HELP);
    let columns = table.required_entries("columns", KEY_HELP).map(|entries| plain(at, entries))?;
    let key = key.and_then(|names| rows_key(at, names, &columns));
    Some(Reference {
        name: name.get_ref().clone(),
        file: file?.into_inner(),
        format: format?,
        key: key?,
        columns: columns.sound()?,
    })
}

fn told_by_name(at: &Text, file: &Spanned<String>) -> Option<ReferenceFormat> {
    let format = ReferenceFormat::of_file(file.get_ref());
    if format.is_none() {
        let cause = format!("what '{}' holds is not told by its name", file.get_ref());
        at.report(file.span(), cause, "add format = \"csv\", \"parquet\" or \"delta\"");
    }
    format
}

/// The declared columns. Formats and precisions are for times in events: a reference's are its file's.
fn plain(at: &Text, entries: Vec<Entry>) -> Columns {
    let places: Vec<(String, Range<usize>)> =
        entries.iter().map(|(name, declaration)| (name.get_ref().clone(), declaration.span())).collect();
    let mut columns = Columns::read(at, entries, None);
    columns.refuse(|column| {
        if column.format.is_default() && column.digits.is_none() {
            return false;
        }
        let place = places.iter().find(|(name, _)| *name == column.name).map_or(0..0, |(_, place)| place.clone());
        let cause = format!("the TIMESTAMP '{}' of a reference has a format or a precision", column.name);
        at.report(place, cause, "declare it as TIMESTAMP and write ISO 8601 into the file");
        true
    });
    columns
}

fn rows_key(at: &Text, names: Spanned<Vec<Spanned<String>>>, columns: &Columns) -> Option<Vec<String>> {
    if names.get_ref().is_empty() {
        return at.refuse(names.span(), "a reference needs a key", "name the columns that tell its rows apart");
    }
    let mut key: Vec<String> = Vec::new();
    let mut is_sound = true;
    for name in names.into_inner() {
        is_sound &= is_key(at, &name, columns, &key);
        key.push(name.into_inner());
    }
    is_sound.then_some(key)
}

fn is_key(at: &Text, name: &Spanned<String>, columns: &Columns, before: &[String]) -> bool {
    let Some(column) = columns.named(at, name, "") else { return false };
    if canonical_type(&column.kind.data_type()).is_none() {
        let cause = format!("'{}' cannot be a key: FLOAT and DOUBLE are never compared for equality", column.name);
        at.report(name.span(), cause, "declare it as DECIMAL, or take another column");
        return false;
    }
    if before.contains(name.get_ref()) {
        at.report(name.span(), format!("'{}' is named twice", name.get_ref()), "name each column once");
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Project, ProjectError};

    const GEO: &str = r#"
[project]
name = "geo"
[references.countries]
file = "countries.csv"
key = ["code"]
[references.countries.columns]
code = "VARCHAR NOT NULL"
name = "VARCHAR"
area = "DOUBLE"
"#;

    fn refused(from: &str, to: &str) -> ProjectError {
        assert!(GEO.contains(from));
        Project::parse("anabranch.toml", &GEO.replace(from, to)).unwrap_err()
    }

    #[test]
    fn the_format_follows_the_file() {
        let format = |file: &str, more: &str| {
            let text = GEO.replace("\"countries.csv\"", &format!("\"{file}\"{more}"));
            Project::parse("anabranch.toml", &text).unwrap().references["countries"].format
        };
        assert_eq!(format("countries.csv", ""), ReferenceFormat::Csv);
        assert_eq!(format("a.b/countries.PARQUET", ""), ReferenceFormat::Parquet);
        assert_eq!(format("a.b/countries", ""), ReferenceFormat::Delta);
        assert_eq!(format("countries.txt", "\nformat = \"csv\""), ReferenceFormat::Csv);
    }

    #[test]
    fn mistakes_have_a_place_and_a_next_step() {
        for (from, to, line, words) in [
            ("countries.csv", "countries.txt", 5, "format ="),
            ("[\"code\"]", "[]", 6, "needs a key"),
            ("[\"code\"]", "[\"cod\"]", 6, "the columns are code, name, area"),
            ("[\"code\"]", "[\"area\"]", 6, "cannot be a key"),
            ("[\"code\"]", "[\"code\", \"code\"]", 6, "twice"),
            ("key =", "keys =", 6, "keys"),
            ("\"DOUBLE\"", "\"MONEY\"", 10, "MONEY"),
            ("\"DOUBLE\"", "\"TIMESTAMP FORMAT 'epoch_millis'\"", 10, "ISO 8601"),
        ] {
            let error = refused(from, to);
            assert!(error.to_string().contains(words) && error.place.line == line, "{to}: {error}");
        }
        let source = "[sources.countries]\ntopic = \"t\"\nformat = \"json\"\nevent_time = \"at\"\nlateness = \"1 day\"\n\
                      [sources.countries.columns]\nat = \"TIMESTAMP NOT NULL\"\n[references.countries]";
        assert!(refused("[references.countries]", source).cause.contains("source already"));
    }
}
