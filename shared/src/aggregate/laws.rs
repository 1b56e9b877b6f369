//! The laws of the algebra, once for every aggregate in the registry and every argument type it
//! takes, on encoded bytes; and a naive oracle, row at a time.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::concat;
use arrow::datatypes::{DataType, TimeUnit};
use proptest::prelude::*;

use super::*;

/// Columns of every type that some aggregate takes, from the same raw numbers.
fn columns(raw: &[Option<i64>]) -> Vec<ArrayRef> {
    let decimal = |precision, scale, factor: i128| -> ArrayRef {
        let values: Decimal128Array = raw.iter().map(|v| v.map(|v| i128::from(v) * factor)).collect();
        Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
    };
    let double = |v: i64| match v % 50 {
        7 => f64::NAN,
        13 => f64::INFINITY,
        17 => -0.0,
        _ => v as f64 * 1e-3 * 10f64.powi((v % 40) as i32),
    };
    vec![
        Arc::new(Int64Array::from(raw.to_vec())),
        Arc::new(raw.iter().map(|v| v.map(|v| v as i32)).collect::<Int32Array>()),
        decimal(18, 2, 1),
        decimal(38, 4, 10_000_000_000_000_000_000),
        Arc::new(raw.iter().map(|v| v.map(double)).collect::<Float64Array>()),
        Arc::new(raw.iter().map(|v| v.map(|v| format!("{v:x}"))).collect::<StringArray>()),
        Arc::new(raw.iter().map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(raw.iter().map(|v| v.map(|v| v as i32)).collect::<Date32Array>()),
        Arc::new(TimestampMicrosecondArray::from(raw.to_vec())),
    ]
}

/// Every aggregate with every column that it takes without a cast.
fn cases(raw: &[Option<i64>]) -> Vec<(Arc<dyn BoundAggregate>, ArrayRef)> {
    let mut cases = Vec::new();
    for aggregate in registry() {
        for column in columns(raw) {
            let types = [column.data_type().clone()];
            if aggregate.coerce(&types).as_deref() == Ok(&types) {
                cases.push((aggregate.bind(&types).unwrap(), column));
            }
        }
    }
    cases
}

fn lift(aggregate: &dyn BoundAggregate, column: &ArrayRef) -> Vec<u8> {
    let mut states = aggregate.new_states();
    states.grow(1);
    states.lift(std::slice::from_ref(column), &vec![0; column.len()], None);
    encoded(states.as_ref())
}

fn encoded(states: &dyn States) -> Vec<u8> {
    let mut out = Vec::new();
    states.encode(0, &mut out);
    out
}

fn merge(aggregate: &dyn BoundAggregate, parts: &[&[u8]]) -> Vec<u8> {
    let mut states = aggregate.new_states();
    states.grow(1);
    parts.iter().for_each(|part| states.merge_one(part, 0).unwrap());
    encoded(states.as_ref())
}

fn raw() -> impl Strategy<Value = Vec<Option<i64>>> {
    prop::collection::vec(prop::option::weighted(0.9, -1_000_000i64..1_000_000), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn states_are_a_commutative_monoid(a in raw(), b in raw(), c in raw()) {
        let (a, b, c) = (cases(&a), cases(&b), cases(&c));
        for (((aggregate, a), (_, b)), (_, c)) in a.iter().zip(&b).zip(&c) {
            let aggregate = aggregate.as_ref();
            let (x, y, z) = (lift(aggregate, a), lift(aggregate, b), lift(aggregate, c));
            let empty = lift(aggregate, &a.slice(0, 0));
            let name = format!("{} of {}", aggregate.name(), a.data_type());
            prop_assert_eq!(merge(aggregate, &[&x, &y]), merge(aggregate, &[&y, &x]), "commutative: {}", name);
            let left = merge(aggregate, &[&merge(aggregate, &[&x, &y]), &z]);
            let right = merge(aggregate, &[&x, &merge(aggregate, &[&y, &z])]);
            prop_assert_eq!(&left, &right, "associative: {}", name);
            prop_assert_eq!(&merge(aggregate, &[&x, &empty]), &x, "identity: {}", name);
            prop_assert_eq!(&merge(aggregate, &[&x]), &x, "round trip: {}", name);
            let whole = concat(&[a.as_ref(), b.as_ref(), c.as_ref()]).unwrap();
            prop_assert_eq!(&lift(aggregate, &whole), &left, "homomorphism: {}", name);
        }
    }

    #[test]
    fn any_bytes_decode_to_a_state_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80), version in 0u8..3) {
        for (aggregate, _) in cases(&[None]) {
            let mut encoding = vec![version];
            encoding.extend(&bytes);
            let mut states = aggregate.new_states();
            states.grow(1);
            if states.merge_one(&encoding, 0).is_ok() {
                prop_assert_eq!(encoded(states.as_ref()), encoding, "{} is not canonical", aggregate.name());
            }
        }
    }
}

