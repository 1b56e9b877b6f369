//! DataFusion's session for views: Anabranch's aggregates, windows and expressions, and nothing of the outside.

use std::sync::Arc;

use anabranch_algebra::registry;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};

use crate::expression::{self, OnFailure};
use crate::{udaf, window};

/// A session that knows Anabranch's aggregates and windows and nothing of the outside.
pub fn session() -> SessionState {
    let aggregates = registry().into_iter().map(|aggregate| Arc::new(udaf::value_function(aggregate)));
    let builder = SessionStateBuilder::new().with_default_features().with_aggregate_functions(aggregates.collect());
    let mut state = builder.build();
    datafusion_functions_json::register_all(&mut state).expect("registering replaces");
    expression::install(&mut state, OnFailure::Null).expect("registering replaces");
    for function in window::marker_functions() {
        state.register_udf(Arc::new(function)).expect("registering replaces");
    }
    state
}
