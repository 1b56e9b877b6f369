//! Canonical bytes of values: they come back, sort as the values do, and are the only ones.

use std::sync::Arc;

use anabranch_algebra::values::value::{ValueBuilder, ValueColumn, ValueType, coerce};
use anabranch_model::key;
use arrow::array::*;
use arrow::datatypes::{DataType, TimeUnit};
use proptest::prelude::*;

/// The same bits as every type, cut to its width.
fn columns(raw: &[u64]) -> Vec<ArrayRef> {
    let floats = raw.iter().map(|v| if *v % 7 == 0 { f32::NAN } else { f32::from_bits(*v as u32) });
    let doubles = raw.iter().map(|v| if *v % 7 == 0 { -f64::NAN } else { f64::from_bits(*v) });
    let wide = raw.iter().map(|v| i128::from(*v as i64) * i128::from(u64::MAX) + i128::from(*v));
    let wide = Decimal128Array::from_iter_values(wide).with_precision_and_scale(38, 4).unwrap();
    let narrow = Decimal128Array::from_iter_values(raw.iter().map(|v| i128::from(*v as i64) % 10i128.pow(18)));
    let signed = || raw.iter().map(|v| *v as i64);
    vec![
        Arc::new(raw.iter().map(|v| Some(v % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(Int8Array::from_iter_values(raw.iter().map(|v| *v as i8))),
        Arc::new(Int16Array::from_iter_values(raw.iter().map(|v| *v as i16))),
        Arc::new(Int32Array::from_iter_values(raw.iter().map(|v| *v as i32))),
        Arc::new(Int64Array::from_iter_values(signed())),
        Arc::new(UInt8Array::from_iter_values(raw.iter().map(|v| *v as u8))),
        Arc::new(UInt16Array::from_iter_values(raw.iter().map(|v| *v as u16))),
        Arc::new(UInt32Array::from_iter_values(raw.iter().map(|v| *v as u32))),
        Arc::new(UInt64Array::from_iter_values(raw.iter().copied())),
        Arc::new(narrow.with_precision_and_scale(18, 2).unwrap()),
        Arc::new(wide),
        Arc::new(Float32Array::from_iter_values(floats)),
        Arc::new(Float64Array::from_iter_values(doubles)),
        Arc::new(Date32Array::from_iter_values(raw.iter().map(|v| *v as i32))),
        Arc::new(TimestampSecondArray::from_iter_values(signed())),
        Arc::new(TimestampMillisecondArray::from_iter_values(signed()).with_timezone("+02:00")),
        Arc::new(TimestampMicrosecondArray::from_iter_values(signed()).with_timezone("UTC")),
        Arc::new(TimestampNanosecondArray::from_iter_values(signed())),
        Arc::new(StringArray::from_iter_values(raw.iter().map(|v| format!("{v:x}").repeat((v % 4) as usize)))),
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    let edge =
        prop_oneof![Just(0), Just(1 << 63), Just(u64::MAX), Just(i64::MAX as u64), Just((-0.0f32).to_bits().into())];
    prop_oneof![4 => any::<u64>(), 1 => edge, 2 => 0u64..300]
}

fn encoded(column: &ArrayRef) -> Vec<Vec<u8>> {
    let values = ValueColumn::new(column).unwrap();
    let bytes = |row| {
        let mut bytes = Vec::new();
        values.put(row, &mut bytes);
        bytes
    };
    (0..column.len()).map(bytes).collect()
}

/// How the values themselves compare; floating point has Arrow's total order, with one NaN.
fn comparable(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<arrow::datatypes::Float32Type>()
                .unary::<_, arrow::datatypes::Float32Type>(|v| if v.is_nan() { f32::NAN.abs() } else { v }),
        ),
        DataType::Float64 => Arc::new(
            column
                .as_primitive::<arrow::datatypes::Float64Type>()
                .unary::<_, arrow::datatypes::Float64Type>(|v| if v.is_nan() { f64::NAN.abs() } else { v }),
        ),
        _ => column.clone(),
    }
}

proptest! {
    #[test]
    fn values_come_back_and_sort_as_they_do(raw in prop::collection::vec(bits(), 1..12)) {
        for column in columns(&raw) {
            let value_type = ValueType::new(column.data_type()).unwrap();
            let all = encoded(&column);
            let expected = comparable(&column);
            let order = arrow::array::make_comparator(&expected, &expected, Default::default()).unwrap();
            for a in 0..raw.len() {
                prop_assert_eq!(value_type.check(&all[a]), Ok(()));
                prop_assert!(value_type.width().is_none_or(|width| width == all[a].len()));
                for b in 0..raw.len() {
                    prop_assert_eq!(order(a, b), all[a].cmp(&all[b]), "{}", column.data_type());
                }
            }
            let found = value_type.array(all.iter().map(|bytes| Some(bytes.as_slice())));
            prop_assert_eq!(found.data_type(), column.data_type());
            prop_assert_eq!(encoded(&found), all, "{}", column.data_type());
            if !column.data_type().is_floating() {
                prop_assert_eq!(&found, &column);
            }
        }
    }

    /// What `check` lets through, the builder takes, and it is encoded to the same bytes.
    #[test]
    fn any_bytes_are_the_one_encoding_of_a_value_or_an_error(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0x80), Just(0xff), Just(0x7f)], 0..17),
    ) {
        for column in columns(&[]) {
            let value_type = ValueType::new(column.data_type()).unwrap();
            let mut builder = ValueBuilder::new(&value_type);
            let appended = builder.append(&bytes);
            prop_assert_eq!(&value_type.check(&bytes), &appended);
            if appended.is_ok() {
                prop_assert_eq!(&encoded(&builder.finish()), &vec![bytes.clone()], "{}", column.data_type());
            }
        }
    }
}

