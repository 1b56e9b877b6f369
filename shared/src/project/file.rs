//! Reading `anabranch.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use toml::Spanned;

use super::reference::{ReferenceToml, references};
use super::{Column, ColumnType, INGESTION_TIME, Place, Project, ProjectError, Source, ViewConfig, parse_duration_us};
use crate::catalog::Mode;

const DEFAULT_PARTITIONS: u32 = 4;
const DEFAULT_MAX_FUTURE: &str = "1 day";
const DEFAULT_BIND: &str = "127.0.0.1:8080";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    project: ProjectTable,
    log: Option<LogTable>,
    realtime: Option<RealtimeTable>,
    storage: Option<StorageTable>,
    serving: Option<ServingTable>,
    #[serde(default)]
    sources: Ordered<SourceTable>,
    #[serde(default)]
    references: Ordered<ReferenceToml>,
    #[serde(default)]
    views: Ordered<ViewTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectTable {
    name: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogTable {
    brokers: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RealtimeTable {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StorageTable {
    root: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServingTable {
    bind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    topic: String,
    format: Spanned<String>,
    event_time: Spanned<String>,
    lateness: Spanned<String>,
    max_future: Option<Spanned<String>>,
    partitions: Option<Spanned<u32>>,
    #[serde(default)]
    key: Vec<Spanned<String>>,
    columns: Ordered<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewTable {
    mode: Option<Mode>,
}

/// A table whose entries keep the order of the file and remember where their names stand.
pub(super) struct Ordered<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The text that spans point into.
pub(super) struct Text<'a> {
    file: &'a str,
    text: &'a str,
}

impl Text<'_> {
    pub fn refuse<T>(&self, span: Range<usize>, cause: impl Into<String>, help: &str) -> Result<T, ProjectError> {
        Err(ProjectError::new(Place::of_byte(self.file, self.text, span.start), cause, help))
    }
}

pub(super) fn parse(file: &str, text: &str) -> Result<Project, ProjectError> {
    let at = Text { file, text };
    let parsed: File = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => return at.refuse(error.span().unwrap_or(0..0), error.message(), help_for(error.message())),
    };
    if !is_name(parsed.project.name.get_ref()) {
        let cause = format!("'{}' cannot be a project's name", parsed.project.name.get_ref());
        return at.refuse(parsed.project.name.span(), cause, NAME_HELP);
    }
    let sources = sources(&at, parsed.sources)?;
    Ok(Project {
        name: parsed.project.name.into_inner(),
        brokers: parsed.log.map(|log| log.brokers),
        redis: parsed.realtime.map(|realtime| realtime.url),
        root: parsed.storage.map_or_else(|| Ok("data".to_owned()), |storage| root(&at, storage.root))?,
        bind: parsed.serving.map_or_else(|| DEFAULT_BIND.to_owned(), |serving| serving.bind),
        references: references(&at, parsed.references, &sources)?,
        sources,
        views: views(&at, parsed.views)?,
    })
}

fn root(at: &Text, root: Spanned<String>) -> Result<String, ProjectError> {
    if root.get_ref().contains("://") {
        return at.refuse(root.span(), "the storage root must be a folder", "object storage is not supported yet");
    }
    Ok(root.into_inner())
}

pub(super) const NAME_HELP: &str = "use letters, digits, '_' and '-', at most 64 of them, beginning with a letter";

/// Names become parts of file names, Redis keys and URLs, so the alphabet is small.
pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    first && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn help_for(message: &str) -> &'static str {
    if message.contains("missing field `lateness`") {
        "say how late an event may be, for example lateness = \"10 minutes\"; there is no default, because it decides what is counted"
    } else if message.contains("unknown field") {
        "remove the key or correct its name"
    } else if message.contains("missing field") {
        "add the key to this table"
    } else {
        "see docs/reference/project-file.md"
    }
}

fn sources(at: &Text, tables: Ordered<SourceTable>) -> Result<BTreeMap<String, Source>, ProjectError> {
    let mut sources = BTreeMap::new();
    for (name, table) in tables.0 {
        if !is_name(name.get_ref()) {
            return at.refuse(name.span(), format!("'{}' cannot be a source's name", name.get_ref()), NAME_HELP);
        }
        let source = source(at, name.get_ref(), table)?;
        sources.insert(name.into_inner(), source);
    }
    Ok(sources)
}

fn source(at: &Text, name: &str, table: SourceTable) -> Result<Source, ProjectError> {
    if table.format.get_ref() != "json" {
        let cause = format!("format '{}' is not supported", table.format.get_ref());
        return at.refuse(table.format.span(), cause, "use format = \"json\"");
    }
    let partitions = match &table.partitions {
        Some(partitions) if !(1..=1024).contains(partitions.get_ref()) => {
            return at.refuse(partitions.span(), "partitions must be from 1 to 1024", "choose about two a worker core");
        }
        Some(partitions) => *partitions.get_ref(),
        None => DEFAULT_PARTITIONS,
    };
    let mut columns =
        columns(at, table.columns, (table.event_time.get_ref() == INGESTION_TIME).then_some(INGESTION_TIME))?;
    let key = key(at, table.key, &columns)?;
    columns.extend(built_in(at, &table.event_time, &columns)?);
    Ok(Source {
        name: name.to_owned(),
        topic: table.topic,
        partitions,
        lateness_us: duration(at, &table.lateness)?,
        max_future_us: match &table.max_future {
            Some(max_future) => duration(at, max_future)?,
            None => parse_duration_us(DEFAULT_MAX_FUTURE).expect("the default is a duration"),
        },
        key,
        event_time: table.event_time.into_inner(),
        columns,
    })
}

fn duration(at: &Text, text: &Spanned<String>) -> Result<i64, ProjectError> {
    parse_duration_us(text.get_ref()).or_else(|cause| {
        at.refuse(
            text.span(),
            cause,
            "write a number and a unit, for example \"10 minutes\", \"1 day\" or \"0 seconds\"",
        )
    })
}

/// The declared columns; one named `built_in` is refused.
pub(super) fn columns(
    at: &Text,
    table: Ordered<Spanned<String>>,
    built_in: Option<&str>,
) -> Result<Vec<Column>, ProjectError> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, declaration) in table.0 {
        let is_same = |column: &&Column| column.name.eq_ignore_ascii_case(name.get_ref());
        if let Some(other) = columns.iter().find(is_same) {
            let cause = format!("columns '{}' and '{}' differ in case only", other.name, name.get_ref());
            return at.refuse(name.span(), cause, "rename one of them: the archive's tables do not tell them apart");
        }
        if name.get_ref().starts_with('_') {
            let cause = format!("column '{}': names that begin with '_' are the archive's own", name.get_ref());
            return at.refuse(name.span(), cause, "rename the column");
        }
        if built_in.is_some_and(|built_in| name.get_ref().eq_ignore_ascii_case(built_in)) {
            let cause = format!("column '{}' is built in where it is the event time", name.get_ref());
            return at.refuse(name.span(), cause, "remove the declaration, or rename the column if events carry it");
        }
        match Column::parse(name.get_ref(), declaration.get_ref()) {
            Ok(column) => columns.push(column),
            Err(error) => return at.refuse(declaration.span(), error.cause, error.help),
        }
    }
    Ok(columns)
}

