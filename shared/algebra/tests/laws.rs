//! The laws of the algebra, once for every aggregate in the registry and every argument type it
//! takes, on encoded bytes; and a naive oracle, row at a time.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use anabranch_algebra::{BoundAggregate, named};
use arrow::array::*;
use arrow::compute::concat;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use support::{Case, cases, encoded, lift};

fn merge(case: &Case, parts: &[&[u8]]) -> Vec<u8> {
    let mut states = case.states(1);
    parts.iter().for_each(|part| states.merge_one(part, 0).unwrap());
    encoded(states.as_ref())
}

/// Every case runs over all aggregates and types, so few are enough, unless more are asked for:
/// `PROPTEST_CASES=100000 cargo test -p anabranch-algebra --test laws` is a long fuzz of the decoders.
fn few_cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(48),
    }
}

fn raw() -> impl Strategy<Value = Vec<Option<i64>>> {
    let value = prop_oneof![-1_000_000i64..1_000_000, -20i64..20];
    prop::collection::vec(prop::option::weighted(0.9, value), 1..40)
}

fn joined(parts: &[Vec<ArrayRef>]) -> Vec<ArrayRef> {
    let column = |i: usize| concat(&parts.iter().map(|part| part[i].as_ref()).collect::<Vec<_>>()).unwrap();
    (0..parts[0].len()).map(column).collect()
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn states_are_a_commutative_monoid(a in raw(), b in raw(), c in raw()) {
        for case in cases() {
            let name = case.name();
            let parts = [case.args(&a, 0), case.args(&b, 1), case.args(&c, 2)];
            let [x, y, z] = parts.each_ref().map(|args| lift(&case, args));
            let empty = encoded(case.states(1).as_ref());
            prop_assert_eq!(merge(&case, &[&x, &y]), merge(&case, &[&y, &x]), "commutative: {}", name);
            let left = merge(&case, &[&merge(&case, &[&x, &y]), &z]);
            let right = merge(&case, &[&x, &merge(&case, &[&y, &z])]);
            prop_assert_eq!(&left, &right, "associative: {}", name);
            prop_assert_eq!(&merge(&case, &[&x, &empty]), &x, "identity: {}", name);
            prop_assert_eq!(&merge(&case, &[&x]), &x, "round trip: {}", name);
            prop_assert_eq!(&lift(&case, &joined(&parts)), &left, "homomorphism: {}", name);
        }
    }

    /// In memory and by way of bytes is one merge.
    #[test]
    fn states_merge_as_their_encodings_do(a in raw(), b in raw()) {
        for case in cases() {
            let (a, b) = (case.args(&a, 0), case.args(&b, 1));
            let mut expected = case.states(1);
            expected.merge_one(&lift(&case, &a), 0).unwrap();
            expected.merge_one(&lift(&case, &b), 0).unwrap();
            let mut other = case.states(2);
            other.lift(&b, &vec![1; b[0].len()], None);
            let mut states = case.states(2);
            states.lift(&a, &vec![1; a[0].len()], None);
            states.merge_state(other.as_ref(), 1, 1).unwrap();
            states.merge_within(1, 0).unwrap();
            prop_assert_eq!(encoded(states.as_ref()), encoded(expected.as_ref()), "{}", case.name());
        }
    }

    #[test]
    fn any_bytes_decode_to_a_state_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80), version in 0u8..3) {
        for case in cases() {
            let mut encoding = vec![version];
            encoding.extend(&bytes);
            let mut states = case.states(1);
            if states.merge_one(&encoding, 0).is_ok() {
                prop_assert_eq!(encoded(states.as_ref()), encoding, "{} is not canonical", case.name());
            }
        }
    }

    /// Bytes that are nearly a state find more of the decoder than random ones.
    #[test]
    fn damaged_states_decode_to_a_state_or_an_error(a in raw(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for case in cases() {
            let mut encoding = lift(&case, &case.args(&a, 0));
            let at = at.index(encoding.len());
            encoding[at] = byte;
            let mut states = case.states(1);
            if states.merge_one(&encoding, 0).is_ok() {
                prop_assert_eq!(encoded(states.as_ref()), encoding, "{} is not canonical", case.name());
            }
        }
    }

    /// Two groups and a filter at once are what each group gives alone.
    #[test]
    fn groups_and_filters_do_not_mix(a in raw(), seed in any::<u64>()) {
        let bit = |row: usize, salt: u32| (seed.rotate_left(salt) >> (row % 64)) & 1 == 1;
        let groups: Vec<usize> = (0..a.len()).map(|row| usize::from(bit(row, 0))).collect();
        let filter: BooleanArray = (0..a.len()).map(|row| Some(bit(row, 17))).collect();
        for case in cases() {
            let args = case.args(&a, 0);
            let mut states = case.states(2);
            states.lift(&args, &groups, Some(&filter));
            for group in 0..2 {
                let kept: UInt32Array =
                    (0..a.len() as u32).filter(|row| groups[*row as usize] == group && filter.value(*row as usize)).collect();
                let alone: Vec<ArrayRef> = args.iter().map(|arg| arrow::compute::take(arg, &kept, None).unwrap()).collect();
                let mut found = Vec::new();
                states.encode(group, &mut found);
                prop_assert_eq!(found, lift(&case, &alone), "{}", case.name());
            }
        }
    }
}

