//! `histogram(x, edge1, edge2, ...)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type, Int64Type};

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::{Reader, StateError, put_count, put_len};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::state::State;
use crate::sums::sum::coerce_number;

/// Numbers of values below the first edge, from each edge up to the next one, and from the last
/// edge on: a list of one BIGINT more than there are edges, zeros if there are no values. An edge
/// belongs to the bucket above it. Edges are 1 to 1,000 finite numbers, strictly ascending.
///
/// Comparison is exact. An edge is a DOUBLE; with integers and decimals it is the shortest decimal
/// number that reads as that DOUBLE, so 0.1 is one tenth. With FLOAT and DOUBLE it is the DOUBLE
/// itself; -0.0 counts as 0.0, and NaN in the last bucket, as it sorts above infinity.
#[derive(Debug)]
pub struct Histogram;

const NAME: &str = "histogram";
const MAX_EDGES: usize = 1000;

impl Aggregate for Histogram {
    fn name(&self) -> &'static str {
        NAME
    }

    fn usage(&self) -> &'static str {
        "histogram(x, edge1, edge2, ...)"
    }

    fn gives(&self) -> &'static str {
        "counts below edge1, in [edge1, edge2), ..., from the last edge on"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        let [x, edges @ ..] = args else { return Err(format!("{} takes a column", self.usage())) };
        let mut coerced = coerce_number(NAME, std::slice::from_ref(x))?;
        for edge in edges {
            if !(edge.is_numeric() || edge.is_null()) {
                return Err(format!("{}: an edge must be a number, not {edge}", self.usage()));
            }
            coerced.push(DataType::Float64);
        }
        Ok(coerced)
    }

    fn example_parameters(&self) -> Vec<Vec<Parameter>> {
        let edges: [&[f64]; 2] = [&[0.0], &[-1000.5, -3.0, 0.0, 3.0, 64.25, 500_000.0]];
        edges.map(|edges| edges.iter().copied().map(Parameter::from).collect()).to_vec()
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(list_type())
    }

    fn bind(&self, columns: &[DataType], parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        let edges = edges(parameters).map_err(|cause| format!("{}: {cause}", self.usage()))?;
        let whole = |scale| edges.iter().map(|edge| threshold(*edge, scale)).collect();
        let edges = match &columns[0] {
            DataType::Int64 => Edges::Whole(whole(0)),
            DataType::Decimal128(_, scale) => Edges::Whole(whole(*scale)),
            DataType::Float64 => Edges::Doubles(edges),
            other => return Err(format!("{NAME} takes a number, not {other}")),
        };
        Ok(Arc::new(Buckets { edges }))
    }
}

fn list_type() -> DataType {
    DataType::new_list(DataType::Int64, true)
}

fn edges(parameters: &[Parameter]) -> Result<Vec<f64>, String> {
    let edge = |parameter: &Parameter| match parameter {
        Parameter::Float64(Some(edge)) if edge.is_finite() => Ok(*edge),
        other => Err(format!("an edge must be a finite number, not {other}")),
    };
    let edges: Vec<f64> = parameters.iter().map(edge).collect::<Result<_, _>>()?;
    if !(1..=MAX_EDGES).contains(&edges.len()) {
        return Err(format!("there must be 1 to {MAX_EDGES} edges, not {}", edges.len()));
    }
    match edges.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!("edges must ascend, but {} is not above {}", pair[1], pair[0])),
        None => Ok(edges),
    }
}

/// The smallest number of units of `10^-scale` that is not below the edge, taken as the shortest
/// decimal number that reads as this DOUBLE; beyond 128 bits the largest or smallest there is.
fn threshold(edge: f64, scale: i8) -> i128 {
    let shortest = format!("{edge:e}");
    let (mantissa, exponent) = shortest.split_once('e').expect("this format has an exponent");
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    let digits: i128 = mantissa.replace('.', "").parse().expect("a DOUBLE has at most 17 digits");
    let exponent = exponent.parse::<i32>().expect("an exponent is a number") - decimals + i32::from(scale);
    match (exponent >= 0, 10i128.checked_pow(exponent.unsigned_abs())) {
        (true, Some(power)) => digits.saturating_mul(power),
        (true, None) => digits.signum().saturating_mul(i128::MAX),
        (false, Some(power)) => digits.div_euclid(power) + i128::from(digits.rem_euclid(power) > 0),
        (false, None) => i128::from(digits > 0),
    }
}