/// The built-in column, if it is the event time; otherwise that is a declared one.
fn built_in(at: &Text, event_time: &Spanned<String>, columns: &[Column]) -> Result<Option<Column>, ProjectError> {
    let name = event_time.get_ref();
    if name == INGESTION_TIME {
        let help = "declare what events carry under columns, at least one column";
        return match columns {
            [] => at.refuse(event_time.span(), "the source has no columns but the log's own time", help),
            _ => Ok(Some(Column::ingestion_time())),
        };
    }
    match columns.iter().find(|column| column.name == *name) {
        Some(column) if column.kind == ColumnType::Timestamp && !column.nullable => Ok(None),
        Some(_) => {
            let cause = format!("event_time '{name}' must be a TIMESTAMP NOT NULL");
            at.refuse(event_time.span(), cause, "declare the column as \"TIMESTAMP NOT NULL\"")
        }
        None => {
            let help = format!("{}; '{INGESTION_TIME}' is the log's own time", known(columns));
            at.refuse(event_time.span(), format!("unknown column '{name}'"), &help)
        }
    }
}

fn key(at: &Text, names: Vec<Spanned<String>>, columns: &[Column]) -> Result<Vec<String>, ProjectError> {
    for name in &names {
        if !columns.iter().any(|column| column.name == *name.get_ref()) {
            return at.refuse(name.span(), format!("unknown column '{}'", name.get_ref()), &known(columns));
        }
    }
    Ok(names.into_iter().map(Spanned::into_inner).collect())
}

pub(super) fn known(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    format!("the columns are {}", names.join(", "))
}

