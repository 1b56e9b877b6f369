//! The words of the demo: each step for a person.

use anabranch_model::catalog::GenerationRecord;
use anabranch_model::project::Source;
use anabranch_view::span_in_words;
use serde_json::Value;

use super::answers::{Country, Shares, Totals, VIEW};
use super::figures::grouped;
use super::late::LateEvent;
use super::section::{Section, Table};
use super::tables::{offset_row, offsets, printed_offsets, road, sums, swap};
use crate::age::iso_time;
use crate::commands::batch::ViewRun;
use crate::commands::verify::Verified;
use crate::ingest::IngestReport;
use crate::output::counted;

/// The road of another engine.
const ORACLE: &str = "Polars";
/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;

pub fn ingest(source: &Source, report: &IngestReport) -> Section {
    let prose = format!(
        "{} order lines of a UK online shop become events in the topic {} with {} partitions. {} \
         As in Kafka, an offset is the place of an event in its partition. Every number below is computed from this log.",
        grouped(report.rows + report.skipped),
        source.topic,
        report.partitions.len(),
        already_there(report)
    );
    let table = offsets(&report.partitions).row(offset_row("next offset", &report.partitions));
    Section { heading: "Order lines go into the log", prose, table }
}

fn already_there(report: &IngestReport) -> String {
    match report.skipped {
        0 => String::new(),
        skipped => format!("{} of them were there from an earlier run and are not appended again.", grouped(skipped)),
    }
}

pub fn batch(archived: u64, views: &[ViewRun]) -> Section {
    let prose = format!(
        "The archive job copied {} events from the log into a Delta table and judged each of them once. A batch job \
         then computed {} views over that table. Each result is a new generation: it covers the log up to its cut, \
         the offsets at which the archive ended.",
        grouped(archived),
        views.len()
    );
    let table = views.iter().fold(Table::new(["view", "generation", "built by", "groups"]), |table, run| {
        table.row([run.view.clone(), run.generation.to_string(), road(run.road).to_owned(), grouped(run.rows)])
    });
    Section { heading: "The batch job computes the views", prose, table }
}

pub fn more(report: &IngestReport, coverage: &Value) -> Section {
    let prose = format!(
        "{} more lines arrive. {} The speed job folds every event from the cut on into the real-time view, as a Flink \
         job would. Batch and speed meet at an offset and not at a time, so no event is lost or counted twice.",
        grouped(report.rows + report.skipped),
        already_there(report)
    );
    let (cut, applied) = (printed_offsets(&coverage["cut"]), printed_offsets(&coverage["applied"]));
    let table = offsets(&cut)
        .row(offset_row("batch view covers offsets below", &cut))
        .row(offset_row("both views cover offsets below", &applied));
    Section { heading: "More lines arrive", prose, table }
}

pub fn first_answer(totals: &Totals, best: &[Country]) -> Section {
    let prose = format!(
        "The API merges the batch view and the real-time view in every answer. Together they have {} lines, {} units \
         and a revenue of {} pounds. These are the countries with the highest revenue.",
        grouped(totals.lines),
        grouped(totals.units),
        grouped(&totals.revenue)
    );
    let table = best.iter().fold(Table::new(["country", "lines", "units", "revenue"]), |table, country| {
        table.row([vec![country.country.clone()], sums(&country.totals)].concat())
    });
    Section { heading: "One answer from both sides", prose, table }
}

pub fn shares(shares: &Shares) -> Section {
    let day = shares.window_start.split('T').next().unwrap_or_default();
    let prose = format!(
        "The best day of all is {day} in the country {}, with a revenue of {} pounds. Its lines below the cut are in \
         the batch view, the others in the real-time view. The two shares add up to the total, to the penny.",
        shares.country,
        grouped(&shares.total.revenue)
    );
    let side = |name: &str, totals: &Option<Totals>| match totals {
        Some(totals) => [vec![name.to_owned()], sums(totals)].concat(),
        None => vec![name.to_owned(), "0".to_owned(), "0".to_owned(), "0.00".to_owned()],
    };
    let table = Table::new(["side", "lines", "units", "revenue"])
        .row(side("batch view", &shares.batch))
        .row(side("real-time view", &shares.realtime))
        .row(side("total", &Some(shares.total.clone())));
    Section { heading: "One sum and its two shares", prose, table }
}

pub fn replay(before: Option<&GenerationRecord>, after: &GenerationRecord) -> Section {
    let prose = format!(
        "A replay computes {VIEW} again from the first event on, with the code of the stream: this is Kappa. The new \
         generation is built beside the one that answers, catches up, and takes over in one step. Readers see no gap. \
         The old generation stays for a rollback."
    );
    Section { heading: "Replay, and a swap", prose, table: swap(before, after) }
}

pub fn batch_again(before: Option<&GenerationRecord>, after: &GenerationRecord) -> Section {
    let prose = format!(
        "The batch job runs again, over an archive that has all lines by now. {VIEW} goes back to Lambda, by the same \
         kind of swap."
    );
    Section { heading: "The batch job again, and back to Lambda", prose, table: swap(before, after) }
}

pub fn same_answer(kappa: bool, totals: &Totals, coverage: &Value) -> Section {
    let prose = match kappa {
        true => "The batch job had no part in this answer: the stream's code alone has computed it. It is the same.",
        false => "A batch view answers again, with the real-time view from its cut on. The answer is still the same.",
    };
    let told = |field: &str| match &coverage[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let table = Table::new(["generation", "mode", "lines", "units", "revenue"])
        .row([vec![told("generation"), told("mode")], sums(totals)].concat());
    let heading = if kappa { "The same answer in Kappa mode" } else { "The same answer in Lambda mode" };
    Section { heading, prose: prose.to_owned(), table }
}

/// What became of the late line.
pub struct LateStory<'a> {
    pub event: &'a LateEvent,
    pub is_new: bool,
    pub before: u64,
    pub after: u64,
    pub totals: &'a Totals,
}

