//! Reference tables as the project declares them, and as a generation pins them.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::file::{NAME_HELP, Ordered, Text, columns, is_name, known};
use super::{Column, ProjectError, Source};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceToml {
    file: Spanned<String>,
    format: Option<ReferenceFormat>,
    key: Spanned<Vec<Spanned<String>>>,
    columns: Ordered<Spanned<String>>,
}

pub(super) fn references(
    at: &Text,
    tables: Ordered<ReferenceToml>,
    sources: &BTreeMap<String, Source>,
) -> Result<BTreeMap<String, Reference>, ProjectError> {
    let mut references = BTreeMap::new();
    for (name, table) in tables.0 {
        if !is_name(name.get_ref()) {
            return at.refuse(name.span(), format!("'{}' cannot be a reference's name", name.get_ref()), NAME_HELP);
        }
        if sources.contains_key(name.get_ref()) {
            let cause = format!("'{}' is a source already", name.get_ref());
            return at.refuse(name.span(), cause, "give the reference another name");
        }
        let reference = reference(at, name.get_ref(), table)?;
        references.insert(name.into_inner(), reference);
    }
    Ok(references)
}

fn reference(at: &Text, name: &str, table: ReferenceToml) -> Result<Reference, ProjectError> {
    let Some(format) = table.format.or_else(|| ReferenceFormat::of_file(table.file.get_ref())) else {
        let cause = format!("what '{}' holds is not told by its name", table.file.get_ref());
        return at.refuse(table.file.span(), cause, "add format = \"csv\", \"parquet\" or \"delta\"");
    };
    let columns = plain(at, table.columns)?;
    let key = key(at, table.key, &columns)?;
    Ok(Reference { name: name.to_owned(), file: table.file.into_inner(), format, key, columns })
}

/// The declared columns. Formats and precisions are for times in events: a reference's are its file's.
fn plain(at: &Text, table: Ordered<Spanned<String>>) -> Result<Vec<Column>, ProjectError> {
    let places: Vec<Range<usize>> = table.0.iter().map(|(_, declaration)| declaration.span()).collect();
    let columns = columns(at, table, None)?;
    match columns.iter().zip(places).find(|(column, _)| !column.format.is_default() || column.digits.is_some()) {
        Some((column, place)) => {
            let cause = format!("the TIMESTAMP '{}' of a reference has a format or a precision", column.name);
            at.refuse(place, cause, "declare it as TIMESTAMP and write ISO 8601 into the file")
        }
        None => Ok(columns),
    }
}

fn key(at: &Text, names: Spanned<Vec<Spanned<String>>>, columns: &[Column]) -> Result<Vec<String>, ProjectError> {
    if names.get_ref().is_empty() {
        return at.refuse(names.span(), "a reference needs a key", "name the columns that tell its rows apart");
    }
    let mut key: Vec<String> = Vec::new();
    for name in names.into_inner() {
        let Some(column) = columns.iter().find(|column| column.name == *name.get_ref()) else {
            return at.refuse(name.span(), format!("unknown column '{}'", name.get_ref()), &known(columns));
        };
        if canonical_type(&column.kind.data_type()).is_none() {
            let cause = format!("'{}' cannot be a key: FLOAT and DOUBLE are never compared for equality", column.name);
            return at.refuse(name.span(), cause, "declare it as DECIMAL, or take another column");
        }
        if key.contains(name.get_ref()) {
            return at.refuse(name.span(), format!("'{}' is named twice", name.get_ref()), "name each column once");
        }
        key.push(name.into_inner());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

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
