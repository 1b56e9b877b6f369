//! Arithmetic on numbers, which never wraps.
//!
//! Integers are computed in 64 bits, whatever their columns' types; DECIMALs exactly, with the digits
//! that the operands have (the Hive rules of Arrow) and a quotient rounded half away from zero, as
//! `avg` is; FLOAT and DOUBLE by IEEE 754, with one NaN. What leaves BIGINT or the digits of its
//! DECIMAL has no value for that row. A division of exact numbers by zero is NULL in a view.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Decimal128Type, DecimalType, Int64Type, i256};
use arrow::error::ArrowError;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast, lit,
};

use super::failure::{Failures, OnFailure};
use super::nan::one_nan;
use anabranch_algebra::sql_type::sql_type;

/// `expr` with its arithmetic on numbers checked.
pub fn checked(expr: Expr, schema: &DFSchema, on_failure: OnFailure) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) => {
            let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
            if !is_number(&of_left, &of_right) {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            let operands = vec![digits_of(*left, &of_right), digits_of(*right, &of_left)];
            Ok(Transformed::yes(Arithmetic::function(op, on_failure).call(operands)))
        }
        Expr::Negative(operand) if operand.get_type(schema)?.is_integer() => {
            let operands = vec![lit(0i64), *operand];
            Ok(Transformed::yes(Arithmetic::function(Operator::Minus, on_failure).call(operands)))
        }
        // The least value of a type has no absolute value in it.
        Expr::ScalarFunction(mut call) if call.func.name() == "abs" && is_narrow(&call.args, schema)? => {
            call.args = call.args.into_iter().map(|operand| cast(operand, DataType::Int64)).collect();
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        // A sign of its own would give a NaN of another sign.
        Expr::Negative(operand) if operand.get_type(schema)?.is_floating() => {
            let minus_one = match operand.get_type(schema)? {
                DataType::Float32 => lit(-1f32),
                _ => lit(-1f64),
            };
            let operands = vec![*operand, minus_one];
            Ok(Transformed::yes(Arithmetic::function(Operator::Multiply, on_failure).call(operands)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_narrow(operands: &[Expr], schema: &DFSchema) -> Result<bool> {
    let [operand] = operands else { return Ok(false) };
    Ok(matches!(operand.get_type(schema)?, DataType::Int8 | DataType::Int16 | DataType::Int32))
}

fn is_arithmetic(op: Operator) -> bool {
    use Operator::*;
    matches!(op, Plus | Minus | Multiply | Divide | Modulo | BitwiseShiftLeft | BitwiseShiftRight)
}

fn is_number(left: &DataType, right: &DataType) -> bool {
    let fits = |of: &DataType| of.is_numeric() || of.is_null();
    fits(left) && fits(right)
}

/// An integer literal beside a DECIMAL has the digits that are written, not the nineteen of a BIGINT,
/// which would leave few of the 38 to the product.
fn digits_of(expr: Expr, other: &DataType) -> Expr {
    match (&expr, other) {
        (Expr::Literal(ScalarValue::Int64(Some(value)), _), DataType::Decimal128(..)) => {
            let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log as u8 + 1);
            lit(ScalarValue::Decimal128(Some(i128::from(*value)), digits, 0))
        }
        _ => expr,
    }
}

/// An operator as a function, so that nothing but this file decides what it does.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    op: Operator,
    on_failure: OnFailure,
    name: String,
    signature: Signature,
}

/// Why there is no value.
enum Fault {
    Overflow,
    DivisionByZero,
}

impl Arithmetic {
    fn function(op: Operator, on_failure: OnFailure) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { op, on_failure, name: op.to_string(), signature })
    }

    /// What the operands are computed as.
    fn operands(&self, left: &DataType, right: &DataType) -> Result<(DataType, DataType)> {
        use DataType::*;
        let (left, right) = match (left, right) {
            (Null, Null) => (&Int64, &Int64),
            (Null, other) | (other, Null) => (other, other),
            both => both,
        };
        let decimal = |of: &DataType| matches!(of, Decimal128(..) | UInt64);
        if matches!(self.op, Operator::BitwiseShiftLeft | Operator::BitwiseShiftRight) {
            return match left.is_integer() && right.is_integer() {
                true => Ok((Int64, Int64)),
                false => plan_err!("{} takes integers", self.op),
            };
        }
        if matches!(left, Decimal256(..)) || matches!(right, Decimal256(..)) {
            return plan_err!("a number of more than 38 digits can be compared, not computed with");
        }
        Ok(match (left, right) {
            (Float64, _) | (_, Float64) => (Float64, Float64),
            (Float32, other) | (other, Float32) if decimal(other) => (Float64, Float64),
            (Float32, _) | (_, Float32) => (Float32, Float32),
            (left, right) if decimal(left) || decimal(right) => (as_decimal(left), as_decimal(right)),
            _ => (Int64, Int64),
        })
    }

    fn kernel(&self, args: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let arrays = [args[0].to_array(rows)?, args[1].to_array(rows)?];
        let (left, right) = (&arrays[0], &arrays[1]);
        match left.data_type() {
            DataType::Float64 | DataType::Float32 => Ok(one_nan(self.of_arrow(left, right)?)),
            DataType::Int64 => self.integers(left, right),
            _ => self.decimals(left, right),
        }
    }

    /// Arrow's kernels, which fail as a whole if one row overflows.
    fn of_arrow(&self, left: &ArrayRef, right: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
        use arrow::compute::kernels::numeric::*;
        match self.op {
            Operator::Plus => add(left, right),
            Operator::Minus => sub(left, right),
            Operator::Multiply => mul(left, right),
            Operator::Divide => div(left, right),
            Operator::Modulo => rem(left, right),
            _ => Err(ArrowError::ArithmeticOverflow("shifts have no kernel that checks".to_owned())),
        }
    }

    fn integers(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
        if let Ok(array) = self.of_arrow(left, right) {
            return Ok(array);
        }
        let (left, right) = (left.as_primitive::<Int64Type>(), right.as_primitive::<Int64Type>());
        let array = self.by_row::<Int64Type>(left, right, |a, b| integer(self.op, a, b))?;
        Ok(Arc::new(array))
    }

    fn decimals(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
        let of = BinaryTypeCoercer::new(left.data_type(), &self.op, right.data_type()).get_result_type()?;
        let DataType::Decimal128(precision, scale) = of else { return plan_err!("{} has no DECIMAL result", self.op) };
        if !matches!(self.op, Operator::Divide)
            && let Ok(array) = self.of_arrow(left, right)
            && (precision < Decimal128Type::MAX_PRECISION || all_within(array.as_primitive(), precision))
        {
            return Ok(array);
        }
        let [l, r] = [left, right].map(|array| array.as_primitive::<Decimal128Type>());
        let scales = (l.scale(), r.scale(), scale);
        let bound = 10i128.pow(u32::from(precision));
        let array = self.by_row::<Decimal128Type>(l, r, |a, b| {
            let value = decimal(self.op, (a, b), scales)?;
            if value.unsigned_abs() < bound.unsigned_abs() { Ok(value) } else { Err(Fault::Overflow) }
        })?;
        Ok(Arc::new(array.with_precision_and_scale(precision, scale)?))
    }

    fn by_row<T: ArrowPrimitiveType>(
        &self,
        left: &PrimitiveArray<T>,
        right: &PrimitiveArray<T>,
        compute: impl Fn(T::Native, T::Native) -> std::result::Result<T::Native, Fault>,
    ) -> Result<PrimitiveArray<T>> {
        let mut failed = 0;
        let value = |(a, b): (Option<T::Native>, Option<T::Native>)| match (a, b) {
            (Some(a), Some(b)) => match (compute(a, b), self.on_failure) {
                (Ok(value), _) => Ok(Some(value)),
                (Err(Fault::DivisionByZero), OnFailure::Null) => Ok(None),
                (Err(Fault::Overflow), OnFailure::Null) => {
                    failed += 1;
                    Ok(None)
                }
                (Err(Fault::DivisionByZero), OnFailure::Error) => exec_err!("division by zero: write NULLIF(x, 0)"),
                (Err(Fault::Overflow), OnFailure::Error) => exec_err!(
                    "{a:?} {} {b:?} is beyond {}: cast an operand to DOUBLE or to a wider DECIMAL",
                    self.op,
                    sql_type(&T::DATA_TYPE)
                ),
            },
            _ => Ok(None),
        };
        let array = left.iter().zip(right.iter()).map(value).collect::<Result<PrimitiveArray<T>>>()?;
        Failures::add(failed);
        Ok(array)
    }
}

fn as_decimal(of: &DataType) -> DataType {
    use DataType::*;
    match of {
        Int8 | UInt8 => Decimal128(3, 0),
        Int16 | UInt16 => Decimal128(5, 0),
        Int32 | UInt32 => Decimal128(10, 0),
        Int64 => Decimal128(19, 0),
        UInt64 => Decimal128(20, 0),
        other => other.clone(),
    }
}

fn all_within(array: &PrimitiveArray<Decimal128Type>, precision: u8) -> bool {
    let bound = 10i128.pow(u32::from(precision)).unsigned_abs();
    array.iter().flatten().all(|value| value.unsigned_abs() < bound)
}

fn integer(op: Operator, a: i64, b: i64) -> std::result::Result<i64, Fault> {
    let value = match op {
        Operator::Plus => a.checked_add(b),
        Operator::Minus => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Modulo if b == 0 => return Err(Fault::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Modulo => Some(a.wrapping_rem(b)),
        Operator::BitwiseShiftLeft => u32::try_from(b).ok().and_then(|b| shifted_left(a, b)),
        _ => u32::try_from(b).ok().map(|b| a >> b.min(63)),
    };
    value.ok_or(Fault::Overflow)
}

/// `a * 2^b`, if it is a BIGINT.
fn shifted_left(a: i64, b: u32) -> Option<i64> {
    match a {
        0 => Some(0),
        _ => 2i64.checked_pow(b).and_then(|power| a.checked_mul(power)).or((a == -1 && b == 63).then_some(i64::MIN)),
    }
}

/// The result at its scale, from two values at theirs.
fn decimal(op: Operator, (a, b): (i128, i128), (of_a, of_b, scale): (i8, i8, i8)) -> std::result::Result<i128, Fault> {
    let (a, b) = (i256::from_i128(a), i256::from_i128(b));
    let at = |value: i256, from: i8, to: i8| value.wrapping_mul(power(i32::from(to) - i32::from(from)));
    if matches!(op, Operator::Divide | Operator::Modulo) && b == i256::ZERO {
        return Err(Fault::DivisionByZero);
    }
    let value = match op {
        Operator::Plus => at(a, of_a, scale).checked_add(at(b, of_b, scale)),
        Operator::Minus => at(a, of_a, scale).checked_sub(at(b, of_b, scale)),
        Operator::Multiply => a.checked_mul(b),
        Operator::Modulo => at(a, of_a, scale).checked_rem(at(b, of_b, scale)),
        _ => quotient(a, b, i32::from(scale) + i32::from(of_b) - i32::from(of_a)),
    };
    value.and_then(|value| value.to_i128()).ok_or(Fault::Overflow)
}

fn power(exponent: i32) -> i256 {
    i256::from_i128(10).wrapping_pow(exponent.max(0) as u32)
}

/// `a * 10^shift / b`, rounded half away from zero.
fn quotient(a: i256, b: i256, shift: i32) -> Option<i256> {
    let (a, b) = (a.checked_mul(power(shift))?, b.checked_mul(power(-shift))?);
    let (whole, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    let half_or_more = rest.wrapping_abs().checked_mul(i256::from_i128(2))? >= b.wrapping_abs();
    let away = if (a < i256::ZERO) == (b < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    if half_or_more { whole.checked_add(away) } else { Some(whole) }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(format!("{} {} {}", args[0].schema_name(), self.op, args[1].schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (left, right) = self.operands(&types[0], &types[1])?;
        Ok(vec![left, right])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let (left, right) = self.operands(&types[0], &types[1])?;
        match left {
            DataType::Decimal128(..) => BinaryTypeCoercer::new(&left, &self.op, &right).get_result_type(),
            same => Ok(same),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let array = self.kernel(&args.args, if scalars { 1 } else { args.number_rows })?;
        match scalars {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}
