//! Functions that have a value, or stated none, for every row.
//!
//! DataFusion's functions fail for a whole batch where one row's arguments are not to their liking, some
//! panic, and some take all memory. A guarded one runs on the batch as it is; where that fails, it runs
//! on halves of it until the rows that do are alone.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{concat, filter};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, resources_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::date_trunc::DateTrunc;
use super::failure::{Failures, OnFailure, TooLarge, contained};
use super::nan::one_nan;
use super::size::{Growth, MAX_BATCH_BYTES, MAX_VALUE_BYTES};
use super::timestamp::ToTimestamp;

/// Functions that take the arguments after the first from the first row of a batch, for all of its rows.
const OF_FIRST_ROW: [&str; 2] = ["array_sort", "to_char"];

/// The functions of `state` with a guard around each, under the same names.
pub fn functions(state: &SessionState, on_failure: OnFailure) -> Vec<ScalarUDF> {
    let mut names: Vec<&String> = state.scalar_functions().keys().collect();
    names.sort();
    let own = |name: &str| state.scalar_functions()[name].name() == name;
    names.into_iter().filter(|name| own(name)).map(|name| guarded(state, name, on_failure)).collect()
}

fn guarded(state: &SessionState, name: &str, on_failure: OnFailure) -> ScalarUDF {
    let functions = state.scalar_functions();
    let inner = match name {
        "date_trunc" => Arc::new(DateTrunc::around(functions[name].clone())),
        "to_timestamp" => Arc::new(ToTimestamp::around(functions[name].clone())),
        _ => functions[name].clone(),
    };
    let aliases = functions[name].aliases().to_vec();
    ScalarUDF::new_from_impl(Guarded { name: name.to_owned(), aliases, growth: Growth::of(name), inner, on_failure })
}

fn guard(function: &ScalarUDF) -> Option<&Guarded> {
    (function.inner().as_ref() as &dyn Any).downcast_ref()
}

pub fn is_guarded(function: &ScalarUDF) -> bool {
    guard(function).is_some()
}

/// The function that a guard is around; the function itself if there is none.
pub fn unguarded(function: &ScalarUDF) -> &ScalarUDF {
    guard(function).map_or(function, |guard| guard.inner.as_ref())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    name: String,
    aliases: Vec<String>,
    growth: Option<Growth>,
    inner: Arc<ScalarUDF>,
    on_failure: OnFailure,
}

impl Guarded {
    /// The batch at once.
    fn at_once(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        match contained(|| self.inner.invoke_with_args(args.clone()))? {
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(one_nan(values))),
            ColumnarValue::Scalar(ScalarValue::Float64(Some(value))) if value.is_nan() => {
                Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some(f64::NAN))))
            }
            scalar => Ok(scalar),
        }
    }

    /// Whether the rows can be tried, by what their values come to.
    fn measured(&self, args: &ScalarFunctionArgs) -> Result<Vec<bool>> {
        let Some(growth) = self.growth else { return Ok(Vec::new()) };
        let bytes = growth.bytes(&args.args, args.number_rows)?;
        let fits: Vec<bool> = bytes.iter().map(|bytes| *bytes <= MAX_VALUE_BYTES).collect();
        let whole: u64 = bytes.iter().filter(|bytes| **bytes <= MAX_VALUE_BYTES).sum();
        if whole > MAX_BATCH_BYTES && args.number_rows > 1 {
            return Err(TooLarge { bytes: whole }.into());
        }
        Ok(if fits.contains(&false) { fits } else { Vec::new() })
    }

    fn total(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let fits = self.measured(&args)?;
        if !fits.is_empty() {
            return Ok(ColumnarValue::Array(self.where_it_fits(&args, BooleanArray::from(fits))?));
        }
        if !self.is_of_first_row(&args)
            && let Ok(value) = self.at_once(&args)
        {
            return Ok(value);
        }
        Ok(ColumnarValue::Array(self.by_halves(&args)?))
    }

    fn is_of_first_row(&self, args: &ScalarFunctionArgs) -> bool {
        let differ = |arg: &ColumnarValue| matches!(arg, ColumnarValue::Array(_));
        args.number_rows > 1 && OF_FIRST_ROW.contains(&self.name.as_str()) && args.args.iter().skip(1).any(differ)
    }

    /// The rows whose values are small enough; NULL for the others.
    fn where_it_fits(&self, args: &ScalarFunctionArgs, fits: BooleanArray) -> Result<ArrayRef> {
        Failures::add((fits.len() - fits.true_count()) as u64);
        let columns = args.args.iter().map(|arg| match arg {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(filter(array, &fits)?)),
            scalar => Ok(scalar.clone()),
        });
        let kept = self.with(args, columns.collect::<Result<_>>()?, fits.true_count());
        let values = self.by_halves(&kept)?;
        let mut next = 0;
        let places = fits.values().iter().map(|fits| {
            next += u32::from(fits);
            fits.then(|| next - 1)
        });
        Ok(arrow::compute::take(&values, &places.collect::<arrow::array::UInt32Array>(), None)?)
    }

    fn with(&self, args: &ScalarFunctionArgs, columns: Vec<ColumnarValue>, number_rows: usize) -> ScalarFunctionArgs {
        ScalarFunctionArgs { args: columns, number_rows, ..args.clone() }
    }

    fn by_halves(&self, args: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let rows = args.number_rows;
        if !self.is_of_first_row(args)
            && let Ok(array) = self.at_once(args).and_then(|value| value.into_array(rows))
            && array.len() == rows
        {
            return Ok(array);
        }
        if rows <= 1 {
            Failures::add(rows as u64);
            return ScalarValue::try_from(args.return_field.data_type())?.to_array_of_size(rows);
        }
        let half = rows / 2;
        let halves =
            [self.by_halves(&self.slice(args, 0, half))?, self.by_halves(&self.slice(args, half, rows - half))?];
        Ok(concat(&[halves[0].as_ref(), halves[1].as_ref()])?)
    }

    fn slice(&self, args: &ScalarFunctionArgs, from: usize, rows: usize) -> ScalarFunctionArgs {
        let part = |arg: &ColumnarValue| match arg {
            ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
            scalar => scalar.clone(),
        };
        self.with(args, args.args.iter().map(part).collect(), rows)
    }

    fn strict(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match self.measured(&args) {
            Ok(_) if self.is_of_first_row(&args) => {
                let one = |row| self.at_once(&self.slice(&args, row, 1))?.into_array(1);
                let rows = (0..args.number_rows).map(one).collect::<Result<Vec<ArrayRef>>>()?;
                Ok(ColumnarValue::Array(concat(&rows.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?))
            }
            Ok(fits) if fits.is_empty() => self.at_once(&args),
            Ok(_) => exec_err!("{} gives a value of more than {} MiB", self.name, MAX_VALUE_BYTES >> 20),
            Err(error) => Err(resources(error)),
        }
    }
}

fn resources(error: DataFusionError) -> DataFusionError {
    if TooLarge::is(&error) { resources_datafusion_err!("{error}") } else { error }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        let (name, aliases) = (self.name.clone(), self.aliases.clone());
        let guarded = Self { name, aliases, growth: self.growth, inner, on_failure: self.on_failure };
        Some(ScalarUDF::new_from_impl(guarded))
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(growth) = self.growth {
            growth.prepare(&mut args.args)?;
        }
        // What is not a function of its arguments is refused in a view, and not sliced in a query.
        match self.on_failure {
            OnFailure::Null if self.inner.signature().volatility == Volatility::Immutable => self.total(args),
            _ => self.strict(args),
        }
    }
}
