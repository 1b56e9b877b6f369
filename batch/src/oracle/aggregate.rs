//! How Polars computes each aggregate.

use anabranch_algebra::Parameter;
use anabranch_view::ViewPlan;
use arrow::datatypes::{DataType, i256};
use datafusion::logical_expr::Expr;
use polars::frame::DataFrame;
use polars::prelude::{
    DataType as PolarsType, Expr as PolarsExpr, NULL, SortMultipleOptions, col, lit, ternary_expr, when,
};

use super::column::{exact, unrank};
use super::own::{OwnAggregate, number_of};
use super::{Exact, TOLERANCE, Value};
use crate::columns::column;
use crate::{Error, Result};

/// A DECIMAL has two halves of nineteen digits.
const HALF: i128 = 10i128.pow(19);

/// What to ask Polars for, and how to finish it.
pub struct Recipe {
    index: usize,
    kind: Kind,
    filtered: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Count,
    Sum,
    SumOfDoubles,
    /// Integers: the mean is a double.
    Avg,
    /// Decimals: the mean has this many digits more, rounded half away from zero.
    AvgOfDecimals {
        digits: u32,
    },
    AvgOfDoubles,
    Extreme {
        largest: bool,
        doubles: bool,
    },
    /// NULL beyond the cap.
    CountDistinct {
        cap: i128,
    },
    /// The first or last value by event time, partition and offset.
    ByPosition {
        last: bool,
    },
    /// The value at an extreme of another; ties go to the smallest value.
    AtExtreme {
        largest: bool,
    },
    Variance {
        ddof: u8,
        root: bool,
    },
}

impl Recipe {
    /// The recipe of a view's aggregate; an error if there is none.
    pub fn new(plan: &ViewPlan, index: usize) -> Result<Self> {
        let aggregate = &plan.aggregates[index];
        let refuse = || Err(Error::Inexpressible(format!("{}({:?})", aggregate.function.name(), aggregate.types)));
        let argument = &aggregate.types[0];
        let doubles = aggregate.types.iter().any(DataType::is_floating);
        let kind = match (aggregate.function.name(), argument, aggregate.bound.return_type()) {
            ("count", _, _) => Kind::Count,
            ("sum", _, _) if doubles => Kind::SumOfDoubles,
            ("sum", DataType::Int64 | DataType::Decimal128(..), _) => Kind::Sum,
            ("avg", _, _) if doubles => Kind::AvgOfDoubles,
            ("avg", DataType::Int64, _) => Kind::Avg,
            ("avg", DataType::Decimal128(_, from), DataType::Decimal128(_, to)) if to >= *from => {
                Kind::AvgOfDecimals { digits: (to - from) as u32 }
            }
            (name @ ("min" | "max"), _, _) => Kind::Extreme { largest: name == "max", doubles },
            // False is below true.
            (name @ ("bool_and" | "bool_or"), _, _) => Kind::Extreme { largest: name == "bool_or", doubles },
            ("var_pop", _, _) => Kind::Variance { ddof: 0, root: false },
            ("var_samp", _, _) => Kind::Variance { ddof: 1, root: false },
            ("stddev_pop", _, _) => Kind::Variance { ddof: 0, root: true },
            ("stddev_samp", _, _) => Kind::Variance { ddof: 1, root: true },
            ("count_distinct", _, _) if !doubles => match aggregate.parameters.as_slice() {
                [Parameter::Int64(Some(cap))] => Kind::CountDistinct { cap: i128::from(*cap) },
                _ => return refuse(),
            },
            (name @ ("first_value" | "last_value"), _, _) if !doubles => {
                Kind::ByPosition { last: name == "last_value" }
            }
            (name @ ("arg_min" | "arg_max"), _, _) if !doubles => Kind::AtExtreme { largest: name == "arg_max" },
            _ => return refuse(),
        };
        Ok(Self { index, kind, filtered: aggregate.filter.is_some() })
    }

    /// Index of the aggregate among the view's.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The columns that it reads, of those that the view's expressions give.
    pub fn inputs(&self, plan: &ViewPlan) -> Vec<Expr> {
        let (args, filter) = plan.argument_columns(self.index);
        let argument = column(&args[0]);
        let argument = if let Kind::Count = self.kind { argument.is_not_null() } else { argument };
        let more = (1..).zip(&args[1..]).map(|(i, arg)| column(arg).alias(self.argument(i)));
        let filter = filter.iter().map(|filter| column(filter).alias(self.filter()));
        std::iter::once(argument.alias(self.argument(0))).chain(more).chain(filter).collect()
    }

    /// Those of its columns that Polars evaluates by itself.
    pub fn own_inputs(&self, own: &OwnAggregate) -> Vec<PolarsExpr> {
        let args = own.args.iter().enumerate().filter_map(|(i, arg)| Some((i, arg.as_ref().ok()?)));
        let args = args.map(|(i, arg)| match self.kind {
            Kind::Count => ternary_expr(arg.expr.clone().is_not_null(), lit(1i64), lit(0i64)).alias(self.argument(i)),
            _ => number_of(arg).alias(self.argument(i)),
        });
        let filter = own.filter.iter().flatten().map(|filter| number_of(filter).alias(self.filter()));
        args.chain(filter).collect()
    }

