//! Aggregates that keep values, where laws and golden files do not say what is right: caps, ties,
//! order, edges and parameters.

use std::sync::Arc;

use anabranch_algebra::{BoundAggregate, Parameter, StateError, States, named};
use arrow::array::*;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

fn whole(numbers: &[i64]) -> Vec<Parameter> {
    numbers.iter().copied().map(Parameter::from).collect()
}

fn doubles(numbers: &[f64]) -> Vec<Parameter> {
    numbers.iter().copied().map(Parameter::from).collect()
}

fn bound(name: &str, columns: &[ArrayRef], parameters: &[Parameter]) -> Arc<dyn BoundAggregate> {
    let aggregate = named(name).unwrap();
    let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    aggregate.bind(&types[..aggregate.columns()], parameters).unwrap()
}

fn lifted(name: &str, columns: &[ArrayRef], parameters: &[Parameter]) -> Box<dyn States> {
    let mut states = bound(name, columns, parameters).new_states();
    states.grow(1);
    states.lift(columns, &vec![0; columns[0].len()], None);
    states
}

fn text(states: &dyn States) -> String {
    array_value_to_string(&states.finish().unwrap(), 0).unwrap()
}

/// The value of all rows in one group, as text.
fn value(name: &str, columns: &[ArrayRef], parameters: &[Parameter]) -> String {
    text(lifted(name, columns, parameters).as_ref())
}

fn encoded(states: &dyn States) -> Vec<u8> {
    let mut out = Vec::new();
    states.encode(0, &mut out);
    out
}

fn bigints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A column of values with event time (seconds), partition and offset of each.
fn positioned(values: ArrayRef, positions: &[(i64, i32, i64)]) -> Vec<ArrayRef> {
    let times = positions.iter().map(|(time, ..)| time * 1_000_000);
    vec![
        values,
        Arc::new(TimestampMicrosecondArray::from_iter_values(times)),
        Arc::new(Int32Array::from_iter_values(positions.iter().map(|(_, partition, _)| *partition))),
        bigints(positions.iter().map(|(.., offset)| *offset)),
    ]
}

#[test]
fn values_are_counted_up_to_the_cap_and_never_beyond() {
    assert_eq!(value("count_distinct", &[bigints([3, 1, 2, 1, 3])], &whole(&[3])), "3");
    let mut beyond = lifted("count_distinct", &[bigints([3, 1, 2, 1, 4])], &whole(&[3]));
    assert_eq!(text(beyond.as_ref()), "");
    // What comes later cannot bring a number back.
    beyond.lift(&[bigints([1])], &[0], None);
    beyond.merge_one(&encoded(lifted("count_distinct", &[bigints([1])], &whole(&[3])).as_ref()), 0).unwrap();
    assert_eq!((text(beyond.as_ref()).as_str(), encoded(beyond.as_ref()).len()), ("", 2));
}

#[test]
fn two_states_within_the_cap_can_be_beyond_it_together() {
    for name in ["count_distinct", "top_k"] {
        let parameters = if name == "top_k" { whole(&[1, 4]) } else { whole(&[4]) };
        let mut states = lifted(name, &[bigints([1, 2, 3])], &parameters);
        states.merge_one(&encoded(lifted(name, &[bigints([3, 4])], &parameters).as_ref()), 0).unwrap();
        assert_ne!(text(states.as_ref()), "", "{name}");
        states.merge_one(&encoded(lifted(name, &[bigints([5])], &parameters).as_ref()), 0).unwrap();
        assert_eq!(text(states.as_ref()), "", "{name}");
    }
}

#[test]
fn a_state_with_more_values_than_the_cap_is_refused() {
    let positions: Vec<(i64, i32, i64)> = (0..9).map(|i| (i, 0, i)).collect();
    for (name, columns, large, small) in [
        ("count_distinct", vec![bigints(0..9)], whole(&[9]), whole(&[8])),
        ("top_k", vec![bigints(0..9)], whole(&[2, 9]), whole(&[2, 8])),
        ("array_agg", positioned(bigints(0..9), &positions), whole(&[9]), whole(&[8])),
        ("histogram", vec![bigints(0..9)], doubles(&[1.0, 2.0]), doubles(&[1.0])),
    ] {
        let state = encoded(lifted(name, &columns, &large).as_ref());
        let mut other = bound(name, &columns, &small).new_states();
        other.grow(1);
        let error = other.merge_one(&state, 0).unwrap_err();
        assert!(matches!(error, StateError::Invalid(cause) if cause.contains("more")), "{name}: {error}");
    }
}

