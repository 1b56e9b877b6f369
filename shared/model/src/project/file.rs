//! Reading `anabranch.toml`.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::DeValue;

use super::column::INGESTION_TIME;
use super::declared::{Columns, KEY_HELP, NAME_HELP, is_name, named};
use super::duration::parse_duration_us;
use super::error::ProjectError;
use super::mode::Mode;
use super::reference::{Reference, reference};
use super::source::Source;
use super::table::{Table, Text};

const DEFAULT_PARTITIONS: u32 = 4;
const DEFAULT_MAX_FUTURE: &str = "1 day";
const DEFAULT_BIND: &str = "127.0.0.1:8080";

const TABLES: [&str; 8] = ["project", "log", "realtime", "storage", "serving", "sources", "references", "views"];
const SOURCE_KEYS: [&str; 8] =
    ["topic", "format", "event_time", "lateness", "max_future", "partitions", "key", "columns"];

const LATENESS_HELP: &str = "say how late an event may be, for example lateness = \"10 minutes\"; there is no default, because it \
                             decides what is counted";

/// A parsed and checked `anabranch.toml`; the views' SQL is parsed by `anabranch_view`.
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

/// How the next generations of a view are built.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewConfig {
    pub mode: Mode,
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

impl Project {
    /// Parses `anabranch.toml`; `file` is its name in errors, of which the first is told.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProjectError> {
        let Checked { project, mistakes, .. } = Self::check(file, text);
        mistakes.into_iter().next().map_or(Ok(project), Err)
    }

    /// The same with all mistakes.
    pub fn check(file: &str, text: &str) -> Checked {
        check(file, text)
    }
}

/// What was understood of the file, and every mistake in it.
fn check(file: &str, text: &str) -> Checked {
    let at = Text::new(file, text);
    let mut root = at.root(&TABLES);
    let name = root
        .required_table("project", &["name"], "add [project] with the project's name")
        .and_then(|mut table| table.required::<Spanned<String>>("name", KEY_HELP));
    if let Some(name) = &name
        && !is_name(name.get_ref())
    {
        at.report(name.span(), format!("'{}' cannot be a project's name", name.get_ref()), NAME_HELP);
    }
    let brokers = text_in(&mut root, "log", "brokers");
    let redis = text_in(&mut root, "realtime", "url");
    let storage = text_in(&mut root, "storage", "root").and_then(|root| folder(&at, root));
    let bind = text_in(&mut root, "serving", "bind");
    let mut broken = BTreeSet::new();
    let sources =
        named(&at, root.entries("sources"), "source", &mut broken, |name, value| source(&at, name.get_ref(), value));
    let taken: BTreeSet<String> = sources.keys().chain(&broken).cloned().collect();
    let references = named(&at, root.entries("references"), "reference", &mut broken, |name, value| {
        reference(&at, name, value, &taken)
    });
    let views = named(&at, root.entries("views"), "view", &mut broken, |_, value| Some(view(&at, value)));
    let project = Project {
        name: name.map(Spanned::into_inner).unwrap_or_default(),
        brokers: brokers.map(Spanned::into_inner),
        redis: redis.map(Spanned::into_inner),
        root: storage.unwrap_or_else(|| "data".to_owned()),
        bind: bind.map_or_else(|| DEFAULT_BIND.to_owned(), Spanned::into_inner),
        sources,
        references,
        views,
    };
    Checked { project, broken, mistakes: at.into_mistakes() }
}

/// The one key of a table that may be left out.
fn text_in(root: &mut Table, table: &'static str, key: &'static str) -> Option<Spanned<String>> {
    root.table(table, &[key])?.required(key, KEY_HELP)
}

fn folder(at: &Text, root: Spanned<String>) -> Option<String> {
    if root.get_ref().contains("://") {
        return at.refuse(root.span(), "the storage root must be a folder", "object storage is not supported yet");
    }
    Some(root.into_inner())
}

