//! One corpus of SQL cases on every road: DataFusion over all events, DataFusion continuing from a
//! cut, the streaming fold in chunks of many sizes with the partitions interleaved at random, the
//! Lambda merge of a batch view and a fold at every tenth offset, and replay. All must give the same
//! bytes, and the rows that the case states. DuckDB, which shares no code with ours, evaluates the same SQL
//! over the same events and must have the same rows; what it does not compare is counted by reason.
//!
//! A file in `cases/` is a story: a source as in `anabranch.toml`, references, its events by partition, and
//! views with the rows that they must have. `CASE=words` runs those whose story and name have the words.

mod foreign;
mod generated;
mod roads;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_view::ViewPlan;
use anyhow::ensure;
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use foreign::engine::Engine;
use foreign::{Foreign, Verdict};
use roads::{Case, Expected, Story, Walk};

/// Most cases that may go without DuckDB, of those that have rows.
const MOST_NOT_COMPARED: usize = 30;

fn stories() -> Vec<Story> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Story::parse(file)).collect()
}

/// The cases whose story and name have the words in `CASE`, with that name.
fn chosen(story: &Story) -> impl Iterator<Item = (String, &Case)> {
    let only = std::env::var("CASE").ok();
    let named = story.cases.iter().map(|case| (format!("{}/{}", story.name, case.name), case));
    named.filter(move |(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str())))
}

#[test]
fn the_corpus_is_large_enough_and_its_names_are_unique() {
    let stories = stories();
    let mut names = BTreeMap::new();
    for (story, case) in stories.iter().flat_map(|story| story.cases.iter().map(move |case| (story, case))) {
        *names.entry(format!("{}/{}", story.name, case.name)).or_insert(0) += 1;
    }
    assert!(names.values().all(|count| *count == 1), "{names:?}");
    assert!(names.len() >= 120, "{} cases", names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_is_the_same_on_every_road() {
    let mut wrong = Vec::new();
    for story in stories() {
        for (name, case) in chosen(&story) {
            if let Err(cause) = check(&story, case).await {
                wrong.push(format!("{name}: {cause:#}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_has_the_rows_that_duckdb_has() {
    let mut engine = Engine::start().unwrap();
    let (mut same, mut not_compared, mut wrong) = (0, BTreeMap::<String, Vec<String>>::new(), Vec::new());
    for story in stories() {
        let mut foreign = Foreign::load(&mut engine, &story).unwrap();
        for (name, case) in chosen(&story) {
            let (Expected::Rows(_) | Expected::Overflows(_), Ok(plan)) = (&case.expected, story.plan(case)) else {
                continue;
            };
            let plan = Arc::new(plan);
            let states = roads::agree(&story, &plan, &Walk::batch_alone()).await.unwrap();
            let rows = roads::finished(&plan, &states).unwrap().rows;
            match foreign.compare(&plan, &rows).unwrap() {
                Verdict::Same => same += 1,
                Verdict::NotCompared(reason) => not_compared.entry(reason).or_default().push(name),
                Verdict::Differs(difference) => wrong.push(format!("{name}: {difference}")),
            }
        }
    }
    println!("{same} cases have DuckDB's rows; not compared:");
    not_compared.iter().for_each(|(reason, names)| println!("  {reason}: {}", names.join(", ")));
    assert!(wrong.is_empty(), "{} cases differ from DuckDB:\n{}", wrong.len(), wrong.join("\n"));
    let left_out: usize = not_compared.values().map(Vec::len).sum();
    assert!(left_out <= MOST_NOT_COMPARED, "{left_out} cases were not compared");
}

async fn check(story: &Story, case: &Case) -> anyhow::Result<()> {
    match (&case.expected, story.plan(case)) {
        (Expected::Refused(words), Err(error)) => {
            let text = error.to_string();
            ensure!(text.contains(words), "refused otherwise: {text}");
            ensure!(!error.help.is_empty(), "refused without a next step");
            Ok(())
        }
        (Expected::Refused(_), Ok(_)) => anyhow::bail!("is not refused"),
        (_, Err(error)) => Err(error.into()),
        (expected, Ok(plan)) => walk(story, plan.into(), expected).await,
    }
}

/// Runs all roads and compares bytes and rows.
async fn walk(story: &Story, plan: Arc<ViewPlan>, expected: &Expected) -> anyhow::Result<()> {
    let states = roads::agree(story, &plan, &Walk::thorough(story)).await?;
    let merged = roads::finished(&plan, &states)?;
    match expected {
        Expected::Rows(expected) => {
            let (found, expected) = (text(&merged.rows)?.join("\n"), expected.join("\n"));
            ensure!(found == expected, "the rows are\n{found}\nbut should be\n{expected}");
            ensure!(merged.overflows.is_empty(), "a value is beyond its type: {:?}", merged.overflows);
        }
        Expected::Overflows(words) => {
            let named = merged.overflows.iter().any(|overflow| overflow.cause.contains(words));
            ensure!(named, "overflows otherwise: {:?}", merged.overflows);
        }
        Expected::Refused(_) => anyhow::bail!("is not refused"),
    }
    Ok(())
}

fn text(rows: &RecordBatch) -> anyhow::Result<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    Ok((0..rows.num_rows()).map(row).collect())
}
