//! Which columns play which part.

use super::column::{Inferred, Kind};

/// A column with more different values than this names things, and does not group them.
const GROUPS: usize = 1000;
/// The log's own time of an event.
pub const INGESTION_TIME: &str = "ingestion_time";

/// What the project is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The event time, a column without NULLs; the log's own time if there is none.
    pub event_time: Option<String>,
    /// What chooses the partition.
    pub partition_key: Option<String>,
    /// What the first view groups by.
    pub group: Option<String>,
    /// What the views sum up.
    pub measure: Option<String>,
}

impl Choice {
    pub fn of(columns: &[Inferred], rows: u64) -> Self {
        let name = |column: Option<&Inferred>| column.map(|column| column.name.clone());
        let group = group(columns, rows);
        let identity = columns.iter().find(|column| is_identity(column) && column.nulls == 0);
        Self {
            event_time: name(columns.iter().find(|column| column.kind.is_time() && column.nulls == 0)),
            partition_key: name(identity.or(group)),
            group: name(group),
            measure: name(measure(columns)),
        }
    }
}

/// The text with the fewest different values, if they come again and again; or else another column of that kind.
fn group(columns: &[Inferred], rows: u64) -> Option<&Inferred> {
    let groups = |column: &Inferred| {
        let distinct = column.distinct.filter(|distinct| (2..=GROUPS).contains(distinct))?;
        (distinct as u64 * 2 <= rows).then_some(distinct)
    };
    let fewest = |is_one: fn(Kind) -> bool| {
        let candidates = columns.iter().filter(|column| is_one(column.kind) && groups(column).is_some());
        candidates.min_by_key(|column| (column.nulls > 0, groups(column)))
    };
    fewest(|kind| kind == Kind::Varchar)
        .or_else(|| fewest(|kind| kind == Kind::BigInt))
        .or_else(|| fewest(|kind| kind == Kind::Boolean))
}

/// An amount rather than a count, and a count rather than nothing; numbers that name things are neither.
fn measure(columns: &[Inferred]) -> Option<&Inferred> {
    let rank = |column: &Inferred| match column.kind {
        _ if is_identity(column) => None,
        Kind::Decimal { .. } => Some(0),
        Kind::Double => Some(1),
        Kind::BigInt => Some(2),
        _ => None,
    };
    columns.iter().filter(|column| rank(column).is_some()).min_by_key(|column| rank(column))
}

/// Whether the column names things by its own name.
fn is_identity(column: &Inferred) -> bool {
    let lower = column.name.to_lowercase();
    let ends = ["_id", "_no", "_key", "_code", " id", " no", "uuid", "number"].iter().any(|end| lower.ends_with(end));
    let is_named = ends
        || ["id", "key", "uid", "user", "customer", "device"].contains(&lower.as_str())
        || column.name.ends_with("Id");
    is_named && matches!(column.kind, Kind::Varchar | Kind::BigInt) && column.distinct != Some(1)
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Course;
    use super::*;

    fn column(name: &str, kind: Kind, nulls: u64, distinct: Option<usize>) -> Inferred {
        Inferred { name: name.into(), kind, nulls, distinct, course: Course::default(), note: None }
    }

    const TIME: Kind = Kind::Timestamp { format: anabranch_model::project::TimestampFormat::Iso8601, finer: false };

    #[test]
    fn every_part_has_the_column_that_fits() {
        let columns = [
            column("invoice_no", Kind::Varchar, 0, None),
            column("quantity", Kind::BigInt, 0, Some(100)),
            column("paid_at", TIME, 3, None),
            column("sold_at", TIME, 0, None),
            column("price", Kind::Decimal { precision: 18, scale: 2 }, 0, None),
            column("note", Kind::Varchar, 5, Some(2)),
            column("country", Kind::Varchar, 0, Some(38)),
        ];
        let some = |name: &str| Some(name.to_owned());
        let choice = Choice::of(&columns, 30_000);
        assert_eq!(choice.event_time, some("sold_at"), "{choice:?}");
        assert_eq!((choice.partition_key, choice.group), (some("invoice_no"), some("country")));
        assert_eq!(choice.measure, some("price"));
    }

    #[test]
    fn a_file_of_one_text_has_no_group_and_no_time() {
        let choice = Choice::of(&[column("line", Kind::Varchar, 0, None)], 30);
        assert_eq!(choice, Choice { event_time: None, partition_key: None, group: None, measure: None });
    }
}
