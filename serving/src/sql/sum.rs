//! `sum` of exact numbers, which DataFusion lets wrap around.
//!
//! It is DataFusion's own over numbers of 256 bits, narrowed when it is finished: beyond the type of
//! the result the query fails. A view's sums are those of the view, which never wrap.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

/// The function.
pub(super) fn checked_sum() -> AggregateUDF {
    AggregateUDF::new_from_impl(CheckedSum(sum_udaf()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum(Arc<AggregateUDF>);

/// The type that numbers of `data_type` are added up in; none where nothing wraps.
fn wide(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Int64 | DataType::UInt64 => Some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0)),
        DataType::Decimal128(_, scale) => Some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale)),
        _ => None,
    }
}

/// What one call adds up, and what its result is.
#[derive(Clone, Debug)]
struct Widened {
    wide: DataType,
    narrow: DataType,
}

impl Widened {
    fn of(args: &AccumulatorArgs<'_>) -> Option<Self> {
        let wide = wide(args.expr_fields[0].data_type())?;
        Some(Self { wide, narrow: args.return_field.data_type().clone() })
    }

    fn field(&self) -> FieldRef {
        Arc::new(Field::new("sum", self.wide.clone(), true))
    }

    fn values(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        Ok(vec![cast(&values[0], &self.wide)?])
    }

    fn narrowed(&self, sums: &ArrayRef) -> Result<ArrayRef> {
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(sums, &self.narrow, &exact)
            .map_err(|_| exec_datafusion_err!("a sum is beyond {}: write sum(CAST(x AS DECIMAL(38, 0)))", self.narrow))
    }

    /// Calls `inner` with the arguments as if they were wide.
    fn with<T>(&self, args: AccumulatorArgs<'_>, inner: impl FnOnce(AccumulatorArgs<'_>) -> Result<T>) -> Result<T> {
        let field = self.field();
        inner(AccumulatorArgs { return_field: field.clone(), expr_fields: &[field], ..args })
    }
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(wide) = wide(args.input_fields[0].data_type()) else { return self.0.state_fields(args) };
        let field: FieldRef = Arc::new(Field::new("sum", wide, true));
        self.0.state_fields(StateFieldsArgs {
            input_fields: std::slice::from_ref(&field),
            return_field: field.clone(),
            ..args
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(widened) = Widened::of(&args) else { return self.0.accumulator(args) };
        let inner = widened.with(args, |args| self.0.accumulator(args))?;
        Ok(Box::new(Checked { inner, widened }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(widened) = Widened::of(&args) else { return self.0.create_sliding_accumulator(args) };
        let inner = widened.with(args, |args| self.0.create_sliding_accumulator(args))?;
        Ok(Box::new(Checked { inner, widened }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(widened) = Widened::of(&args) else { return self.0.create_groups_accumulator(args) };
        let inner = widened.with(args, |args| self.0.create_groups_accumulator(args))?;
        Ok(Box::new(CheckedGroups { inner, widened }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn set_monotonicity(&self, _data_type: &DataType) -> SetMonotonicity {
        SetMonotonicity::NotMonotonic
    }
}

#[derive(Debug)]
struct Checked {
    inner: Box<dyn Accumulator>,
    widened: Widened,
}

impl Accumulator for Checked {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.widened.values(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.widened.values(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&self.widened.narrowed(&sum)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

struct CheckedGroups {
    inner: Box<dyn GroupsAccumulator>,
    widened: Widened,
}

impl GroupsAccumulator for CheckedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&self.widened.values(values)?, groups, filter, total)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.widened.narrowed(&self.inner.evaluate(emit_to)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.widened.values(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
