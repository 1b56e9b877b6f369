//! Values beyond their type, in the SELECT list and in HAVING.

use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::FinishedRows;
use anabranch_algebra::States;

/// Finishes groups `a`, `b`, ... whose sums are these, all in one go.
fn finish(sql: &str, sums: &[i128]) -> FinishedRows {
    finished(sql, sums, false)
}

/// The same; with those that HAVING removes, if asked for.
fn finished(sql: &str, sums: &[i128], all: bool) -> FinishedRows {
    let plan = parse(sql).unwrap();
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values((0..sums.len()).map(|group| format!("{group:03}"))));
    let keys = key::encode(&[keys], sums.len()).unwrap();
    let keys: Vec<&[u8]> = (0..sums.len()).map(|group| keys.get(group)).collect();
    let mut states: Vec<Box<dyn States>> = plan.new_states();
    states.iter_mut().for_each(|column| column.grow(sums.len()));
    for (group, sum) in sums.iter().enumerate() {
        // A sum as two parts that fit.
        let (half, rest) = (sum / 2, sum - sum / 2);
        let parts: ArrayRef = Arc::new(Int64Array::from(vec![half as i64, rest as i64]));
        states.iter_mut().for_each(|column| column.lift(std::slice::from_ref(&parts), &[group, group], None));
    }
    let order: Vec<u32> = (0..sums.len() as u32).rev().collect();
    let windows = vec![(0, 0); sums.len()];
    let finish = if all { ViewPlan::finish_all } else { ViewPlan::finish };
    finish(&plan, &windows, &keys, &states, &order.into()).unwrap()
}

fn is_beyond(sum: i128) -> bool {
    i64::try_from(sum).is_err()
}

fn numbers(finished: &FinishedRows, column: usize) -> Vec<Option<i64>> {
    finished.rows.column(column).as_primitive::<Int64Type>().iter().collect()
}

proptest! {
    /// Each row by itself is what it is among the others.
    #[test]
    fn one_value_beyond_its_type_changes_no_other(
        sums in prop::collection::vec(prop_oneof![-9i128..9, any::<i64>().prop_map(|n| i128::from(n) * 3 / 2)], 1..30),
    ) {
        let sql = "SELECT k, sum(n) AS s, coalesce(sum(n), 0) AS zero, count(n) AS c FROM orders GROUP BY k \
                   HAVING count(n) > 0";
        let finished = finish(sql, &sums);
        let expected: Vec<Option<i64>> = sums.iter().rev().map(|sum| i64::try_from(*sum).ok()).collect();
        prop_assert_eq!(numbers(&finished, 1), expected.clone());
        prop_assert_eq!(numbers(&finished, 2), expected);
        prop_assert_eq!(numbers(&finished, 3), vec![Some(2); sums.len()]);
        let beyond: Vec<usize> = sums.iter().rev().enumerate().filter(|(_, sum)| is_beyond(**sum)).map(|(row, _)| row).collect();
        prop_assert_eq!(finished.overflows.iter().map(|overflow| overflow.row).collect::<Vec<_>>(), beyond);
        prop_assert!(finished.overflows.iter().all(|overflow| overflow.columns == [1, 2] && overflow.cause.contains("sum overflows")));
        prop_assert!(finished.undecided.is_empty() && finished.places.is_sorted());
    }

    #[test]
    fn having_leaves_out_and_counts_what_it_cannot_judge(
        sums in prop::collection::vec(prop_oneof![-9i128..9, any::<i64>().prop_map(|n| i128::from(n) * 3 / 2)], 1..30),
    ) {
        let sql = "SELECT k, count(n) AS c FROM orders GROUP BY k HAVING coalesce(sum(n), 0) < 5";
        let finished = finish(sql, &sums);
        let kept: Vec<u32> = (0..).zip(sums.iter().rev()).filter(|(_, sum)| !is_beyond(**sum) && **sum < 5).map(|(row, _)| row).collect();
        prop_assert_eq!(&finished.places, &kept);
        prop_assert_eq!(finished.undecided.len(), sums.iter().filter(|sum| is_beyond(**sum)).count());
        prop_assert!(finished.overflows.is_empty(), "no column of the answer takes the sum");
    }
}

#[test]
fn an_expression_that_fails_on_one_row_takes_no_other_away() {
    let finished = finish("SELECT k, factorial(sum(n)) AS f, sum(n) AS s FROM orders GROUP BY k", &[3, 100, 5]);
    assert_eq!(numbers(&finished, 1), [Some(120), None, Some(6)]);
    assert_eq!(numbers(&finished, 2), [Some(5), Some(100), Some(3)]);
    assert!(finished.overflows.iter().all(|overflow| (overflow.row, &overflow.columns[..]) == (1, &[1])));
    let sql = "SELECT k, sum(n) AS s FROM orders GROUP BY k HAVING factorial(sum(n)) > 0";
    let finished = finish(sql, &[3, 100, 5]);
    assert_eq!(numbers(&finished, 1), [Some(5), Some(3)]);
    assert_eq!(finished.places, [0, 2]);
}

#[test]
fn what_having_removes_is_named_and_a_part_is_finished_whatever_it_says() {
    let sql = "SELECT k, sum(n) AS s FROM orders GROUP BY k HAVING sum(n) > 4 AND factorial(sum(n)) > 0";
    let sums = [3, 100, 5, 4, 6];
    let (answer, all) = (finish(sql, &sums), finished(sql, &sums, true));
    assert_eq!((numbers(&answer, 1), &answer.dropped[..]), (vec![Some(6), Some(5)], &[1, 3, 4][..]));
    assert_eq!(answer.undecided.len(), 1);
    assert_eq!(numbers(&all, 1), [Some(6), Some(4), Some(5), Some(100), Some(3)]);
    assert_eq!(all.places, [0, 1, 2, 3, 4]);
}
