//! The aggregates as DataFusion aggregate functions, one adapter for all of them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;

use anabranch_algebra::{Aggregate, BoundAggregate, Parameter, States};

/// `name(x)`: events in, the finished value out. Used to plan a view's SQL.
pub fn value_function(aggregate: Arc<dyn Aggregate>) -> AggregateUDF {
    AggregateFunction::udaf(aggregate.name().to_owned(), Form::Value(aggregate))
}

/// `name_state(x)`: events in, the encoded partial state out.
pub fn lift_function(bound: Arc<dyn BoundAggregate>) -> AggregateUDF {
    AggregateFunction::udaf(format!("{}_state", bound.name()), Form::Lift(bound))
}

/// `name_merge(s)`: encoded partial states in, their merge out.
pub fn merge_function(bound: Arc<dyn BoundAggregate>) -> AggregateUDF {
    AggregateFunction::udaf(format!("{}_merge", bound.name()), Form::Merge(bound))
}

/// A literal as a parameter, of one of the types that aggregates ask for.
pub fn parameter(value: &ScalarValue) -> Option<Parameter> {
    match value {
        ScalarValue::Int64(number) => Some(Parameter::Int64(*number)),
        ScalarValue::Float64(number) => Some(Parameter::Float64(*number)),
        _ => None,
    }
}

/// The same the other way round.
pub fn scalar(parameter: &Parameter) -> ScalarValue {
    match parameter {
        Parameter::Int64(number) => ScalarValue::Int64(*number),
        Parameter::Float64(number) => ScalarValue::Float64(*number),
    }
}

#[derive(Clone, Debug)]
enum Form {
    Value(Arc<dyn Aggregate>),
    Lift(Arc<dyn BoundAggregate>),
    Merge(Arc<dyn BoundAggregate>),
}

impl Form {
    /// Functions are equal if they are the same one, down to the parameters in it.
    fn identity(&self) -> (u8, String) {
        match self {
            Self::Value(aggregate) => (0, aggregate.name().to_owned()),
            Self::Lift(bound) => (1, format!("{bound:?}")),
            Self::Merge(bound) => (2, format!("{bound:?}")),
        }
    }
}

#[derive(Debug)]
struct AggregateFunction {
    name: String,
    form: Form,
    aliases: Vec<String>,
    signature: Signature,
}

impl PartialEq for AggregateFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.form.identity() == other.form.identity()
    }
}

impl Eq for AggregateFunction {}

impl Hash for AggregateFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.form.identity().hash(state);
    }
}

impl AggregateFunction {
    fn udaf(name: String, form: Form) -> AggregateUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        let aliases = match &form {
            Form::Value(aggregate) => aggregate.aliases().iter().map(|alias| (*alias).to_owned()).collect(),
            Form::Lift(_) | Form::Merge(_) => vec![],
        };
        AggregateUDF::new_from_impl(Self { name, form, aliases, signature })
    }

    fn bind(&self, args: &AccumulatorArgs<'_>) -> Result<Arc<dyn BoundAggregate>> {
        let aggregate = match &self.form {
            Form::Value(aggregate) => aggregate,
            Form::Lift(bound) | Form::Merge(bound) => return Ok(bound.clone()),
        };
        if aggregate.is_positional() {
            return plan_err!("{} needs the events' positions, which only a view has", self.name);
        }
        let types: Vec<DataType> = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        let (columns, _) = types.split_at(aggregate.columns().min(types.len()));
        let parameters = args.exprs[columns.len()..].iter().map(|expr| match expr.downcast_ref::<Literal>() {
            Some(literal) => parameter(literal.value())
                .ok_or_else(|| plan_datafusion_err!("{}: {expr} must be a number", aggregate.usage())),
            None => plan_err!("{}: {expr} must be a literal", aggregate.usage()),
        });
        let parameters = parameters.collect::<Result<Vec<_>>>()?;
        aggregate.bind(columns, &parameters).map_err(|cause| plan_datafusion_err!("{cause}"))
    }

    fn column(&self, args: &AccumulatorArgs<'_>) -> Result<StateAccumulator> {
        let bound = self.bind(args)?;
        Ok(StateAccumulator { states: bound.new_states(), bound, form: self.form.clone(), groups: 0 })
    }
}

