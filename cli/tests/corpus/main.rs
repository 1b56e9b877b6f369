//! One corpus of SQL cases on every road: DataFusion over all events, DataFusion continuing from a
//! cut, the streaming fold in chunks of many sizes with the partitions interleaved at random, the
//! Lambda merge of a batch view and a fold at every tenth offset, and replay. All must give the same
//! bytes, and the rows that the case states.
//!
//! A file in `cases/` is a story: a source as in `anabranch.toml`, references, its events by partition, and
//! views with the rows that they must have. `CASE=words` runs those whose story and name have the words.

mod case;
mod log;
mod roads;

use std::collections::BTreeMap;
use std::path::PathBuf;

use case::{Expected, Story};

fn stories() -> Vec<Story> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Story::parse(file)).collect()
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
    let (only, mut wrong) = (std::env::var("CASE").ok(), Vec::new());
    for story in stories() {
        for case in &story.cases {
            let name = format!("{}/{}", story.name, case.name);
            if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
                continue;
            }
            if let Err(cause) = check(&story, case).await {
                wrong.push(format!("{name}: {cause:#}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn check(story: &Story, case: &case::Case) -> anyhow::Result<()> {
    match (&case.expected, story.plan(case)) {
        (Expected::Refused(words), Err(error)) => {
            let text = error.to_string();
            anyhow::ensure!(text.contains(words), "refused otherwise: {text}");
            anyhow::ensure!(!error.help.is_empty(), "refused without a next step");
            Ok(())
        }
        (Expected::Refused(_), Ok(_)) => anyhow::bail!("is not refused"),
        (_, Err(error)) => Err(error.into()),
        (expected, Ok(plan)) => roads::check(story, plan.into(), expected).await,
    }
}
