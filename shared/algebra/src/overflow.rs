//! Finishing states where some groups have a value beyond its type.

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::concat;

use crate::aggregate::{BoundAggregate, FinishError, States};
use crate::codec::StateError;

/// Finished values of a column of states.
#[derive(Debug)]
pub struct FinishedColumn {
    pub values: ArrayRef,
    /// The groups whose value is beyond its type, ascending; theirs is NULL in `values`.
    pub overflows: Vec<(usize, FinishError)>,
}

/// Finishes `groups` states of `bound`. One value beyond its type takes no other value away: where a
/// column cannot be finished at once, its groups are finished one by one.
pub fn finish_column(
    bound: &dyn BoundAggregate,
    states: &dyn States,
    groups: usize,
) -> Result<FinishedColumn, StateError> {
    match states.finish() {
        Ok(values) => Ok(FinishedColumn { values, overflows: Vec::new() }),
        Err(_) => finish_singly(bound, states, groups),
    }
}

fn finish_singly(bound: &dyn BoundAggregate, states: &dyn States, groups: usize) -> Result<FinishedColumn, StateError> {
    let (mut values, mut overflows) = (Vec::with_capacity(groups), Vec::new());
    let mut encoded = Vec::new();
    for group in 0..groups {
        encoded.clear();
        states.encode(group, &mut encoded);
        let mut single = bound.new_states();
        single.grow(1);
        single.merge_one(&encoded, 0)?;
        values.push(single.finish().unwrap_or_else(|error| {
            overflows.push((group, error));
            new_null_array(&bound.return_type(), 1)
        }));
    }
    let values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
    Ok(FinishedColumn { values: concat(&values).expect("the values of an aggregate are of one type"), overflows })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Int64Array};
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;
    use crate::registry::named;

    #[test]
    fn one_overflow_leaves_the_other_groups_their_values() {
        let sum = named("sum").unwrap().bind(&[DataType::Int64], &[]).unwrap();
        let mut states = sum.new_states();
        states.grow(4);
        let values: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![5, i64::MAX, 1, -7]));
        states.lift(&[values], &[0, 1, 1, 3], None);
        let finished = finish_column(sum.as_ref(), states.as_ref(), 4).unwrap();
        let values: Vec<Option<i64>> = finished.values.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [Some(5), None, None, Some(-7)]);
        assert_eq!(finished.overflows.len(), 1, "a sum of nothing is NULL and no overflow");
        assert_eq!((finished.overflows[0].0, finished.overflows[0].1.aggregate), (1, "sum"));
        assert_eq!(finished.values.data_type(), &sum.return_type());
    }
}
