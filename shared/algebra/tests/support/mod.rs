//! Every aggregate in the registry with every combination of column types that it takes.

use std::sync::Arc;

use anabranch_algebra::{Aggregate, BoundAggregate, Parameter, States, registry};
use arrow::array::*;
use arrow::datatypes::DataType;

/// An aggregate bound to column types and parameters.
#[derive(Clone)]
pub struct Case {
    pub aggregate: Arc<dyn Aggregate>,
    pub bound: Arc<dyn BoundAggregate>,
    pub parameters: Vec<Parameter>,
    /// Index of each column among [`columns`].
    columns: Vec<usize>,
    pub types: Vec<DataType>,
}

impl Case {
    /// As a file name: `sum(Decimal128(18, 2))` becomes `sum-decimal128_18_2`.
    pub fn name(&self) -> String {
        let words = |text: String| {
            let words = text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
            words.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
        };
        let types = self.types.iter().map(|data_type| words(data_type.to_string()));
        let parameters = self.parameters.iter().map(|parameter| words(parameter.to_string()));
        std::iter::once(self.aggregate.name().to_owned()).chain(types).chain(parameters).collect::<Vec<_>>().join("-")
    }

    /// The arguments made of these raw numbers, and for positional aggregates the position of each
    /// event in `partition`.
    pub fn args(&self, raw: &[Option<i64>], partition: i32) -> Vec<ArrayRef> {
        let all = columns(raw);
        let mut args: Vec<ArrayRef> = self.columns.iter().map(|column| all[*column].clone()).collect();
        if self.aggregate.is_positional() {
            // Few different times, so that partition and offset have to decide, too.
            let times = raw.iter().enumerate().map(|(i, v)| Some((v.unwrap_or(i as i64) % 3) * 1_000_000));
            args.push(Arc::new(times.collect::<TimestampMicrosecondArray>()));
            args.push(Arc::new(Int32Array::from_value(partition, raw.len())));
            args.push(Arc::new(Int64Array::from_iter_values(0..raw.len() as i64)));
        }
        args
    }

    /// States of no groups.
    pub fn states(&self, groups: usize) -> Box<dyn States> {
        let mut states = self.bound.new_states();
        states.grow(groups);
        states
    }
}

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
        Arc::new(raw.iter().map(|v| v.map(|v| v.unsigned_abs())).collect::<UInt64Array>()),
        decimal(18, 2, 1),
        decimal(38, 4, 10_000_000_000_000_000_000),
        Arc::new(raw.iter().map(|v| v.map(double)).collect::<Float64Array>()),
        Arc::new(raw.iter().map(|v| v.map(|v| v as f32 * 0.25)).collect::<Float32Array>()),
        Arc::new(raw.iter().map(|v| v.map(|v| format!("{v:x}"))).collect::<StringArray>()),
        Arc::new(raw.iter().map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(raw.iter().map(|v| v.map(|v| v as i32)).collect::<Date32Array>()),
        Arc::new(TimestampMicrosecondArray::from(raw.to_vec())),
    ]
}

/// All cases whose column types need no cast.
pub fn cases() -> Vec<Case> {
    let types: Vec<DataType> = columns(&[]).iter().map(|column| column.data_type().clone()).collect();
    let mut cases = Vec::new();
    for aggregate in registry() {
        for parameters in aggregate.example_parameters() {
            for columns in combinations(types.len(), aggregate.columns()) {
                cases.extend(case(&aggregate, &parameters, &columns, &types));
            }
        }
    }
    cases
}

fn case(aggregate: &Arc<dyn Aggregate>, parameters: &[Parameter], columns: &[usize], all: &[DataType]) -> Option<Case> {
    let types: Vec<DataType> = columns.iter().map(|column| all[*column].clone()).collect();
    let given: Vec<DataType> = types.iter().cloned().chain(parameters.iter().map(Parameter::data_type)).collect();
    if aggregate.coerce(&given).as_deref() != Ok(&given) {
        return None;
    }
    let bound = aggregate.bind(&types, parameters).expect("what was coerced can be bound");
    let (aggregate, columns) = (aggregate.clone(), columns.to_vec());
    Some(Case { aggregate, bound, parameters: parameters.to_vec(), columns, types })
}

/// All single columns, and pairs of neighbours and of equals.
fn combinations(columns: usize, wanted: usize) -> Vec<Vec<usize>> {
    match wanted {
        1 => (0..columns).map(|column| vec![column]).collect(),
        2 => (0..columns).flat_map(|column| [vec![column, column], vec![column, (column + 1) % columns]]).collect(),
        _ => panic!("no aggregate has {wanted} columns"),
    }
}

/// The encoded state of all rows in one group.
pub fn lift(case: &Case, args: &[ArrayRef]) -> Vec<u8> {
    let mut states = case.states(1);
    states.lift(args, &vec![0; args[0].len()], None);
    encoded(states.as_ref())
}

pub fn encoded(states: &dyn States) -> Vec<u8> {
    let mut out = Vec::new();
    states.encode(0, &mut out);
    out
}
