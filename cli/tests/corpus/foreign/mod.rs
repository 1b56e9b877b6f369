//! DuckDB as the foreign oracle: an engine that shares no code with ours parses a view's SQL,
//! evaluates its expressions, groups and aggregates by itself.
//!
//! - [`translate`]: from a view's SQL to DuckDB's; each rule by which ours differs is written out there;
//! - [`engine`]: DuckDB behind a pipe;
//! - [`table`]: events and references into its tables;
//! - [`compare`]: our rows with its rows.

pub mod compare;
pub mod engine;
pub mod table;
pub mod translate;

use anabranch_view::ViewPlan;
use arrow::array::RecordBatch;

use crate::roads::Story;
use engine::Engine;
use table::Tables;
use translate::{Translation, translate};

/// What came of the comparison of one view.
#[derive(Debug)]
pub enum Verdict {
    Same,
    /// DuckDB has no such thing, or nothing says what it should be: the reason.
    NotCompared(String),
    Differs(String),
}

/// DuckDB with the events of one story.
pub struct Foreign<'a> {
    engine: &'a mut Engine,
    tables: Tables,
}

impl<'a> Foreign<'a> {
    pub fn load(engine: &'a mut Engine, story: &Story) -> anyhow::Result<Self> {
        let tables = table::load(engine, story)?;
        Ok(Self { engine, tables })
    }

    /// Asks DuckDB for the view and compares.
    pub fn compare(&mut self, plan: &ViewPlan, ours: &RecordBatch) -> anyhow::Result<Verdict> {
        let translation = match translate(&plan.definition.sql, &self.tables) {
            Ok(translation) => translation,
            Err(reason) => return Ok(Verdict::NotCompared(reason)),
        };
        self.compare_translated(&translation, ours)
    }

    fn compare_translated(&mut self, translation: &Translation, ours: &RecordBatch) -> anyhow::Result<Verdict> {
        let answer = self.engine.answers(std::slice::from_ref(&translation.sql))?.remove(0);
        let theirs = match answer {
            Ok(rows) => rows,
            Err(error) => return Ok(Verdict::NotCompared(format!("DuckDB: {error}"))),
        };
        if let Some(field) = ours.schema().fields().iter().find(|field| !compare::is_comparable(field.data_type())) {
            return Ok(Verdict::NotCompared(format!("a column of type {}", field.data_type())));
        }
        Ok(match compare::difference(ours, &theirs, translation) {
            None => Verdict::Same,
            Some(difference) => Verdict::Differs(format!("{difference}\nDuckDB was asked: {}", translation.sql)),
        })
    }
}

impl Drop for Foreign<'_> {
    fn drop(&mut self) {
        for table in self.tables.by_name.values() {
            self.engine.drop_table(&table.name).expect("DuckDB has the table");
        }
    }
}
