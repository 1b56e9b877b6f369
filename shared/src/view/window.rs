//! Windows and their panes.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use serde::Serialize;

/// Type of pane starts and window bounds.
pub const WINDOW_TYPE: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// How event time is cut into panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Window {
    /// Adjacent windows of one size, counted from 1970-01-01T00:00:00Z; one pane each.
    Tumble { size_us: i64 },
}

impl Window {
    /// Start of the pane that holds `event_time_us`; rounds down before 1970, too. `None` where
    /// the start would lie outside the range of a timestamp.
    pub fn pane_start(self, event_time_us: i64) -> Option<i64> {
        let Self::Tumble { size_us } = self;
        event_time_us.checked_sub(event_time_us.rem_euclid(size_us))
    }

    /// The window's end, exclusive.
    pub fn pane_end(self, start_us: i64) -> i64 {
        let Self::Tumble { size_us } = self;
        start_us.saturating_add(size_us)
    }

    /// Reads the window from the arguments of `tumble(time, size)`.
    pub fn tumble(args: &[Expr]) -> Result<Self, String> {
        match args {
            [_, size] => Ok(Self::Tumble { size_us: interval_us(size)? }),
            [_, _, _] => Err("calendar windows with a time zone are not supported yet".to_owned()),
            _ => Err("tumble takes a time and a size".to_owned()),
        }
    }
}

fn interval_us(size: &Expr) -> Result<i64, String> {
    let size = strip_cast(size);
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = size else {
        return Err(format!("the window's size must be a literal INTERVAL, not {size}"));
    };
    let IntervalMonthDayNano { months, days, nanoseconds } = *interval;
    if months != 0 {
        return Err("windows of months or years are not supported yet".to_owned());
    }
    if nanoseconds % 1000 != 0 {
        return Err("the window's size must be whole microseconds".to_owned());
    }
    let size_us = i64::from(days) * 86_400_000_000 + nanoseconds / 1000;
    if size_us > 0 { Ok(size_us) } else { Err("the window's size must be positive".to_owned()) }
}

fn strip_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => strip_cast(&cast.expr),
        Expr::Alias(alias) => strip_cast(&alias.expr),
        other => other,
    }
}

/// `tumble(time, size)`: the start of the window that holds the time.
pub fn tumble_function() -> ScalarUDF {
    WindowFunction::udf("tumble", Window::pane_start)
}

/// `window_end(start, size)`, which `window_end` in a view's SQL stands for.
pub fn window_end_function() -> ScalarUDF {
    WindowFunction::udf(WINDOW_END, |window, start| Some(window.pane_end(start)))
}

/// Internal name, so that it does not take a name from the user.
pub const WINDOW_END: &str = "__window_end";

type PerTime = fn(Window, i64) -> Option<i64>;

#[derive(Debug)]
struct WindowFunction {
    name: &'static str,
    per_time: PerTime,
    signature: Signature,
}

impl WindowFunction {
    fn udf(name: &'static str, per_time: PerTime) -> ScalarUDF {
        let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
        let signature = Signature::new(TypeSignature::Exact(vec![WINDOW_TYPE, interval]), Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { name, per_time, signature })
    }
}

impl PartialEq for WindowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for WindowFunction {}

impl std::hash::Hash for WindowFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for WindowFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(WINDOW_TYPE)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(size) = &args.args[1] else {
            return plan_err!("the window's size must be a literal INTERVAL");
        };
        let size = Expr::Literal(size.clone(), None);
        let window = match interval_us(&size) {
            Ok(size_us) => Window::Tumble { size_us },
            Err(cause) => return plan_err!("{cause}"),
        };
        let times = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(self.map(window, &times)?))
    }
}

impl WindowFunction {
    fn map(&self, window: Window, times: &ArrayRef) -> Result<ArrayRef> {
        let times = cast(times, &WINDOW_TYPE)?;
        let mut outside = None;
        let starts: TimestampMicrosecondArray = times
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .map(|time| {
                let time = time?;
                let mapped = (self.per_time)(window, time);
                outside = outside.or(mapped.is_none().then_some(time));
                mapped
            })
            .collect();
        match outside {
            Some(time) => exec_err!("{}: the window of {time} us begins outside the range of a timestamp", self.name),
            None => Ok(Arc::new(starts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_are_half_open_and_round_down_before_1970() {
        let minute = Window::Tumble { size_us: 60_000_000 };
        assert_eq!(minute.pane_start(0), Some(0));
        assert_eq!(minute.pane_start(59_999_999), Some(0));
        assert_eq!(minute.pane_start(60_000_000), Some(60_000_000));
        assert_eq!(minute.pane_start(-1), Some(-60_000_000));
        assert_eq!(minute.pane_start(i64::MIN), None);
        assert_eq!(minute.pane_end(0), 60_000_000);
    }
}
