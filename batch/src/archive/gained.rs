//! What an archive has gained since a cut.

use anabranch_model::archive::{OFFSET, PARTITION};
use anabranch_model::cut::Cut;
use anabranch_model::position::{Offset, Partition};
use datafusion::logical_expr::{Expr, lit};

use crate::columns::column;

/// Rows at or above `from`; `None` when there can be none. They are below `to` because the snapshot
/// ends there.
pub(crate) fn gained(from: &Cut, to: &Cut) -> Option<Expr> {
    let moved: Vec<(Partition, Offset)> =
        to.0.iter()
            .map(|(partition, point)| (*partition, from.next(*partition), point.next))
            .filter(|(_, from, to)| from < to)
            .map(|(partition, from, _)| (partition, from))
            .collect();
    any_of(&moved)
}

/// A balanced tree: a thousand partitions must not nest a thousand deep.
fn any_of(ranges: &[(Partition, Offset)]) -> Option<Expr> {
    match ranges {
        [] => None,
        [(partition, from)] => {
            let here = column(PARTITION).eq(lit(partition.0 as i32));
            Some(here.and(column(OFFSET).gt_eq(lit(from.0 as i64))))
        }
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            Some(any_of(left)?.or(any_of(right)?))
        }
    }
}