    /// The column of doubles of which only the order matters.
    pub fn ranked(&self) -> Option<String> {
        matches!(self.kind, Kind::Extreme { doubles: true, .. }).then(|| self.argument(0))
    }

    /// What Polars computes per group.
    pub fn aggregates(&self) -> Vec<PolarsExpr> {
        let values = self.selected();
        let count = values.clone().count().alias(self.count());
        let number = values.clone().cast(PolarsType::Int128);
        let wide = || number.clone().sum().alias(self.result());
        match self.kind {
            // The argument is 1 where there is a value and 0 where there is none.
            Kind::Count => vec![wide()],
            // Digits from the twentieth on are summed by themselves, because 128 bits hold no sum of DECIMAL(38)s.
            Kind::Sum | Kind::Avg | Kind::AvgOfDecimals { .. } => {
                let upper = number.clone() / lit(HALF);
                let lower = number.clone() - upper.clone() * lit(HALF);
                vec![upper.sum().alias(self.magnitude()), lower.sum().alias(self.result()), count]
            }
            Kind::SumOfDoubles | Kind::AvgOfDoubles => {
                let negative = values.clone().lt(lit(0.0));
                let magnitude = when(negative).then(lit(0.0) - values.clone()).otherwise(values.clone());
                vec![values.sum().alias(self.result()), magnitude.sum().alias(self.magnitude()), count]
            }
            Kind::Extreme { largest: true, .. } => vec![values.max().alias(self.result())],
            Kind::Extreme { largest: false, .. } => vec![values.min().alias(self.result())],
            Kind::CountDistinct { .. } => vec![values.drop_nulls().n_unique().alias(self.result())],
            Kind::ByPosition { last } => vec![self.chosen(&[1, 2, 3], &[last; 3]).alias(self.result())],
            Kind::AtExtreme { largest } => vec![self.chosen(&[1, 0], &[largest, false]).alias(self.result())],
            Kind::Variance { ddof, .. } => {
                let squares = (values.clone() * values.clone()).mean().alias(self.magnitude());
                vec![values.var(ddof).alias(self.result()), squares, count]
            }
        }
    }

    /// The value that is first when ordered by these arguments. Rows that lack any come last, with NULL for a
    /// value: what is sorted has as many rows as what it is sorted by, whatever is missing.
    fn chosen(&self, by: &[usize], descending: &[bool]) -> PolarsExpr {
        let present = by.iter().map(|i| col(self.argument(*i)).is_not_null());
        let counted = present.fold(self.selected().is_not_null(), |all, present| all.and(present));
        let value = when(counted.clone()).then(self.selected()).otherwise(lit(NULL));
        let keys = std::iter::once(counted.not()).chain(by.iter().map(|i| col(self.argument(*i))));
        let descending = std::iter::once(false).chain(descending.iter().copied());
        let options = SortMultipleOptions::default().with_order_descending_multi(descending);
        value.sort_by(keys.collect::<Vec<_>>(), options).first()
    }

    /// The finished values of all groups.
    pub fn finish(&self, found: &DataFrame) -> Result<Vec<Value>> {
        match self.kind {
            Kind::SumOfDoubles | Kind::AvgOfDoubles => self.finish_doubles(found),
            Kind::Variance { ddof, root } => self.finish_variance(found, i128::from(ddof), root),
            Kind::CountDistinct { cap } => {
                let counts = exact(found.column(&self.result())?)?;
                let within =
                    |count: &Exact| if number(count) > cap { Exact::Null } else { Exact::Number(number(count)) };
                Ok(counts.iter().map(|count| Value::Exact(within(count))).collect())
            }
            Kind::ByPosition { .. } | Kind::AtExtreme { .. } => {
                Ok(exact(found.column(&self.result())?)?.into_iter().map(Value::Exact).collect())
            }
            Kind::Sum | Kind::Avg | Kind::AvgOfDecimals { .. } => {
                let uppers = exact(found.column(&self.magnitude())?)?;
                let lowers = exact(found.column(&self.result())?)?;
                let counts = exact(found.column(&self.count())?)?;
                let totals = uppers.iter().zip(&lowers).map(|(upper, lower)| total(number(upper), number(lower)));
                Ok(totals.zip(&counts).map(|(total, count)| self.finish_total(total, number(count))).collect())
            }
            Kind::Count => {
                let counts = exact(found.column(&self.result())?)?;
                Ok(counts.iter().map(|count| Value::Exact(Exact::Number(number(count)))).collect())
            }
            Kind::Extreme { doubles, .. } => {
                let extremes = exact(found.column(&self.result())?)?;
                Ok(extremes
                    .into_iter()
                    .map(|extreme| if doubles { unranked(&extreme) } else { Value::Exact(extreme) })
                    .collect())
            }
        }
    }

