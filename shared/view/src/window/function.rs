//! The windows as DataFusion functions.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::bounds::{Bounds, WINDOW_TYPE};
use super::kind::Window;

/// What `window_end` stands for while a view is planned. An internal name, so that it does not
/// take one from the user.
pub const WINDOW_END: &str = "__window_end";

/// The functions that mark the window in GROUP BY while a view is planned. They have no values:
/// the parser replaces them by [`pane_function`].
pub fn marker_functions() -> Vec<ScalarUDF> {
    let names = Window::FUNCTIONS.into_iter().chain([WINDOW_END]);
    names.map(|name| ScalarUDF::new_from_impl(Marker { name, signature: signature() })).collect()
}

/// `pane(time)`: the start of the pane that holds an event.
pub fn pane_function(window: Window) -> ScalarUDF {
    ScalarUDF::new_from_impl(PaneFunction { window, signature: signature() })
}

fn signature() -> Signature {
    Signature::user_defined(Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Timestamp(..), rest @ ..] => Ok([&[WINDOW_TYPE], rest].concat()),
            _ => plan_err!("{} takes a TIMESTAMP first", self.name),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(WINDOW_TYPE)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} only marks a window", self.name)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PaneFunction {
    window: Window,
    signature: Signature,
}

impl ScalarUDFImpl for PaneFunction {
    fn name(&self) -> &str {
        "pane"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.iter().map(|_| WINDOW_TYPE).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(WINDOW_TYPE)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array(self.starts(&args.args[0].to_array(args.number_rows)?)?))
    }
}

impl PaneFunction {
    fn starts(&self, times: &ArrayRef) -> Result<ArrayRef> {
        let times = cast(times, &WINDOW_TYPE)?;
        // Neighbours are mostly in one pane, and a calendar takes its time to answer.
        let mut last: Option<Bounds> = None;
        let mut outside = None;
        let mut start = |time: i64| {
            if last.is_none_or(|(start, end)| time < start || time >= end) {
                last = self.window.pane(time);
                outside = outside.or(last.is_none().then_some(time));
            }
            last.map(|(start, _)| start)
        };
        let starts = times.as_primitive::<TimestampMicrosecondType>().iter().map(|time| start(time?));
        let starts: TimestampMicrosecondArray = starts.collect();
        match outside {
            Some(time) => exec_err!("the window of {time} us begins outside the range of a timestamp"),
            None => Ok(Arc::new(starts)),
        }
    }
}
