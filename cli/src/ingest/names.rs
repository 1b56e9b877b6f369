//! The columns of a file beside those that a source declares.
//!
//! A column that a file writes with a blank or in other case would be NULL in every event, without a
//! word: it is refused before anything is written.

use anabranch_model::project::{Column, Source};
use anyhow::bail;

/// Names that a warning lists.
const SHOWN_NAMES: usize = 20;

/// Refuses names that occur twice, that are nearly those of declared columns, or that miss a column
/// which is NOT NULL; `at` is the place in errors.
pub fn check(source: &Source, at: &str, names: &[&str]) -> anyhow::Result<()> {
    if let Some(twice) = names.iter().enumerate().find(|(position, name)| names[..*position].contains(name)) {
        bail!("{at}: two columns are named '{}'; give one another name", twice.1);
    }
    check_near(source, at, names)?;
    match absent(source, names).find(|column| !column.nullable) {
        None => Ok(()),
        Some(column) => bail!(
            "{at}: there is no column '{}', which source '{}' declares NOT NULL; the file's columns are {}",
            column.name,
            source.name,
            names.join(", ")
        ),
    }
}

/// Refuses names that are nearly those of declared columns which the file has not.
pub fn check_near(source: &Source, at: &str, names: &[&str]) -> anyhow::Result<()> {
    for column in absent(source, names) {
        if let Some(near) = names.iter().find(|name| is_near(name, &column.name)) {
            bail!(
                "{at}: the file has a column '{near}', and source '{}' declares '{}', which would have no value in any \
                 event; rename the file's column",
                source.name,
                column.name
            );
        }
    }
    Ok(())
}

/// Warns of declared columns that the file has not.
pub fn warn_of_absent(source: &Source, at: &str, names: &[&str]) {
    let absent: Vec<&str> = absent(source, names).map(|column| column.name.as_str()).collect();
    if absent.is_empty() {
        return;
    }
    let mut unused = names.iter().copied().filter(|name| source.column(name).is_none());
    let shown: Vec<&str> = unused.by_ref().take(SHOWN_NAMES).collect();
    let more = unused.count();
    tracing::warn!(
        "{at}: the file has no column {}, which will be NULL in every event; the file's columns that are not \
         declared: {}{}",
        absent.join(", "),
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") },
        if more == 0 { String::new() } else { format!(" and {more} more") }
    );
}

fn absent<'a>(source: &'a Source, names: &[&str]) -> impl Iterator<Item = &'a Column> {
    source.payload_columns().filter(|column| !names.contains(&column.name.as_str()))
}

/// Equal but for blanks around it and case.
fn is_near(name: &str, declared: &str) -> bool {
    name.trim().eq_ignore_ascii_case(declared.trim())
}