/// Integers one row at a time, as a person would.
fn naive(name: &str, values: &[Option<i64>]) -> Option<String> {
    let present: Vec<i64> = values.iter().copied().flatten().collect();
    let of_any = |value: String| (!present.is_empty()).then_some(value);
    match name {
        "count" => Some(present.len().to_string()),
        "sum" => of_any(present.iter().sum::<i64>().to_string()),
        "avg" => of_any(format!("{:?}", present.iter().sum::<i64>() as f64 / present.len() as f64)),
        "min" => present.iter().min().map(i64::to_string),
        "max" => present.iter().max().map(i64::to_string),
        other => panic!("teach the oracle {other}"),
    }
}

proptest! {
    #[test]
    fn finished_values_are_those_of_the_naive_oracle(values in raw(), keep in prop::collection::vec(any::<bool>(), 40)) {
        let column: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let filter = BooleanArray::from(keep[..values.len()].to_vec());
        let kept: Vec<Option<i64>> = values.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(v, _)| *v).collect();
        for aggregate in registry() {
            let mut states = aggregate.bind(&[DataType::Int64]).unwrap().new_states();
            states.grow(1);
            states.lift(std::slice::from_ref(&column), &vec![0; values.len()], Some(&filter));
            let finished = states.finish().unwrap();
            let value = finished.is_valid(0).then(|| match finished.as_primitive_opt::<arrow::datatypes::Float64Type>() {
                Some(doubles) => format!("{:?}", doubles.value(0)),
                None => finished.as_primitive::<arrow::datatypes::Int64Type>().value(0).to_string(),
            });
            prop_assert_eq!(value, naive(aggregate.name(), &kept), "{}", aggregate.name());
        }
    }
}

#[test]
fn a_sum_beyond_its_type_is_an_error_and_never_wraps() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    let sum = registry()[1].bind(&[DataType::Int64]).unwrap();
    let mut states = sum.new_states();
    states.grow(1);
    states.lift(&[column], &[0, 0], None);
    assert!(states.finish().unwrap_err().to_string().contains("sum overflows"));
    // One step back and the value is there again: the state itself never overflowed.
    states.lift(&[Arc::new(Int64Array::from(vec![-1])) as ArrayRef], &[0], None);
    assert_eq!(states.finish().unwrap().as_primitive::<arrow::datatypes::Int64Type>().value(0), i64::MAX);
}

#[test]
fn decimal_mean_rounds_half_away_from_zero() {
    let avg = registry()[2].bind(&[DataType::Decimal128(18, 0)]).unwrap();
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
    let max = registry()[4].bind(&[DataType::Timestamp(TimeUnit::Microsecond, None)]).unwrap();
    let mut states = max.new_states();
    states.grow(1);
    let error = states.merge_one(&[9, 0], 0).unwrap_err();
    assert!(error.to_string().contains("'max' has format version 9"), "{error}");
}
