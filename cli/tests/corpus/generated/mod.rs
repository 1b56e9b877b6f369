//! Views that nobody has thought of: random expressions of every type over random events, each through full
//! batch, incremental batch, the streaming fold, the Lambda merge at random cuts and replay, with equal bytes,
//! and through DuckDB with equal values. A difference is made small and printed as a case of the corpus.
//!
//! - `GENERATED_SECONDS`: how long; 45 unless it is said.
//! - `GENERATED_SEED`: where to begin; the report names the seed of each fault.
//! - `GENERATED_EVENTS`: events of each story.

mod events;
mod expression;
mod known;
mod shrink;
mod trial;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::foreign::Foreign;
use crate::foreign::engine::Engine;
use crate::roads::{Random, Walk};
use known::KNOWN;
use trial::Outcome;
use view::View;

const VIEWS_OF_A_STORY: u64 = 20;
/// Of a hundred views, this many may be refused or go without DuckDB.
const MOST_NOT_COMPARED_PERCENT: usize = 15;
/// A run that has found this many faults ends.
const ENOUGH_FAULTS: usize = 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What a run has done.
#[derive(Default)]
struct Report {
    views: usize,
    same: usize,
    events: usize,
    /// An expression of a view for one event on one road, or by DuckDB.
    evaluations: u64,
    /// By reason: how many, and the first.
    refused: BTreeMap<String, (usize, String)>,
    not_compared: BTreeMap<String, (usize, String)>,
    known: BTreeMap<&'static str, usize>,
    /// By the words of the minimal view, so that a fault is told once.
    faults: BTreeMap<String, (usize, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_views_are_the_same_on_every_road_and_in_duckdb() {
    let (seconds, mut seed) = (setting("GENERATED_SECONDS", 45), setting("GENERATED_SEED", 1));
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut engine = Engine::start().unwrap();
    let mut report = Report::default();
    while Instant::now() < deadline && report.faults.len() < ENOUGH_FAULTS {
        report.tell(&mut engine, seed, deadline).await;
        seed += 1;
    }
    report.print();
    let faults = report.faults.values().map(|(times, text)| format!("{times} times, the first by {text}"));
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n\n"));
    let left_out = report.refused.values().chain(report.not_compared.values()).map(|(count, _)| count).sum::<usize>();
    let percent = 100 * left_out / report.views.max(1);
    assert!(percent <= MOST_NOT_COMPARED_PERCENT, "{percent} % of the views were not compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_that_are_listed_as_known_still_differ() {
    let mut engine = Engine::start().unwrap();
    for known in KNOWN {
        let story = known.story();
        let mut foreign = Foreign::load(&mut engine, &story).unwrap();
        let outcome = trial::run(&story, known.sql, Walk::thorough(&story), Some(&mut foreign)).await;
        assert!(matches!(outcome, Outcome::Fault(_)), "no longer differs, so take it off the list: {}", known.reason);
    }
}

impl Report {
    /// One story of this seed, and views over it until the time is over.
    async fn tell(&mut self, engine: &mut Engine, seed: u64, deadline: Instant) {
        let mut random = Random(seed);
        let events = setting("GENERATED_EVENTS", 300);
        let story = Arc::new(events::story(events::partitions(&mut random, events)));
        let mut foreign = Foreign::load(engine, &story).unwrap();
        let mut found = Vec::new();
        for _ in 0..VIEWS_OF_A_STORY {
            if Instant::now() > deadline {
                break;
            }
            let view = View::random(&mut random);
            let walk = trial::walk(&mut random, &story);
            let evaluations =
                (view.nodes() * story.applied().unwrap().iter().map(|b| b.num_rows()).sum::<usize>()) as u64;
            let evaluations = evaluations * (walk.roads() as u64 + 1);
            let outcome = trial::run(&story, &view.sql(), walk, Some(&mut foreign)).await;
            self.views += 1;
            match outcome {
                Outcome::Same => self.same += 1,
                Outcome::Refused(reason) => {
                    self.refused.entry(reason).or_insert((0, view.sql())).0 += 1;
                    continue;
                }
                Outcome::NotCompared(reason) => self.not_compared.entry(reason).or_insert((0, view.sql())).0 += 1,
                Outcome::Fault(fault) => {
                    found.push(shrink::Case { view, partitions: story.partitions.clone(), fault });
                }
            }
            self.evaluations += evaluations;
        }
        drop(foreign);
        self.events += events as usize;
        for case in found {
            self.fault(engine, seed, case).await;
        }
    }

    async fn fault(&mut self, engine: &mut Engine, seed: u64, case: shrink::Case) {
        let case = shrink::shrink(engine, case, Duration::from_secs(setting("GENERATED_SHRINK_SECONDS", 20))).await;
        let sql = case.view.sql();
        match KNOWN.iter().find(|known| (known.is_it)(&sql)) {
            Some(known) => *self.known.entry(known.reason).or_default() += 1,
            None => {
                let text = format!("seed {seed}: {:?}: {}\n{}", case.fault.class, case.fault.text, case.text());
                self.faults.entry(words(&sql)).or_insert((0, text)).0 += 1;
            }
        }
    }

    fn print(&self) {
        let millions = self.evaluations as f64 / 1e6;
        println!(
            "{} views over {} events, {millions:.1} million evaluations; {} the same on every road and in DuckDB",
            self.views, self.events, self.same
        );
        let table = |title: &str, rows: &BTreeMap<String, (usize, String)>| {
            println!("{title}: {}", rows.values().map(|(count, _)| count).sum::<usize>());
            rows.iter().for_each(|(reason, (count, sql))| println!("  {count:5} {reason}: {sql}"));
        };
        table("refused", &self.refused);
        table("not compared", &self.not_compared);
        println!("known differences: {}", self.known.values().sum::<usize>());
        self.known.iter().for_each(|(reason, count)| println!("  {count:5} {reason}"));
    }
}

/// The words of a view but for names of columns and literals.
fn words(sql: &str) -> String {
    let words = sql.split(|c: char| !c.is_alphanumeric() && !"+-*/%<>=_|".contains(c));
    let is_function = |word: &&str| word.contains(|c: char| c.is_alphabetic() || "+-*/%|".contains(c));
    words
        .filter(is_function)
        .filter(|word| !events::SOURCE.contains(&format!("\n{word} = ")))
        .collect::<Vec<_>>()
        .join(" ")
}
