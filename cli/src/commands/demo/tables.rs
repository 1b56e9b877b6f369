//! Facts of the running system as rows of tables.

use std::collections::BTreeMap;

use anabranch_model::catalog::{GenerationRecord, Road};
use anabranch_model::position::{Offset, Partition};
use serde_json::Value;

use super::answers::Totals;
use super::figures::grouped;
use super::section::Table;

/// The generation that answered before a swap, and the one that took over.
pub fn swap(before: Option<&GenerationRecord>, after: &GenerationRecord) -> Table {
    let cut = after.cut.offsets();
    let partitions = cut.keys().map(|partition| format!("cut {partition}"));
    let header = ["", "generation", "mode", "built by"].map(str::to_owned).into_iter().chain(partitions);
    let row = |name: &str, record: &GenerationRecord| {
        let cells = [name.to_owned(), record.generation.to_string(), mode(record), road(record.road).to_owned()];
        cells.into_iter().chain(cut.keys().map(|partition| grouped(record.cut.next(*partition)))).collect::<Vec<_>>()
    };
    let table = Table::new(header);
    let table = before.into_iter().fold(table, |table, before| table.row(row("before", before)));
    table.row(row("after", after))
}

fn mode(record: &GenerationRecord) -> String {
    format!("{:?}", record.road.mode()).to_lowercase()
}

/// How a generation was computed, in words.
pub fn road(road: Road) -> &'static str {
    match road {
        Road::Genesis => "nobody yet",
        Road::Batch => "full batch",
        Road::Incremental => "incremental batch",
        Road::Replay => "replay",
    }
}

/// A table with a column for each partition.
pub fn offsets(of: &BTreeMap<Partition, Offset>) -> Table {
    Table::new([String::new()].into_iter().chain(of.keys().map(|partition| format!("partition {partition}"))))
}

/// A row of it.
pub fn offset_row(name: &str, of: &BTreeMap<Partition, Offset>) -> Vec<String> {
    [name.to_owned()].into_iter().chain(of.values().map(grouped)).collect()
}

/// Offsets as an answer prints them.
pub fn printed_offsets(printed: &Value) -> BTreeMap<Partition, Offset> {
    let printed = printed.as_object().into_iter().flatten();
    let offset =
        |(partition, offset): (&String, &Value)| Some((Partition(partition.parse().ok()?), Offset(offset.as_u64()?)));
    printed.filter_map(offset).collect()
}

/// The three sums as cells.
pub fn sums(totals: &Totals) -> Vec<String> {
    vec![grouped(totals.lines), grouped(totals.units), grouped(&totals.revenue)]
}
