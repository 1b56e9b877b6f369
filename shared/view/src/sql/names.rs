//! What SQL can name: DataFusion's planner asks here for the source and the functions.

use std::sync::Arc;

use anabranch_model::archive::input_schema;
use anabranch_model::project::Source;
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result as PlanResult, TableReference, plan_err};
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::planner::ParserOptions;

/// A number with a point is exact, as in standard SQL; [`super::literals::rewrite_literals`] has those with an exponent.
pub(super) fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_collect_spans(true)
        .with_map_string_types_to_utf8view(false)
        .with_parse_float_as_decimal(true)
}

/// DataFusion's planner needs a session for names and functions.
pub(super) struct Names<'a> {
    pub state: &'a SessionState,
    pub source: &'a Source,
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        if name.table() != self.source.name {
            return plan_err!("unknown source '{name}'");
        }
        Ok(provider_as_source(Arc::new(EmptyTable::new(input_schema(self.source)))))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.udf(name).ok()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.udaf(name).ok()
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.udfs().into_iter().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.udafs().into_iter().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
