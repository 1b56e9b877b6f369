//! What users are told of every aggregate, taken from the aggregates themselves.

use arrow::datatypes::DataType;
use serde::Serialize;

use crate::aggregate::{Aggregate, EqualityClass};
use crate::parameter::Parameter;
use crate::registry::registry;

/// An aggregate for those who write views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Documentation {
    pub usage: &'static str,
    pub aliases: &'static [&'static str],
    pub gives: &'static str,
    /// Its equality class; where DOUBLE has another one than the other types, both.
    pub class: String,
}

/// Every aggregate, in the order of the registry.
pub fn documentation() -> Vec<Documentation> {
    let document = |aggregate: &dyn Aggregate| Documentation {
        usage: aggregate.usage(),
        aliases: aggregate.aliases(),
        gives: aggregate.gives(),
        class: class(aggregate),
    };
    registry().iter().map(|aggregate| document(aggregate.as_ref())).collect()
}

fn class(aggregate: &dyn Aggregate) -> String {
    let double = class_for(aggregate, &DataType::Float64);
    let other = [DataType::Int64, DataType::Boolean].iter().find_map(|data_type| class_for(aggregate, data_type));
    match (other, double) {
        (Some(other), Some(double)) if other != double => format!("{other}; DOUBLE {double}"),
        (other, double) => other.or(double).map_or_else(String::new, |class| class.to_string()),
    }
}

/// The class for arguments of this type, if it takes them.
fn class_for(aggregate: &dyn Aggregate, data_type: &DataType) -> Option<EqualityClass> {
    let parameters = aggregate.example_parameters().into_iter().next()?;
    let columns = vec![data_type.clone(); aggregate.columns()];
    let types: Vec<DataType> = columns.into_iter().chain(parameters.iter().map(Parameter::data_type)).collect();
    let coerced = aggregate.coerce(&types).ok()?;
    Some(aggregate.bind(&coerced[..aggregate.columns()], &parameters).ok()?.class())
}