/// Integers one row at a time, as a person would; `positions` are the event times and offsets.
/// `None` where the aggregate takes no integers.
fn naive(case: &Case, values: &[Option<i64>], positions: &[(i64, i64)]) -> Option<String> {
    let present: Vec<i64> = values.iter().copied().flatten().collect();
    let of_any = |value: String| if present.is_empty() { String::new() } else { value };
    let mut in_order: Vec<((i64, i64), i64)> =
        positions.iter().zip(values).filter_map(|(at, value)| Some((*at, (*value)?))).collect();
    in_order.sort_unstable();
    Some(match case.aggregate.name() {
        "count" => present.len().to_string(),
        "sum" => of_any(present.iter().sum::<i64>().to_string()),
        "avg" => of_any(format!("{:?}", present.iter().sum::<i64>() as f64 / present.len() as f64)),
        "min" | "arg_min" => present.iter().min().map(i64::to_string).unwrap_or_default(),
        "max" | "arg_max" => present.iter().max().map(i64::to_string).unwrap_or_default(),
        "count_distinct" => {
            naive_counts(&present, whole(case, 0)).map_or(String::new(), |counts| counts.len().to_string())
        }
        "top_k" => naive_counts(&present, whole(case, 1)).map_or(String::new(), |counts| {
            let top = counts.iter().take(whole(case, 0)).map(|(value, n)| format!("{{value: {value}, count: {n}}}"));
            format!("[{}]", top.collect::<Vec<_>>().join(", "))
        }),
        "histogram" => naive_histogram(case, &present),
        "array_agg" => {
            let first = in_order.iter().take(whole(case, 0)).map(|(_, value)| value.to_string());
            of_any(format!("[{}]", first.collect::<Vec<_>>().join(", ")))
        }
        "first_value" => in_order.first().map(|(_, value)| value.to_string()).unwrap_or_default(),
        "last_value" => in_order.last().map(|(_, value)| value.to_string()).unwrap_or_default(),
        "bit_and" => of_any(present.iter().fold(-1, |bits, v| bits & v).to_string()),
        "bit_or" => of_any(present.iter().fold(0, |bits, v| bits | v).to_string()),
        "bit_xor" => of_any(present.iter().fold(0, |bits, v| bits ^ v).to_string()),
        _ => return None,
    })
}

fn whole(case: &Case, parameter: usize) -> usize {
    case.parameters[parameter].to_string().parse().unwrap()
}

/// Different values by descending count, then ascending value; `None` if there are more than `cap`.
fn naive_counts(present: &[i64], cap: usize) -> Option<Vec<(i64, usize)>> {
    let different: BTreeSet<i64> = present.iter().copied().collect();
    let mut counts: Vec<(i64, usize)> =
        different.into_iter().map(|value| (value, present.iter().filter(|v| **v == value).count())).collect();
    counts.sort_by_key(|(value, n)| (-(*n as i64), *value));
    (counts.len() <= cap).then_some(counts)
}