#[test]
fn values_of_another_type_are_refused() {
    let state = encoded(lifted("count_distinct", &[strings(&["a"])], &whole(&[9])).as_ref());
    let mut integers = bound("count_distinct", &[bigints([])], &whole(&[9])).new_states();
    integers.grow(1);
    assert!(integers.merge_one(&state, 0).is_err());
}

#[test]
fn all_nans_are_one_value_and_the_zeros_are_two() {
    let column = floats(&[f64::NAN, -f64::NAN, f64::from_bits(f64::NAN.to_bits() | 1), 0.0, -0.0, 0.0]);
    assert_eq!(value("count_distinct", std::slice::from_ref(&column), &whole(&[9])), "3");
    let top = "[{value: NaN, count: 3}, {value: 0.0, count: 2}, {value: -0.0, count: 1}]";
    assert_eq!(value("top_k", &[column], &whole(&[9, 9])), top);
}

#[test]
fn the_most_frequent_values_come_by_count_and_then_by_value() {
    let words = strings(&["b", "c", "a", "c", "b", "d", "", "c"]);
    let top = value("top_k", &[words], &whole(&[4, 10]));
    assert_eq!(top, "[{value: c, count: 3}, {value: b, count: 2}, {value: , count: 1}, {value: a, count: 1}]");
}

#[test]
fn similar_long_strings_stay_apart_and_take_little() {
    let words: Vec<String> = (0..500).map(|i| format!("https://example.org/a/very/long/path/{i:04}")).collect();
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(words.iter().rev()));
    let states = lifted("count_distinct", std::slice::from_ref(&column), &whole(&[500]));
    assert_eq!(text(states.as_ref()), "500");
    let state = encoded(states.as_ref());
    assert!(state.len() < 5 * words.len(), "{} bytes", state.len());
    let bytes: usize = words.iter().map(String::len).sum();
    assert!(states.size() > bytes, "{} bytes", states.size());
    let mut again = bound("count_distinct", &[column], &whole(&[500])).new_states();
    again.grow(1);
    again.merge_one(&state, 0).unwrap();
    assert_eq!((encoded(again.as_ref()), again.size()), (state, states.size()));
}

#[test]
fn an_edge_belongs_to_the_bucket_above_it() {
    let decimals = Decimal128Array::from(vec![9, 10, 11, 19, 20]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(value("histogram", &[Arc::new(decimals)], &doubles(&[0.1, 0.195])), "[1, 3, 1]");
    assert_eq!(value("histogram", &[bigints([-1, 0, 1, 2])], &doubles(&[-0.5, 0.0, 1.5])), "[1, 0, 2, 1]");
    // A DOUBLE could not tell these apart.
    let large = 1 << 53;
    assert_eq!(value("histogram", &[bigints([large - 1, large, large + 1])], &doubles(&[large as f64])), "[1, 2]");
    assert_eq!(value("histogram", &[bigints([i64::MIN, i64::MAX])], &doubles(&[-1e300, 1e300])), "[0, 2, 0]");
}

#[test]
fn special_doubles_have_their_buckets() {
    let column = floats(&[f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY, f64::NAN, -f64::NAN]);
    assert_eq!(value("histogram", &[column], &doubles(&[0.0, 1.0])), "[1, 2, 3]");
}

#[test]
fn the_order_is_event_time_then_partition_then_offset() {
    let positions = [(5, 0, 9), (5, 0, 10), (4, 1, 0), (4, 0, 7), (5, 1, 0)];
    let columns = positioned(strings(&["d", "e", "c", "b", "f"]), &positions);
    assert_eq!(value("array_agg", &columns, &whole(&[4])), "[b, c, d, e]");
    assert_eq!(value("first_value", &columns, &[]), "b");
    assert_eq!(value("last_value", &columns, &[]), "f");
}

#[test]
fn an_earlier_value_takes_the_place_of_the_last_one() {
    let long = "w".repeat(100);
    let mut states = lifted("array_agg", &positioned(strings(&["x", &long]), &[(5, 0, 1), (9, 0, 2)]), &whole(&[2]));
    states.lift(&positioned(strings(&["before", "after"]), &[(-3, 0, 3), (10, 0, 4)]), &[0, 0], None);
    assert_eq!(text(states.as_ref()), "[before, x]");
    let same = lifted("array_agg", &positioned(strings(&["x", "before"]), &[(5, 0, 1), (-3, 0, 3)]), &whole(&[2]));
    assert_eq!((encoded(states.as_ref()), states.size()), (encoded(same.as_ref()), same.size()));
}

#[test]
fn nulls_are_never_first_or_last() {
    let values: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(true), Some(false), None]));
    let columns = positioned(values, &[(1, 0, 0), (2, 0, 1), (3, 0, 2), (4, 0, 3)]);
    assert_eq!(value("first_value", &columns, &[]), "true");
    assert_eq!(value("last_value", &columns, &[]), "false");
    assert_eq!(value("array_agg", &columns, &whole(&[9])), "[true, false]");
}