pub fn late(source: &Source, story: &LateStory) -> Section {
    let appended =
        if story.is_new { "One more line is appended." } else { "An earlier run has appended one more line." };
    let prose = format!(
        "{appended} It is older than the watermark, which is the largest event time before it in its partition minus \
         the lateness of {}. So no view counts it. It is not dropped in silence either: the speed job counts it as \
         late, and the archive keeps it with this verdict. Every replay judges it the same way.",
        span_in_words(source.lateness_us)
    );
    let event = story.event;
    let rows = [
        ("partition and offset", format!("partition {}, offset {}", event.partition, grouped(event.offset))),
        ("event time", iso_time(event.event_time_us)),
        ("watermark at this offset", iso_time(event.watermark_us)),
        ("late events counted, before", grouped(story.before)),
        ("late events counted, now", grouped(story.after)),
        ("in the archive", format!("verdict late, {} bytes as they came", grouped(event.raw_bytes))),
        ("revenue, unchanged", format!("{} pounds", grouped(&story.totals.revenue))),
    ];
    let table = rows
        .into_iter()
        .fold(Table::new(["fact", "value"]), |table, (fact, value)| table.row([fact.to_owned(), value]));
    Section { heading: "A line that comes too late", prose, table }
}

pub fn verify(verified: &[Verified]) -> Section {
    let prose = format!(
        "Every view is computed again on each road to the end of the archive: {}. The digest is SHA-256 over the \
         states of all groups, the same on every road, byte for byte.{}",
        roads(verified).join(", "),
        oracle(verified)
    );
    let table = verified.iter().fold(Table::new(["view", "groups", "roads that agree", "digest"]), |table, view| {
        let agree = if view.difference.is_none() { view.roads.len().to_string() } else { "they differ".to_owned() };
        let digest = view.digest.chars().take(DIGEST_DIGITS).collect();
        table.row([view.view.clone(), grouped(view.groups), agree, digest])
    });
    Section { heading: "The proof", prose, table }
}

/// The roads that any view has gone.
fn roads(verified: &[Verified]) -> Vec<&'static str> {
    let mut roads: Vec<&'static str> = Vec::new();
    for road in verified.iter().flat_map(|view| &view.roads) {
        if !roads.contains(road) {
            roads.push(road);
        }
    }
    roads
}

/// What the engine that shares no aggregation code compares, if it was built in.
fn oracle(verified: &[Verified]) -> String {
    if !roads(verified).contains(&ORACLE) {
        return String::new();
    }
    let compared = verified.iter().filter(|view| view.roads.contains(&ORACLE));
    let skipped = compared.flat_map(|view| &view.not_compared).filter(|what| what.starts_with(ORACLE)).count();
    let without = match skipped {
        0 => String::new(),
        _ => format!("; it leaves out {} for which it has no recipe", counted(skipped as u64, "aggregate")),
    };
    format!(" {ORACLE}, an engine of its own, compares the finished values{without}.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::commands::demo::paint::Paint;

    fn verified(view: &str, roads: &[&'static str], not_compared: &[&str]) -> Verified {
        Verified {
            view: view.to_owned(),
            groups: 1_254,
            cut: BTreeMap::new(),
            digest: "0123456789abcdef".repeat(4),
            roads: roads.to_vec(),
            by_polars: Vec::new(),
            by_shared_expressions: Vec::new(),
            not_compared: not_compared.iter().map(|what| (*what).to_owned()).collect(),
            difference: None,
        }
    }

    #[test]
    fn the_proof_names_the_roads_that_were_gone() {
        let two = verified("v", &["full batch", "replay"], &["Polars: not in this build"]);
        let text = verify(std::slice::from_ref(&two)).prose;
        assert!(text.contains("archive: full batch, replay. "), "{text}");
        assert!(!text.contains("Polars"), "{text}");
        let three = verified("w", &["full batch", "replay", "Polars"], &["Polars: top_k"]);
        let section = verify(&[two, three]);
        assert!(section.prose.contains("archive: full batch, replay, Polars. "), "{}", section.prose);
        assert!(section.prose.contains("leaves out 1 aggregate for"), "{}", section.prose);
        let text = section.text(1, Paint::none());
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = text.lines().rev().take(2).map(words).collect();
        assert_eq!(rows, [["w", "1,254", "3", "0123456789ab"], ["v", "1,254", "2", "0123456789ab"]], "{text}");
    }

    #[test]
    fn lines_that_are_there_already_are_told() {
        let source = Source {
            name: "s".into(),
            topic: "t".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: Vec::new(),
            columns: Vec::new(),
        };
        let report = IngestReport { rows: 1_000, skipped: 2_000, ..IngestReport::default() };
        let text = ingest(&source, &report).prose;
        assert!(text.starts_with("3,000 order lines"), "{text}");
        assert!(text.contains("2,000 of them were there from an earlier run"), "{text}");
    }

    #[test]
    fn a_side_that_has_nothing_has_a_share_of_nothing() {
        let total = Totals { lines: 1_234, units: -5, revenue: "1000.10".to_owned() };
        let told = Shares {
            country: "Norway".to_owned(),
            window_start: "2011-11-03T00:00:00Z".to_owned(),
            total: total.clone(),
            batch: Some(total),
            realtime: None,
        };
        let text = shares(&told).text(1, Paint::none());
        assert!(text.contains("2011-11-03 in the country Norway, with a revenue of 1,000.10 pounds"), "{text}");
        assert!(text.contains("  real-time view      0      0      0.00\n"), "{text}");
    }
}