fn source<'i>(at: &Text<'i>, name: &str, value: Spanned<DeValue<'i>>) -> Option<Source> {
    let mut table = Table::of(at, value, &SOURCE_KEYS);
    let topic = table.required("topic", KEY_HELP);
    let format = table.required("format", KEY_HELP).and_then(|format| json(at, format));
    let event_time: Option<Spanned<String>> = table.required("event_time", KEY_HELP);
    let lateness = table.required("lateness", LATENESS_HELP).and_then(|lateness| duration(at, lateness));
    let max_future = match table.optional("max_future") {
        Some(max_future) => duration(at, max_future),
        None => Some(parse_duration_us(DEFAULT_MAX_FUTURE).expect("the default is a duration")),
    };
    let partitions = match table.optional("partitions") {
        Some(partitions) => in_range(at, partitions),
        None => Some(DEFAULT_PARTITIONS),
    };
    let key: Vec<Spanned<String>> = table.optional("key").unwrap_or_default();
    let from_log = event_time.as_ref().is_some_and(|time| time.get_ref() == INGESTION_TIME);
    let declared = table.required_entries("columns", KEY_HELP);
    let columns = declared.map(|declared| Columns::read(at, declared, from_log.then_some(INGESTION_TIME)))?;
    let key = columns.key(at, key);
    let built_in = event_time.as_ref().map(|time| columns.built_in(at, time));
    let mut columns = columns.sound()?;
    columns.extend(built_in.flatten()?);
    format?;
    Some(Source {
        name: name.to_owned(),
        topic: topic?,
        partitions: partitions?,
        lateness_us: lateness?,
        max_future_us: max_future?,
        key: key?,
        event_time: event_time?.into_inner(),
        columns,
    })
}

fn json(at: &Text, format: Spanned<String>) -> Option<()> {
    if format.get_ref() != "json" {
        let cause = format!("format '{}' is not supported", format.get_ref());
        return at.refuse(format.span(), cause, "use format = \"json\"");
    }
    Some(())
}

fn in_range(at: &Text, partitions: Spanned<u32>) -> Option<u32> {
    if !(1..=1024).contains(partitions.get_ref()) {
        return at.refuse(partitions.span(), "partitions must be from 1 to 1024", "choose about two a worker core");
    }
    Some(partitions.into_inner())
}

fn duration(at: &Text, text: Spanned<String>) -> Option<i64> {
    let help = "write a number and a unit, for example \"10 minutes\", \"1 day\" or \"0 seconds\"";
    parse_duration_us(text.get_ref()).map_err(|cause| at.report(text.span(), cause, help)).ok()
}

fn view<'i>(at: &Text<'i>, value: Spanned<DeValue<'i>>) -> ViewConfig {
    ViewConfig { mode: Table::of(at, value, &["mode"]).optional("mode").unwrap_or(Mode::Lambda) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Column, ProjectError};

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

    /// Places and causes of all mistakes.
    fn told(text: &str) -> Vec<String> {
        let mistakes = Project::check("anabranch.toml", text).mistakes;
        let told = |mistake: ProjectError| format!("{}:{} {}", mistake.place.line, mistake.place.column, mistake.cause);
        mistakes.into_iter().map(told).collect()
    }

    #[test]
    fn no_mistake_hides_another() {
        let text = SHOP
            .replace("\"10 minutes\"", "\"soon\"")
            .replace("topic =", "topik =")
            .replace("\"DECIMAL(18,2)\"", "\"MONEY\"")
            .replace("[\"user_id\"]", "[\"usr\", \"amount\"]")
            .replace("mode = \"kappa\"", "mode = \"omega\"\n[speed]\nthreads = 2");
        let told = told(&text);
        let expected = [
            "5:1 unknown key 'topik'",
            "8:12 unknown unit 'soon'",
            "9:8 unknown column 'usr'",
            "12:10 unknown type 'MONEY'",
            "15:8 unknown variant `omega`, expected `lambda` or `kappa`",
            "16:2 unknown key 'speed'",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert_eq!(told.split(' ').next(), expected.split(' ').next(), "{told}");
        }
        assert!(told[0].contains("topik") && told[2].contains("usr") && told[5].contains("speed"), "{told:#?}");
    }

    #[test]
    fn what_is_broken_is_named_and_the_rest_is_there() {
        let text = SHOP.replace("topic = \"orders\"\n", "")
            + "[sources.clicks]\ntopic = \"clicks\"\nformat = \"json\"\n\
            event_time = \"ts\"\nlateness = \"1 day\"\ncolumns = { ts = \"TIMESTAMP NOT NULL\" }\n";
        let checked = Project::check("anabranch.toml", &text);
        assert_eq!(checked.broken, BTreeSet::from(["orders".to_owned()]));
        assert_eq!(checked.project.sources.keys().collect::<Vec<_>>(), ["clicks"]);
        assert_eq!(checked.mistakes.len(), 1, "{:?}", checked.mistakes);
        assert!(checked.mistakes[0].cause.contains("'topic'"), "{:?}", checked.mistakes);
    }

    #[test]
    fn what_is_no_toml_does_not_hide_what_is() {
        let told = told(&SHOP.replace("topic = \"orders\"", "topic = orders\"").replace("\"json\"", "\"xml\""));
        assert!(told[0].starts_with("5:") && told.iter().any(|told| told.contains("'xml'")), "{told:#?}");
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
