//! A source with its events, and views over them: a file of the corpus, or one that was generated.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anabranch_model::archive::input_schema;
use anabranch_model::cut::CutPoint;
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::Chunk;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{Project, ProjectError, Reference, Source};
use anabranch_model::reference::ReferenceTable;
use anabranch_stores::reference::csv_table;
use anabranch_view::ViewPlan;
use arrow::array::RecordBatch;

/// Ingestion time of events that do not state one: 2026-01-01.
pub const INGESTED_MS: i64 = 1_767_225_600_000;

/// A source, references, the source's events and views over them.
#[derive(Clone)]
pub struct Story {
    pub name: String,
    pub source: Source,
    /// References with their CSV text; one that is refused makes every view of the story so.
    references: Vec<(Reference, String)>,
    /// The events of each partition: ingestion time in milliseconds, and the payload.
    pub partitions: Vec<Vec<(i64, String)>>,
    pub cases: Vec<Case>,
}

#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub sql: String,
    pub expected: Expected,
}

#[derive(Clone)]
pub enum Expected {
    /// Cells joined by `|`, in the order of key and window.
    Rows(Vec<String>),
    /// The view is refused, with these words.
    Refused(String),
    /// States agree, and a value is beyond its type, with these words.
    Overflows(String),
}

impl Story {
    pub fn parse(file: &Path) -> Self {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let mut sections = text.split("\n--- ").skip(1).map(|section| {
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            let (kind, rest) = head.split_once(' ').unwrap_or((head, ""));
            (kind.trim(), rest.trim().to_owned(), body.trim_end().to_owned())
        });
        let (kind, source_name, toml) = sections.next().unwrap_or_else(|| panic!("{name} is empty"));
        assert_eq!(kind, "source", "{name} begins with its source");
        let source = source(&name, &source_name, &toml);
        let mut references = Vec::new();
        let events = loop {
            let (kind, rest, body) = sections.next().unwrap_or_else(|| panic!("{name} has no events"));
            match kind {
                "reference" => references.push(reference(&name, &rest, &body)),
                "events" => break body,
                other => panic!("{name}: {other} before the events"),
            }
        };
        let mut cases: Vec<Case> = Vec::new();
        for (kind, rest, body) in sections {
            let expected = match kind {
                "view" => {
                    cases.push(Case { name: rest, sql: body, expected: Expected::Rows(vec![]) });
                    continue;
                }
                "rows" => Expected::Rows(body.lines().map(str::to_owned).collect()),
                "refused" | "overflows" if rest.is_empty() => panic!("{name}: {kind} for what reason?"),
                "refused" => Expected::Refused(rest),
                "overflows" => Expected::Overflows(rest),
                other => panic!("{name}: what is '{other}'?"),
            };
            cases.last_mut().unwrap_or_else(|| panic!("{name}: {kind} before a view")).expected = expected;
        }
        let partitions = partitions(source.partitions, &events);
        Self { name, source, references, partitions, cases }
    }

    /// Generated events of a source as in a file of the corpus.
    pub fn generated(source_name: &str, toml: &str, partitions: Vec<Vec<(i64, String)>>) -> Self {
        let source = source("generated", source_name, toml);
        Self { name: "generated".to_owned(), source, references: Vec::new(), partitions, cases: Vec::new() }
    }

