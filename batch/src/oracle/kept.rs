//! Whether WHERE keeps the events that Polars keeps.

use std::collections::BTreeSet;

use datafusion::prelude::DataFrame;
use polars::prelude::{Expr as PolarsExpr, IntoLazy};

use super::expression::event_column;
use super::own::Own;
use super::window::numbers;
use super::{Difference, LOG_OFFSET, LOG_PARTITION, place};
use crate::Result;
use crate::columns::column;

/// Of all events, their place in the log and the columns that Polars' expressions read.
pub fn projected(own: &Own, events: DataFrame) -> Result<DataFrame> {
    let own_columns = own.columns();
    let columns = own_columns.iter().map(|name| column(name).alias(event_column(name)));
    Ok(events.select(place().into_iter().chain(columns).collect::<Vec<_>>())?)
}

/// The first event that is kept on one side alone.
pub fn difference(
    filter: PolarsExpr,
    all: polars::frame::DataFrame,
    kept: &polars::frame::DataFrame,
) -> Result<Option<Difference>> {
    let expected = places(&all.lazy().filter(filter).collect()?)?;
    let found = places(kept)?;
    let first = expected.symmetric_difference(&found).next();
    Ok(first.map(|(partition, offset)| {
        let words = |places: &BTreeSet<_>| if places.contains(&(*partition, *offset)) { "kept" } else { "left out" };
        Difference {
            group: format!("the event of partition {partition} at offset {offset}"),
            column: Some("WHERE".to_owned()),
            found: words(&found).to_owned(),
            expected: words(&expected).to_owned(),
        }
    }))
}

fn places(events: &polars::frame::DataFrame) -> Result<BTreeSet<(i64, i64)>> {
    Ok(numbers(events, LOG_PARTITION)?.into_iter().zip(numbers(events, LOG_OFFSET)?).collect())
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, NamedFrom, Series, col, lit};

    use super::*;

    fn frame(offsets: &[i64]) -> polars::frame::DataFrame {
        let column = |name: &str, values: Vec<i64>| Column::from(Series::new(name.into(), values));
        let partitions = vec![0; offsets.len()];
        let columns = vec![column(LOG_PARTITION, partitions), column(LOG_OFFSET, offsets.to_vec())];
        polars::frame::DataFrame::new(offsets.len(), columns).unwrap()
    }

    #[test]
    fn an_event_that_one_side_keeps_is_named() {
        let filter = || col(LOG_OFFSET).gt(lit(5i64));
        let all = frame(&[3, 6, 7]);
        assert_eq!(difference(filter(), all.clone(), &frame(&[6, 7])).unwrap(), None);
        let found = difference(filter(), all, &frame(&[3, 7, 6])).unwrap().unwrap().to_string();
        assert_eq!(found, "the event of partition 0 at offset 3: WHERE is kept, the oracle says left out");
    }
}
