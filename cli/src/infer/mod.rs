//! A source and two views, inferred from a file.
//!
//! The whole file is read, once for its types and once to see that the source takes its rows; what is kept of a column
//! is bounded. The rows come from the readers of `ingest`, so what is inferred is what will be ingested.

mod choice;
mod column;
mod evidence;
mod names;
mod written;

use std::collections::HashMap;
use std::path::Path;

use anabranch_model::project::Project;
use anabranch_view::ViewPlan;
use anyhow::{Context, ensure};

pub use choice::Choice;
pub use column::Inferred;
use column::inferred;
use evidence::Evidence;
pub use names::of_file as source_of;
pub use written::Written;

use crate::ingest::{Rejections, Survey, rejections};
use crate::output::Row;
use crate::project::PROJECT_FILE;

/// A file with more different names has data for names.
const MAX_COLUMNS: usize = 500;

/// What a file says of its columns.
#[derive(Default)]
pub struct Findings {
    pub rows: u64,
    /// Rows that are no JSON objects.
    pub malformed: u64,
    pub columns: Vec<Inferred>,
    /// Columns that no source can have, with the reason.
    pub left_out: Vec<(String, &'static str)>,
}

/// Reads the file through.
pub fn findings(file: &Path) -> anyhow::Result<Findings> {
    let survey = Survey::open(file)?;
    let (mut columns, mut found) = (Columns::default(), Findings::default());
    for payload in survey.payloads()? {
        found.rows += 1;
        match serde_json::from_slice::<Row>(&payload?) {
            Ok(row) => columns.see(&row, survey.is_of_texts())?,
            Err(_) => found.malformed += 1,
        }
    }
    let objects = found.rows - found.malformed;
    ensure!(objects > 0, "{} has no rows, so nothing can be inferred from it", file.display());
    for evidence in columns.seen {
        let reason = names::cannot_be(&evidence.name, &found.columns);
        match inferred(&evidence, objects, survey.type_of(&evidence.name)) {
            Some(column) if reason.is_none() => found.columns.push(column),
            _ => found.left_out.push((evidence.name, reason.unwrap_or("lists and objects are values of no column"))),
        }
    }
    let unwritten = survey.unwritten().into_iter();
    found.left_out.extend(unwritten.map(|name| (name, "its type cannot be written into an event")));
    ensure!(!found.columns.is_empty(), "{} has no column that a source can have", file.display());
    Ok(found)
}

/// Compiles the project as `check` does, and counts the rows of the file that its source rejects.
pub fn proven(written: &Written, file: &Path) -> anyhow::Result<Rejections> {
    let unfit = "what was inferred is no project; declare the source by hand and report the file's header";
    let project = Project::parse(PROJECT_FILE, &written.toml).context(unfit)?;
    for (view, sql) in &written.views {
        ViewPlan::parse(&format!("views/{view}.sql"), sql, &project.sources).context(unfit)?;
    }
    rejections(&project.sources[&written.source], file)
}

/// Columns in the order in which they come first.
#[derive(Default)]
struct Columns {
    seen: Vec<Evidence>,
    places: HashMap<String, usize>,
}

impl Columns {
    /// Of two fields of one name the first counts.
    fn see(&mut self, row: &Row, of_texts: bool) -> anyhow::Result<()> {
        let mut before: Vec<&str> = Vec::new();
        for (name, json) in row.fields() {
            if before.contains(&name) {
                continue;
            }
            before.push(name);
            self.place(name)?.see(json, of_texts);
        }
        Ok(())
    }

    fn place(&mut self, name: &str) -> anyhow::Result<&mut Evidence> {
        if let Some(place) = self.places.get(name) {
            return Ok(&mut self.seen[*place]);
        }
        ensure!(self.seen.len() < MAX_COLUMNS, "the file has more than {MAX_COLUMNS} different names of fields");
        self.places.insert(name.to_owned(), self.seen.len());
        self.seen.push(Evidence::of(name));
        Ok(self.seen.last_mut().expect("it was just added"))
    }
}

#[cfg(test)]
mod tests {
    use super::column::Kind;
    use super::*;

    fn found(name: &str, text: &str) -> Vec<(String, Kind)> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        findings(&file).unwrap().columns.into_iter().map(|column| (column.name, column.kind)).collect()
    }

    fn declared(name: &str, text: &str) -> Vec<String> {
        found(name, text).into_iter().map(|(name, kind)| format!("{name} {}", kind.declaration())).collect()
    }

    #[test]
    fn the_values_of_a_csv_decide_its_types() {
        let text = "id,zip,price,rate,ok,day,at,finer,mixed,big,empty\n\
                    7,01234,4.15,1e-3,true,2026-01-02,2026-01-02T03:04:05Z,2026-01-02T03:04:05.123456789Z,5,99999999999999999999,\n\
                    -8,99999,10.5,2,FALSE,2026-01-03,2026-01-02 03:04:05,2026-01-02T03:04:05Z,five,1,\n";
        assert_eq!(
            declared("x.csv", text),
            [
                "id BIGINT",
                "zip VARCHAR",
                "price DECIMAL(18,2)",
                "rate DOUBLE",
                "ok BOOLEAN",
                "day DATE",
                "at TIMESTAMP",
                "finer TIMESTAMP(6)",
                "mixed VARCHAR",
                "big DECIMAL(38,0)",
            ]
        );
    }

    #[test]
    fn the_texts_of_ndjson_stay_texts_and_counts_of_a_time_are_times() {
        let text = "{\"n\":\"5\",\"ts\":1740816000000,\"made_at\":1740816000,\"size\":1740816000,\"list\":[1]}\n\
                    {\"n\":\"6\",\"ts\":1740816030000,\"made_at\":1740816001,\"size\":3,\"list\":[2]}\n";
        assert_eq!(
            declared("x.ndjson", text),
            [
                "n VARCHAR",
                "ts TIMESTAMP FORMAT 'epoch_millis'",
                "made_at TIMESTAMP FORMAT 'epoch_seconds'",
                "size BIGINT"
            ]
        );
    }

    #[test]
    fn digits_of_floating_point_are_doubles_and_long_identifiers_are_texts() {
        let long = "1".repeat(40);
        assert_eq!(declared("x.csv", &format!("x,y\n0.30000000000000004,{long}\n1,2\n")), ["x DOUBLE", "y VARCHAR"]);
    }
}