#[test]
fn bytes_of_no_value_are_refused_with_the_reason() {
    let integer = |value: i64| (value as u64 ^ (1 << 63)).to_be_bytes().to_vec();
    let decimal = |value: i128| (value as u128 ^ (1 << 127)).to_be_bytes().to_vec();
    let cases = [
        (DataType::Int64, vec![0; 7], "longer or shorter"),
        (DataType::Int8, integer(128), "range"),
        (DataType::UInt16, integer(-1), "range"),
        (DataType::Date32, integer(1 << 40), "range"),
        (DataType::Decimal128(3, 1), decimal(1000), "range"),
        (DataType::Decimal128(3, 1), decimal(i128::MIN), "range"),
        (DataType::Boolean, vec![2], "range"),
        (DataType::Float32, vec![0xff; 4], "NaN"),
        (DataType::Float64, vec![0; 8], "NaN"),
        (DataType::Utf8, vec![0xc0], "UTF-8"),
    ];
    for (data_type, bytes, cause) in cases {
        let error = ValueType::new(&data_type).unwrap().check(&bytes).unwrap_err();
        assert!(error.to_string().contains(cause), "{data_type}: {error}");
    }
}

#[test]
fn a_decimal_beyond_38_digits_is_kept() {
    let column = Decimal128Array::from(vec![i128::MAX, i128::MIN]).with_precision_and_scale(38, 0).unwrap();
    let column: ArrayRef = Arc::new(column);
    let value_type = ValueType::new(column.data_type()).unwrap();
    let bytes = encoded(&column);
    assert_eq!(&value_type.array(bytes.iter().map(|bytes| Some(bytes.as_slice()))), &column);
}

#[test]
fn arguments_are_kept_as_their_plain_type() {
    let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int32), Box::new(value));
    for (given, kept) in [
        (DataType::Utf8View, DataType::Utf8),
        (DataType::LargeUtf8, DataType::Utf8),
        (DataType::Null, DataType::Utf8),
        (DataType::Float16, DataType::Float32),
        (dictionary(DataType::Utf8View), DataType::Utf8),
        (DataType::UInt64, DataType::UInt64),
    ] {
        assert_eq!(coerce("first_value", &given), Ok(kept));
    }
    assert_eq!(coerce("first_value", &DataType::Binary), Err("first_value cannot keep Binary".to_owned()));
}

#[test]
fn floating_point_and_unsigned_bigint_are_no_keys() {
    for data_type in [DataType::Float32, DataType::Float64, DataType::UInt64] {
        assert_eq!(key::canonical_type(&data_type), None);
    }
    let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into()));
    assert_eq!(key::canonical_type(&zoned), Some(zoned.clone()));
    let column: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![Some(-5), None]).with_timezone("Europe/Berlin"));
    let keys = key::encode(std::slice::from_ref(&column), 2).unwrap();
    assert_eq!(key::decode([keys.get(0), keys.get(1)], &[zoned]), Ok(vec![column]));
}