#[test]
fn of_several_extremes_it_is_the_smallest_value() {
    let x = strings(&["d", "b", "c", "a", "e", "b2"]);
    let y = floats(&[1.0, -1.0, 7.5, 7.5, -1.0, 0.0]);
    assert_eq!(value("arg_min", &[x.clone(), y.clone()], &[]), "b");
    assert_eq!(value("arg_max", &[x, y], &[]), "a");
    // NaN sorts above infinity.
    let y = floats(&[f64::INFINITY, f64::NAN, f64::NEG_INFINITY]);
    assert_eq!(value("arg_max", &[bigints([1, 2, 3]), y], &[]), "2");
}

#[test]
fn an_extreme_without_both_values_does_not_count() {
    let x: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(2), Some(3)]));
    let y: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(7)]));
    assert_eq!(value("arg_min", &[x.clone(), y.clone()], &[]), "3");
    assert_eq!(value("arg_min", &[x.slice(0, 2), y.slice(0, 2)], &[]), "");
}

#[test]
fn parameters_out_of_range_are_refused_with_the_range() {
    let bind = |name: &str, parameters: Vec<Parameter>| {
        named(name).unwrap().bind(&[DataType::Int64], &parameters).unwrap_err()
    };
    for (error, expected) in [
        (bind("count_distinct", whole(&[0])), "cap must be a whole number from 1 to 1000000, not 0"),
        (bind("count_distinct", whole(&[1_000_001])), "not 1000001"),
        (bind("count_distinct", vec![Parameter::Int64(None)]), "not NULL"),
        (bind("top_k", whole(&[0, 10])), "k must be a whole number from 1 to 1000, not 0"),
        (bind("top_k", whole(&[1001, 5000])), "not 1001"),
        (bind("top_k", whole(&[10, 9])), "cap must be a whole number from 10 to 1000000, not 9"),
        (bind("array_agg", whole(&[-1])), "cap must be a whole number from 1 to 10000, not -1"),
        (bind("histogram", doubles(&[1.0, 1.0])), "edges must ascend, but 1 is not above 1"),
        (bind("histogram", doubles(&[0.0, -0.0])), "edges must ascend"),
        (bind("histogram", doubles(&[f64::NAN])), "an edge must be a finite number, not NaN"),
        (bind("histogram", vec![]), "there must be 1 to 1000 edges, not 0"),
        (bind("histogram", doubles(&vec![0.0; 1001])), "not 1001"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn arguments_of_another_kind_are_refused_by_name() {
    let coerce = |name: &str, types: &[DataType]| named(name).unwrap().coerce(types).unwrap_err();
    use DataType::{Binary, Float64, Int64, Utf8};
    for (error, expected) in [
        (coerce("count_distinct", &[Int64]), "count_distinct(x, cap) takes two arguments"),
        (coerce("count_distinct", &[Int64, Float64]), "cap must be a whole number, not DOUBLE"),
        (coerce("top_k", &[Int64, Int64]), "takes three arguments"),
        (coerce("top_k", &[Binary, Int64, Int64]), "top_k cannot keep Binary"),
        (coerce("histogram", &[Utf8, Float64]), "histogram takes a number, not Utf8"),
        (coerce("histogram", &[Int64, Utf8]), "an edge must be a number, not Utf8"),
        (coerce("array_agg", &[Int64]), "takes two arguments"),
        (coerce("first_value", &[Int64, Int64]), "takes one argument"),
        (coerce("arg_max", &[Int64]), "arg_max(x, y) takes two arguments"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}
