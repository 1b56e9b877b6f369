//! Estimates from states of bounded size.

pub mod approx_distinct;
pub mod approx_quantile;
pub mod ddsketch;
pub mod hyperloglog;