    /// The events that count, in the order of partition and offset.
    pub fn applied(&self) -> anyhow::Result<Vec<RecordBatch>> {
        let mut batches = vec![RecordBatch::new_empty(input_schema(&self.source))];
        for (partition, end) in (0..).zip(self.end()) {
            let (judged, _) = self.judged(partition, CutPoint::default(), end, || u64::MAX / 2)?;
            batches.extend(judged.iter().map(JudgedEvents::applied).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(batches)
    }

    /// The rows of each reference by its name; those of one that is refused are left out.
    pub fn reference_rows(&self) -> anyhow::Result<Vec<(String, RecordBatch)>> {
        let Ok(tables) = self.tables() else { return Ok(Vec::new()) };
        Ok(tables.into_iter().map(|(name, table)| (name, table.rows().clone())).collect())
    }

    pub fn plan(&self, case: &Case) -> Result<ViewPlan, ProjectError> {
        let sources = [(self.source.name.clone(), self.source.clone())].into();
        let references = self.tables()?;
        ViewPlan::parse_joined(&format!("{}.sql", case.name), &case.sql, &sources, &references)
    }

    fn tables(&self) -> Result<BTreeMap<String, Arc<ReferenceTable>>, ProjectError> {
        let table = |(reference, text): &(Reference, String)| {
            let table = csv_table(&reference.file, reference, text.as_bytes())?;
            Ok((reference.name.clone(), Arc::new(table)))
        };
        self.references.iter().map(table).collect()
    }

    /// Where each partition ends.
    pub fn end(&self) -> Vec<u64> {
        self.partitions.iter().map(|events| events.len() as u64).collect()
    }

    /// Events `from..to` of a partition.
    pub fn chunk(&self, partition: u32, from: u64, to: u64) -> Chunk {
        let mut chunk = Chunk::empty(Partition(partition), Offset(from));
        let events = &self.partitions[partition as usize][from as usize..to as usize];
        for (offset, (timestamp_ms, payload)) in (from..).zip(events) {
            chunk.push(offset, *timestamp_ms, payload.as_bytes());
        }
        chunk
    }

    /// Events up to `to` of a partition, judged from `point` on in chunks of these sizes.
    pub fn judged(
        &self,
        partition: u32,
        mut point: CutPoint,
        to: u64,
        mut size: impl FnMut() -> u64,
    ) -> anyhow::Result<(Vec<JudgedEvents>, CutPoint)> {
        let (decoder, mut all) = (JsonDecoder::new(&self.source), Vec::new());
        while point.next.0 < to {
            let chunk = self.chunk(partition, point.next.0, (point.next.0 + size().max(1)).min(to));
            let judged = JudgedEvents::of_chunk(&self.source, &decoder, &chunk, point)?;
            point = judged.point;
            all.push(judged);
        }
        Ok((all, point))
    }
}

fn source(story: &str, name: &str, toml: &str) -> Source {
    let columns = format!("[sources.{name}.columns]");
    let project = format!(
        "[project]\nname = \"corpus\"\n[sources.{name}]\ntopic = \"{name}\"\nformat = \"json\"\n{}",
        toml.replace("[columns]", &columns)
    );
    let project = Project::parse("anabranch.toml", &project).unwrap_or_else(|error| panic!("{story}: {error}"));
    project.sources[name].clone()
}

/// `NAME key=a,b`; the first line has the columns with their types, `a VARCHAR NOT NULL | b INT`, the
/// others are CSV.
fn reference(story: &str, head: &str, body: &str) -> (Reference, String) {
    let (name, key) = head.split_once(" key=").unwrap_or_else(|| panic!("{story}: a reference without a key"));
    let (columns, rows) = body.split_once('\n').unwrap_or((body, ""));
    let columns: Vec<(&str, &str)> = columns.split('|').map(|column| column.trim().split_once(' ').unwrap()).collect();
    let key: Vec<String> = key.split(',').map(|name| format!("\"{name}\"")).collect();
    let mut project = format!(
        "[project]\nname = \"corpus\"\n[references.{name}]\nfile = \"{name}.csv\"\nkey = [{}]\n[references.{name}.columns]\n",
        key.join(", ")
    );
    columns.iter().for_each(|(name, kind)| project.push_str(&format!("{name} = \"{kind}\"\n")));
    let project = Project::parse("anabranch.toml", &project).unwrap_or_else(|error| panic!("{story}: {error}"));
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    (project.references[name].clone(), format!("{}\n{rows}\n", names.join(",")))
}

/// Lines of `PARTITION JSON` or `PARTITION@MILLISECONDS JSON`.
fn partitions(count: u32, events: &str) -> Vec<Vec<(i64, String)>> {
    let mut partitions = vec![Vec::new(); count as usize];
    for line in events.lines().filter(|line| !line.trim().is_empty()) {
        let (place, payload) = line.split_once(' ').unwrap_or((line, ""));
        let (partition, timestamp_ms) = match place.split_once('@') {
            Some((partition, timestamp_ms)) => (partition, timestamp_ms.parse().unwrap()),
            None => (place, INGESTED_MS),
        };
        partitions[partition.parse::<usize>().unwrap()].push((timestamp_ms, payload.to_owned()));
    }
    partitions
}