#[derive(Clone, Debug)]
enum Edges {
    Doubles(Vec<f64>),
    /// In units of the argument's last digit; a value belongs above an edge from this number on.
    Whole(Vec<i128>),
}

#[derive(Clone, Debug)]
struct Buckets {
    edges: Edges,
}

impl Buckets {
    fn buckets(&self) -> usize {
        1 + match &self.edges {
            Edges::Doubles(edges) => edges.len(),
            Edges::Whole(edges) => edges.len(),
        }
    }
}

impl Kernel for Buckets {
    const NAME: &'static str = NAME;
    const VERSION: u8 = 1;
    type Column = Vec<Counts>;

    fn return_type(&self) -> DataType {
        list_type()
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let nulls = args[0].nulls();
        match (&self.edges, args[0].as_primitive_opt::<Int64Type>()) {
            (Edges::Whole(edges), Some(values)) => rows.for_each(nulls, |row, group| {
                let value = i128::from(values.value(row));
                states[group].add(edges.partition_point(|edge| *edge <= value), 1);
            }),
            (Edges::Whole(edges), None) => {
                let values = args[0].as_primitive::<Decimal128Type>();
                rows.for_each(nulls, |row, group| {
                    states[group].add(edges.partition_point(|edge| *edge <= values.value(row)), 1);
                });
            }
            (Edges::Doubles(edges), _) => {
                let values = args[0].as_primitive::<Float64Type>();
                rows.for_each(nulls, |row, group| {
                    let value = values.value(row);
                    states[group].add(edges.partition_point(|edge| value.is_nan() || *edge <= value), 1);
                });
            }
        }
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let overflow = |_| FinishError { aggregate: NAME, data_type: DataType::Int64 };
        let padded =
            |state: &Counts| (0..self.buckets()).map(|bucket| state.0.get(bucket).copied().unwrap_or(0)).collect();
        let counts = states.iter().flat_map(|state| -> Vec<u64> { padded(state) }).map(i64::try_from);
        let counts = Int64Array::from(counts.collect::<Result<Vec<_>, _>>().map_err(overflow)?);
        let item = Arc::new(Field::new_list_field(DataType::Int64, true));
        let offsets = OffsetBuffer::from_lengths(states.iter().map(|_| self.buckets()));
        Ok(Arc::new(ListArray::new(item, offsets, Arc::new(counts), None)))
    }

    fn check(&self, state: &Counts) -> Result<(), StateError> {
        let fits = state.0.len() <= self.buckets();
        fits.then_some(()).ok_or(StateError::Invalid("there are more buckets than edges make"))
    }
}

/// The count of each bucket up to the last one that is not empty. Encoded without the empty ones:
/// for each other one how many empty ones are before it, and its count.
#[derive(Clone, Debug, Default)]
struct Counts(Vec<u64>);

impl Counts {
    #[inline]
    fn add(&mut self, bucket: usize, count: u64) {
        if bucket >= self.0.len() {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] = self.0[bucket].saturating_add(count);
    }
}

impl State for Counts {
    fn merge(&mut self, other: &Self) {
        other.0.iter().enumerate().rev().for_each(|(bucket, count)| self.add(bucket, *count));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.iter().filter(|count| **count > 0).count());
        let mut empty = 0;
        for count in &self.0 {
            if *count == 0 {
                empty += 1;
            } else {
                put_len(out, std::mem::take(&mut empty));
                put_count(out, *count);
            }
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut counts = Vec::new();
        for _ in 0..bytes.length()? {
            let (bucket, count) = (counts.len() + bytes.length()?, bytes.count()?);
            if bucket > MAX_EDGES || count == 0 {
                return Err(StateError::Invalid("a bucket is empty or beyond the last one"));
            }
            counts.resize(bucket, 0);
            counts.push(count);
        }
        Ok(Self(counts))
    }

    fn heap_size(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_those_of_the_number_as_written() {
        for (edge, scale, expected) in [
            (0.1, 2, 10),
            (0.105, 2, 11),
            (-0.105, 2, -10),
            (-0.1, 0, 0),
            (1e-300, 4, 1),
            (-1e-300, 4, 0),
            (2.5, -1, 1),
            (123_456.0, -2, 1235),
            (9_007_199_254_740_992.0, 0, 9_007_199_254_740_992),
            (1e25, 2, 10i128.pow(27)),
            (1e300, 2, i128::MAX),
            (-1e300, 2, -i128::MAX),
            (-0.0, 3, 0),
        ] {
            assert_eq!(threshold(edge, scale), expected, "{edge} with {scale} digits");
        }
    }
}