    fn finish_total(&self, total: i256, count: i128) -> Value {
        if count == 0 {
            return Value::Exact(Exact::Null);
        }
        match self.kind {
            Kind::Avg => measured(narrow(total) as f64 / count as f64),
            Kind::AvgOfDecimals { digits } => Value::Exact(Exact::Number(mean(total, count, digits))),
            _ => Value::Exact(Exact::Number(narrow(total))),
        }
    }

    fn finish_doubles(&self, found: &DataFrame) -> Result<Vec<Value>> {
        let counts = exact(found.column(&self.count())?)?;
        let (result, magnitude) = (found.column(&self.result())?, found.column(&self.magnitude())?);
        let rows = result.f64()?.iter().zip(magnitude.f64()?.iter()).zip(&counts);
        let finish = |((value, magnitude), count): ((Option<f64>, Option<f64>), &Exact)| {
            let (value, magnitude, count) = (value.unwrap_or(0.0), magnitude.unwrap_or(0.0), number(count));
            let divisor = if let Kind::AvgOfDoubles = self.kind { count as f64 } else { 1.0 };
            match count {
                0 => Value::Exact(Exact::Null),
                _ => Value::Double { value: value / divisor, magnitude: magnitude / divisor },
            }
        };
        Ok(rows.map(finish).collect())
    }

    /// Polars' variance loses digits by the mean of the squares; its root loses what that is beside it,
    /// and of one that is nearly 0 half of them.
    fn finish_variance(&self, found: &DataFrame, ddof: i128, root: bool) -> Result<Vec<Value>> {
        let counts = exact(found.column(&self.count())?)?;
        let (result, squares) = (found.column(&self.result())?, found.column(&self.magnitude())?);
        let rows = result.f64()?.iter().zip(squares.f64()?.iter()).zip(&counts);
        let finish = |((value, squares), count): ((Option<f64>, Option<f64>), &Exact)| {
            let (value, squares) = (value.unwrap_or(f64::NAN), squares.unwrap_or(f64::NAN));
            match number(count) {
                count if count <= ddof => Value::Exact(Exact::Null),
                _ if root => {
                    let value = value.sqrt();
                    Value::Double { value, magnitude: (squares / value).min((squares / TOLERANCE).sqrt()) }
                }
                _ => Value::Double { value, magnitude: squares },
            }
        };
        Ok(rows.map(finish).collect())
    }

    /// The values that FILTER lets through.
    fn selected(&self) -> PolarsExpr {
        let values = col(self.argument(0));
        if self.filtered { when(col(self.filter()).eq(lit(1))).then(values).otherwise(lit(NULL)) } else { values }
    }

    fn argument(&self, i: usize) -> String {
        format!("a{}_{i}", self.index)
    }

    fn filter(&self) -> String {
        format!("f{}", self.index)
    }

    fn result(&self) -> String {
        format!("result{}", self.index)
    }

    fn count(&self) -> String {
        format!("count{}", self.index)
    }

    fn magnitude(&self) -> String {
        format!("magnitude{}", self.index)
    }
}

/// The sum of nothing is nothing.
fn number(exact: &Exact) -> i128 {
    if let Exact::Number(number) = exact { *number } else { 0 }
}

fn unranked(extreme: &Exact) -> Value {
    match extreme {
        // One of the values themselves: there is no error to allow for.
        Exact::Number(rank) => Value::Double { value: unrank(*rank as i64), magnitude: 0.0 },
        other => Value::Exact(other.clone()),
    }
}

fn measured(value: f64) -> Value {
    Value::Double { value, magnitude: value.abs() }
}

/// What the upper and the lower digits come to.
fn total(upper: i128, lower: i128) -> i256 {
    i256::from_i128(upper).wrapping_mul(i256::from_i128(HALF)).wrapping_add(i256::from_i128(lower))
}

/// The number itself, or one that is beyond every type.
fn narrow(total: i256) -> i128 {
    total.to_i128().unwrap_or(if total < i256::ZERO { i128::MIN } else { i128::MAX })
}

fn mean(total: i256, count: i128, digits: u32) -> i128 {
    let scaled = total.wrapping_mul(i256::from_i128(10i128.pow(digits)));
    let (quotient, remainder) = (scaled / i256::from_i128(count), scaled % i256::from_i128(count));
    let remainder = narrow(remainder).abs();
    let away = if scaled < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
    narrow(if remainder >= count - remainder { quotient.wrapping_add(away) } else { quotient })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_round_half_away_from_zero() {
        for (total, count, expected) in [(5, 2, 3), (-5, 2, -3), (4, 3, 1), (-4, 3, -1), (5, 3, 2), (0, 7, 0)] {
            assert_eq!(mean(i256::from_i128(total), count, 0), expected, "{total} / {count}");
        }
    }

    #[test]
    fn totals_that_128_bits_do_not_hold_have_a_mean() {
        let most = 10i128.pow(38) - 1;
        let sum = total(3 * (most / HALF), 3 * (most % HALF));
        assert_eq!((mean(sum, 3, 0), narrow(sum)), (most, i128::MAX));
    }
}
