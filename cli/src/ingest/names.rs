//! The columns of a file beside those that a source declares.
//!
//! A column that a file writes with a blank or in other case would be NULL in every event, without a
//! word: it is refused before anything is written.

use anabranch_shared::project::Source;
use anyhow::bail;

/// Refuses names that occur twice, that are nearly those of declared columns, or that miss a column
/// which is NOT NULL; `at` is the place in errors. Warns of declared columns that the file has not.
pub fn check(source: &Source, at: &str, names: &[&str]) -> anyhow::Result<()> {
    if let Some(twice) = names.iter().enumerate().find(|(position, name)| names[..*position].contains(name)) {
        bail!("{at}: two columns are named '{}'; give one another name", twice.1);
    }
    let mut absent = Vec::new();
    for column in source.payload_columns().filter(|column| !names.contains(&column.name.as_str())) {
        if let Some(near) = names.iter().find(|name| is_near(name, &column.name)) {
            bail!(
                "{at}: the file has a column '{near}', and source '{}' declares '{}', which would have no value in any \
                 event; rename the file's column",
                source.name,
                column.name
            );
        }
        if !column.nullable {
            bail!(
                "{at}: there is no column '{}', which source '{}' declares NOT NULL; the file's columns are {}",
                column.name,
                source.name,
                names.join(", ")
            );
        }
        absent.push(column.name.as_str());
    }
    if !absent.is_empty() {
        let unused: Vec<&str> = names.iter().copied().filter(|name| source.column(name).is_none()).collect();
        let unused = if unused.is_empty() { "none".to_owned() } else { unused.join(", ") };
        tracing::warn!(
            "{at}: the file has no column {}, which will be NULL in every event; the file's columns that are not \
             declared: {unused}",
            absent.join(", ")
        );
    }
    Ok(())
}

/// Equal but for blanks around it and case.
fn is_near(name: &str, declared: &str) -> bool {
    name.trim().eq_ignore_ascii_case(declared.trim())
}
