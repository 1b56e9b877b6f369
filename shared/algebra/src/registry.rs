//! Every aggregate by name.

use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::bitwise;
use crate::collections::{array_agg, count_distinct, top_k};
use crate::extremes::{arg_extreme, first_last, min_max};
use crate::sketches::{approx_distinct, approx_quantile};
use crate::statistics::{covariance, histogram, variance};
use crate::sums::{avg, count, sum};

/// Every aggregate that SQL can name.
pub fn registry() -> Vec<Arc<dyn Aggregate>> {
    vec![
        Arc::new(count::Count),
        Arc::new(sum::Sum),
        Arc::new(avg::Avg),
        Arc::new(min_max::MIN),
        Arc::new(min_max::MAX),
        Arc::new(count_distinct::CountDistinct),
        Arc::new(top_k::TopK),
        Arc::new(histogram::Histogram),
        Arc::new(array_agg::ArrayAgg),
        Arc::new(first_last::FIRST_VALUE),
        Arc::new(first_last::LAST_VALUE),
        Arc::new(arg_extreme::ARG_MIN),
        Arc::new(arg_extreme::ARG_MAX),
        Arc::new(bitwise::BOOL_AND),
        Arc::new(bitwise::BOOL_OR),
        Arc::new(bitwise::BIT_AND),
        Arc::new(bitwise::BIT_OR),
        Arc::new(bitwise::BIT_XOR),
        Arc::new(approx_distinct::ApproxDistinct),
        Arc::new(approx_quantile::ApproxQuantile),
        Arc::new(approx_quantile::ApproxMedian),
        Arc::new(variance::VAR_POP),
        Arc::new(variance::VAR_SAMP),
        Arc::new(variance::STDDEV_POP),
        Arc::new(variance::STDDEV_SAMP),
        Arc::new(covariance::COVAR_POP),
        Arc::new(covariance::COVAR_SAMP),
        Arc::new(covariance::CORR),
        Arc::new(covariance::REGR_SLOPE),
        Arc::new(covariance::REGR_INTERCEPT),
    ]
}

/// The aggregate with this name or alias.
pub fn named(name: &str) -> Option<Arc<dyn Aggregate>> {
    registry().into_iter().find(|aggregate| aggregate.name() == name || aggregate.aliases().contains(&name))
}
