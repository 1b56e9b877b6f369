use serde::{Deserialize, Serialize};

use super::column::Column;

/// A stream of events: where they come from and what they look like. It is part of every view's
/// fingerprint: another lateness or column type is another view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    pub topic: String,
    /// Partitions of a topic that Anabranch creates itself.
    pub partitions: u32,
    /// Name of the event-time column; [`super::INGESTION_TIME`] is the log's own time.
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
