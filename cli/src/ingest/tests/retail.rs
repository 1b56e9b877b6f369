//! The example project: its files parse, and its data is what its README says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anabranch_model::cut::CutPoint;
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::position::Partition;
use anabranch_model::project::{Project, Source};
use anabranch_view::ViewPlan;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type};

use super::Bed;
use crate::ingest::IngestOptions;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/retail")
}

fn project() -> Project {
    let text = fs::read_to_string(folder().join("anabranch.toml")).unwrap();
    Project::parse("anabranch.toml", &text).unwrap()
}

#[test]
fn every_view_parses_and_is_configured() {
    let project = project();
    let mut names = Vec::new();
    for file in fs::read_dir(folder().join("views")).unwrap() {
        let path = file.unwrap().path();
        let sql = fs::read_to_string(&path).unwrap();
        ViewPlan::parse(&path.display().to_string(), &sql, &project.sources).unwrap();
        names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, project.views.into_keys().collect::<Vec<_>>());
}

#[derive(Default)]
struct Totals {
    lines: usize,
    invoices: BTreeSet<String>,
    customers: BTreeSet<String>,
    without_customer: usize,
    returned: usize,
    pence: i128,
}

impl Totals {
    fn add(&mut self, events: &RecordBatch) {
        let column = |name| events.column_by_name(name).unwrap();
        let texts = |name| column(name).as_string::<i32>().iter().flatten().map(str::to_owned);
        self.lines += events.num_rows();
        self.invoices.extend(texts("invoice_no"));
        self.customers.extend(texts("customer_id"));
        self.without_customer += column("customer_id").null_count();
        let quantities = column("quantity").as_primitive::<Int32Type>().values();
        self.returned += quantities.iter().filter(|quantity| **quantity < 0).count();
        let prices = column("unit_price").as_primitive::<Decimal128Type>().values();
        self.pence +=
            quantities.iter().zip(prices).map(|(quantity, price)| i128::from(*quantity) * price).sum::<i128>();
    }
}

/// All events of the source that count; none may be late or rejected.
async fn totals(bed: &Bed, source: &Source) -> Totals {
    let (decoder, mut totals) = (JsonDecoder::new(source), Totals::default());
    for partition in 0..source.partitions {
        let mut point = CutPoint::default();
        for chunk in bed.chunks(Partition(partition)).await {
            let judged = JudgedEvents::of_chunk(source, &decoder, &chunk, point).unwrap();
            assert_eq!(judged.outcomes().applied, chunk.len() as u64, "{:?}", judged.reasons.first());
            totals.add(&judged.events);
            point = judged.point;
        }
    }
    totals
}

#[tokio::test]
async fn every_line_counts_and_the_totals_are_those_of_the_readme() {
    let source = project().sources.remove("order_lines").unwrap();
    let bed = Bed::of(source.clone());
    let report = bed.ingest(&folder().join("online-retail.csv.gz"), &IngestOptions::default()).await.unwrap();
    assert_eq!((report.rows, report.malformed), (30_000, 0));
    assert!(report.partitions.values().all(|end| (6_500..8_500).contains(&end.0)), "{:?}", report.partitions);
    let totals = totals(&bed, &source).await;
    assert_eq!((totals.lines, totals.without_customer, totals.returned), (30_000, 2_000, 633));
    assert_eq!((totals.invoices.len(), totals.customers.len()), (12_392, 3_569));
    assert_eq!(totals.pence, 57_557_467);
}