impl AggregateUDFImpl for AggregateFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match &self.form {
            Form::Value(aggregate) => aggregate.coerce(types).map_err(|cause| plan_datafusion_err!("{cause}")),
            // The view's parser has coerced the arguments already.
            Form::Lift(_) => Ok(types.to_vec()),
            Form::Merge(_) => Ok(vec![DataType::Binary]),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match &self.form {
            Form::Value(aggregate) => {
                let columns = &types[..aggregate.columns().min(types.len())];
                aggregate.return_type(columns).map_err(|cause| plan_datafusion_err!("{cause}"))
            }
            Form::Lift(_) | Form::Merge(_) => Ok(DataType::Binary),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let mut column = self.column(&args)?;
        column.grow(1);
        Ok(Box::new(column))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.column(&args)?))
    }
}

/// States driven by DataFusion, with one group or many.
#[derive(Debug)]
struct StateAccumulator {
    bound: Arc<dyn BoundAggregate>,
    states: Box<dyn States>,
    form: Form,
    groups: usize,
}

fn execution_error(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl StateAccumulator {
    fn grow(&mut self, groups: usize) {
        self.groups = self.groups.max(groups);
        self.states.grow(groups);
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        match self.form {
            Form::Merge(_) => self.merge(values, groups),
            Form::Value(_) | Form::Lift(_) => {
                self.states.lift(values, groups, filter);
                Ok(())
            }
        }
    }

    fn merge(&mut self, values: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let encoded = values[0]
            .as_binary_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("partial states are BINARY, not {}", values[0].data_type()))?;
        self.states.merge(encoded, groups).map_err(execution_error)
    }

    fn encoded(&self, groups: usize) -> ArrayRef {
        let mut builder = BinaryBuilder::with_capacity(groups, groups * 24);
        let mut state = Vec::new();
        for group in 0..groups {
            state.clear();
            self.states.encode(group, &mut state);
            builder.append_value(&state);
        }
        Arc::new(builder.finish())
    }

    fn output(&self, groups: usize) -> Result<ArrayRef> {
        match self.form {
            Form::Value(_) => Ok(self.states.finish().map_err(execution_error)?.slice(0, groups)),
            Form::Lift(_) | Form::Merge(_) => Ok(self.encoded(groups)),
        }
    }

    fn emit(&mut self, emit_to: EmitTo, column: ArrayRef) -> ArrayRef {
        let n = self.emitted(emit_to);
        self.states.drop_first(n);
        self.groups -= n;
        column
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(n) => n,
        }
    }
}

impl GroupsAccumulator for StateAccumulator {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        self.update(values, groups, filter)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        self.merge(values, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let column = self.output(self.emitted(emit_to))?;
        Ok(self.emit(emit_to, column))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let column = self.encoded(self.emitted(emit_to));
        Ok(vec![self.emit(emit_to, column)])
    }

    /// One state per row, for when grouping first would not make the rows fewer.
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut each =
            Self { bound: self.bound.clone(), states: self.bound.new_states(), form: self.form.clone(), groups: 0 };
        each.grow(rows);
        each.update(values, &(0..rows).collect::<Vec<_>>(), filter)?;
        Ok(vec![each.encoded(rows)])
    }

    fn size(&self) -> usize {
        self.states.size()
    }
}

impl Accumulator for StateAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values[0].len();
        self.update(values, &vec![0; rows], None)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(states, &vec![0; states[0].len()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.output(1)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&self.encoded(1), 0)?])
    }

    fn size(&self) -> usize {
        self.states.size()
    }
}