fn views(at: &Text, tables: Ordered<ViewTable>) -> Result<BTreeMap<String, ViewConfig>, ProjectError> {
    let mut views = BTreeMap::new();
    for (name, table) in tables.0 {
        if !is_name(name.get_ref()) {
            return at.refuse(name.span(), format!("'{}' cannot be a view's name", name.get_ref()), NAME_HELP);
        }
        views.insert(name.into_inner(), ViewConfig { mode: table.mode.unwrap_or(Mode::Lambda) });
    }
    Ok(views)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = r#"
[project]
name = "shop"
[sources.orders]
topic = "orders"
format = "json"
event_time = "ts"
lateness = "10 minutes"
key = ["user_id"]
[sources.orders.columns]
user_id = "VARCHAR NOT NULL"
amount = "DECIMAL(18,2)"
ts = "TIMESTAMP NOT NULL"
[views.spend]
mode = "kappa"
"#;

    fn refused(from: &str, to: &str) -> ProjectError {
        assert!(SHOP.contains(from));
        Project::parse("anabranch.toml", &SHOP.replace(from, to)).unwrap_err()
    }

    #[test]
    fn columns_that_differ_in_case_only_are_refused() {
        let error = refused("amount =", "Note = \"VARCHAR\"\nnote = \"VARCHAR\"\namount =");
        assert!(error.cause.contains("'Note' and 'note' differ in case only"), "{error}");
    }

    #[test]
    fn columns_keep_the_order_of_the_file() {
        let project = Project::parse("anabranch.toml", SHOP).unwrap();
        let names: Vec<_> = project.sources["orders"].columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["user_id", "amount", "ts"]);
        assert_eq!(project.views["spend"].mode, Mode::Kappa);
    }

    #[test]
    fn the_ingestion_time_is_a_column_that_is_not_declared() {
        let text = SHOP.replace("event_time = \"ts\"", "event_time = \"ingestion_time\"");
        let source = &Project::parse("anabranch.toml", &text).unwrap().sources["orders"];
        let names: Vec<_> = source.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["user_id", "amount", "ts", "ingestion_time"]);
        assert_eq!(source.column(INGESTION_TIME), Some(&Column::ingestion_time()));
        assert_eq!(source.payload_columns().count(), 3);

        let refused = |from, to| Project::parse("anabranch.toml", &text.replace(from, to)).unwrap_err();
        let error = refused("ts = \"TIMESTAMP NOT NULL\"", "Ingestion_Time = \"TIMESTAMP NOT NULL\"");
        assert_eq!((error.place.line, error.place.column), (13, 1), "{error}");
        assert!(error.cause.contains("built in") && error.help.contains("rename"), "{error}");
        let error = refused("key = [\"user_id\"]", "key = [\"ingestion_time\"]");
        assert!(error.cause.contains("unknown column"), "it is not known when a partition is chosen: {error}");
        let error = refused("lateness = \"10 minutes\"\n", "");
        assert!(error.cause.contains("lateness"), "{error}");
        let declared = text.find("user_id = ").unwrap()..text.find("[views").unwrap();
        let error = Project::parse("anabranch.toml", &text.replace(&text[declared], "").replace("key =", "# key ="));
        let error = error.unwrap_err();
        assert_eq!((error.place.line, error.cause.contains("no columns")), (7, true), "{error}");
    }

    #[test]
    fn a_column_may_have_that_name_where_it_is_not_the_event_time() {
        let text = SHOP.replace("amount =", "ingestion_time =");
        let source = &Project::parse("anabranch.toml", &text).unwrap().sources["orders"];
        assert!(source.column(INGESTION_TIME).is_some_and(|column| !column.from_log));
    }

    #[test]
    fn errors_name_line_column_and_the_next_step() {
        let error = refused("lateness = \"10 minutes\"\n", "");
        assert!(error.cause.contains("lateness") && error.help.contains("no default"), "{error}");
        let error = refused("topic =", "topik =");
        assert_eq!((error.place.line, error.place.column), (5, 1), "{error}");
        let error = refused("\"DECIMAL(18,2)\"", "\"MONEY\"");
        assert_eq!((error.place.line, error.place.column), (12, 10), "{error}");
        let error = refused("key = [\"user_id\"]", "key = [\"usr\"]");
        assert!(error.help.contains("user_id, amount, ts"), "{error}");
        let error = refused("\"TIMESTAMP NOT NULL\"", "\"TIMESTAMP(9) FORMAT 'epoch_nanos' NOT NULL\"");
        assert_eq!((error.place.line, error.place.column), (13, 6), "{error}");
        assert!(error.cause.contains("finer") && error.help.contains("TIMESTAMP(6)"), "{error}");
        refused("event_time = \"ts\"", "event_time = \"amount\"");
        let error = refused("event_time = \"ts\"", "event_time = \"tss\"");
        assert!(error.help.contains("user_id, amount, ts") && error.help.contains("ingestion_time"), "{error}");
        refused("\"10 minutes\"", "\"soon\"");
        refused("\"json\"", "\"xml\"");
    }
}
