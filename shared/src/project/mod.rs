//! The project: what the user writes in `anabranch.toml` and `views/*.sql`.

mod column;
mod duration;
mod error;
mod file;
mod reference;
mod table;
mod timestamp;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use column::{Column, ColumnError, ColumnType, INGESTION_TIME};
pub use duration::parse_duration_us;
pub use error::{Place, ProjectError};
pub use reference::{Reference, ReferenceFormat, ReferencePin};
pub use timestamp::{MICROSECOND_DIGITS, TimestampFormat};

use crate::catalog::Mode;

/// A parsed and checked `anabranch.toml`; the views' SQL is parsed by [`crate::view`].
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    pub name: String,
    /// Kafka bootstrap servers; `None` means the embedded log.
    pub brokers: Option<String>,
    /// Redis URL; `None` means the embedded store.
    pub redis: Option<String>,
    /// Folder (relative to the project's) of archive, batch views, catalog and embedded stores.
    pub root: String,
    /// Address that `serve` and `dev` listen on.
    pub bind: String,
    pub sources: BTreeMap<String, Source>,
    pub references: BTreeMap<String, Reference>,
    pub views: BTreeMap<String, ViewConfig>,
}

/// What [`Project::check`] found.
pub struct Checked {
    /// Without what has mistakes.
    pub project: Project,
    /// Names of the sources and references that have mistakes.
    pub broken: BTreeSet<String>,
    /// In the order of the file.
    pub mistakes: Vec<ProjectError>,
}

/// A stream of events: where they come from and what they look like. It is part of every view's
/// fingerprint: another lateness or column type is another view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    pub topic: String,
    /// Partitions of a topic that Anabranch creates itself.
    pub partitions: u32,
    /// Name of the event-time column; [`INGESTION_TIME`] is the log's own time.
    pub event_time: String,
    /// How far below the partition's largest event time an event may lie, in microseconds.
    pub lateness_us: i64,
    /// How far above its ingestion time an event time may lie, in microseconds.
    pub max_future_us: i64,
    /// Columns whose values choose the partition on ingest.
    pub key: Vec<String>,
    /// The declared columns, and after them the built-in one where the source has it.
    pub columns: Vec<Column>,
}

/// How the next generations of a view are built.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewConfig {
    pub mode: Mode,
}

/// Everything that decides a view's rows: its SQL, its source and the rows of the references that it joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub sql: String,
    pub source: Source,
    /// In the order in which the SQL joins them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferencePin>,
}

impl Project {
    /// Parses `anabranch.toml`; `file` is its name in errors, of which the first is told.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProjectError> {
        let Checked { project, mistakes, .. } = Self::check(file, text);
        mistakes.into_iter().next().map_or(Ok(project), Err)
    }

    /// The same with all mistakes.
    pub fn check(file: &str, text: &str) -> Checked {
        file::check(file, text)
    }
}

impl Source {
    /// What decides the verdicts and values of this source's events and is another in `other`; how
    /// events are spread over partitions does not.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let checks = [
            (self.name == other.name, "name"),
            (self.topic == other.topic, "topic"),
            (self.event_time == other.event_time, "event_time"),
            (self.lateness_us == other.lateness_us, "lateness"),
            (self.max_future_us == other.max_future_us, "max_future"),
            (self.columns == other.columns, "columns"),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
    }

    /// The columns that are read from events: all but the built-in one.
    pub fn payload_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.from_log)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_source_is_stored_as_ever() {
        let declared = [("id", "INT"), ("price", "DECIMAL(10,2)"), ("ts", "TIMESTAMP NOT NULL")];
        let source = Source {
            name: "orders".into(),
            topic: "orders".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: vec![],
            columns: declared.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
        };
        let stored = concat!(
            r#"{"name":"orders","topic":"orders","partitions":1,"event_time":"ts","lateness_us":0,"max_future_us":0,"#,
            r#""key":[],"columns":[{"name":"id","type":"int","nullable":true},"#,
            r#"{"name":"price","type":{"decimal":{"precision":10,"scale":2}},"nullable":true},"#,
            r#"{"name":"ts","type":"timestamp","nullable":false}]}"#
        );
        assert_eq!(serde_json::to_string(&source).unwrap(), stored, "views' fingerprints are made of it");
        assert_eq!(serde_json::from_str::<Source>(stored).unwrap(), source);
    }

    #[test]
    fn the_built_in_column_is_stored_with_its_origin() {
        let stored = serde_json::to_string(&Column::ingestion_time()).unwrap();
        assert_eq!(stored, r#"{"name":"ingestion_time","type":"timestamp","nullable":false,"from_log":true}"#);
        assert_eq!(serde_json::from_str::<Column>(&stored).unwrap(), Column::ingestion_time());
    }
}