fn naive_histogram(case: &Case, present: &[i64]) -> String {
    let edges = case.parameters.iter().map(|edge| edge.to_string().parse::<f64>().unwrap());
    let bounds: Vec<f64> = [f64::NEG_INFINITY].into_iter().chain(edges).chain([f64::INFINITY]).collect();
    let count = |pair: &[f64]| present.iter().filter(|v| pair[0] <= **v as f64 && (**v as f64) < pair[1]).count();
    format!("[{}]", bounds.windows(2).map(|pair| count(pair).to_string()).collect::<Vec<_>>().join(", "))
}

/// Event time and offset of each row, as the positional aggregates are given them.
fn positions(args: &[ArrayRef]) -> Vec<(i64, i64)> {
    let [.., times, _, offsets] = args else { return vec![] };
    let times = times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().values();
    let offsets = offsets.as_primitive::<arrow::datatypes::Int64Type>().values();
    times.iter().copied().zip(offsets.iter().copied()).collect()
}

fn kept<T: Copy>(rows: &[T], keep: &[bool]) -> Vec<T> {
    rows.iter().zip(keep).filter(|(_, keep)| **keep).map(|(row, _)| *row).collect()
}

proptest! {
    #[test]
    fn finished_values_are_those_of_the_naive_oracle(values in raw(), keep in prop::collection::vec(any::<bool>(), 40)) {
        let filter = BooleanArray::from(keep[..values.len()].to_vec());
        for case in cases().into_iter().filter(|case| case.types.iter().all(|data_type| *data_type == DataType::Int64)) {
            let args = case.args(&values, 0);
            let mut states = case.states(1);
            states.lift(&args, &vec![0; values.len()], Some(&filter));
            let finished = states.finish().unwrap();
            let value = match finished.as_primitive_opt::<arrow::datatypes::Float64Type>() {
                Some(doubles) if doubles.is_valid(0) => format!("{:?}", doubles.value(0)),
                _ => array_value_to_string(&finished, 0).unwrap(),
            };
            let positions = if case.aggregate.is_positional() { positions(&args) } else { vec![] };
            if let Some(expected) = naive(&case, &kept(&values, &keep), &kept(&positions, &keep)) {
                prop_assert_eq!(value, expected, "{}", case.name());
            }
        }
    }
}

fn bound(name: &str, data_type: DataType) -> Arc<dyn BoundAggregate> {
    named(name).unwrap().bind(&[data_type], &[]).unwrap()
}

#[test]
fn a_sum_beyond_its_type_is_an_error_and_never_wraps() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    let mut states = bound("sum", DataType::Int64).new_states();
    states.grow(1);
    states.lift(&[column], &[0, 0], None);
    assert!(states.finish().unwrap_err().to_string().contains("sum overflows"));
    // One step back and the value is there again: the state itself never overflowed.
    states.lift(&[Arc::new(Int64Array::from(vec![-1])) as ArrayRef], &[0], None);
    assert_eq!(states.finish().unwrap().as_primitive::<arrow::datatypes::Int64Type>().value(0), i64::MAX);
}

#[test]
fn decimal_mean_rounds_half_away_from_zero() {
    let avg = bound("avg", DataType::Decimal128(18, 0));
    for (values, expected) in [(vec![1i128, 0, 0], 3333), (vec![2, 0, 0], 6667), (vec![-2, 0, 0], -6667)] {
        let mut states = avg.new_states();
        states.grow(1);
        let column = Decimal128Array::from(values).with_precision_and_scale(18, 0).unwrap();
        states.lift(&[Arc::new(column)], &[0, 0, 0], None);
        assert_eq!(states.finish().unwrap().as_primitive::<arrow::datatypes::Decimal128Type>().value(0), expected);
    }
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let mut states = bound("max", DataType::Timestamp(TimeUnit::Microsecond, None)).new_states();
    states.grow(1);
    let error = states.merge_one(&[9, 0], 0).unwrap_err();
    assert!(error.to_string().contains("'max' has format version 9"), "{error}");
}
