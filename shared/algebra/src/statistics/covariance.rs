//! Covariance, correlation and linear regression of pairs of numbers.

use std::marker::PhantomData;

use crate::statistics::moments::{BinaryMoments, Population, Statistic, Statistical};
use crate::sums::double_double::DoubleDouble;

/// Population covariance of two columns of numbers as DOUBLE, over the rows in which neither is
/// NULL: 0 for one row, NULL if there is none, NaN if a value is not finite or a product overflows.
/// Error at most 2^-75 of the product of the largest magnitudes, and two units in the last place.
pub const COVAR_POP: Statistical<CovarPop> = Statistical(PhantomData);
/// Sample covariance: NULL for fewer than two rows, otherwise as `covar_pop`.
pub const COVAR_SAMP: Statistical<CovarSamp> = Statistical(PhantomData);
/// Pearson's correlation, from -1 to 1: NULL for fewer than two rows or if a column has no
/// deviation, NaN as `covar_pop`. A quotient of one covariance and two variances, each with its error.
pub const CORR: Statistical<Corr> = Statistical(PhantomData);
/// Slope of the least-squares line through the points (x, y): NULL for fewer than two rows or if x
/// has no deviation, NaN as `covar_pop`. A quotient of a covariance and a variance, each with its error.
pub const REGR_SLOPE: Statistical<RegrSlope> = Statistical(PhantomData);
/// Where the least-squares line through the points (x, y) meets x = 0: NULL and NaN as `regr_slope`.
pub const REGR_INTERCEPT: Statistical<RegrIntercept> = Statistical(PhantomData);

fn covariance(moments: &BinaryMoments, population: Population) -> Option<f64> {
    moments.pairs(population).map(|pairs| moments.joint().value() / pairs)
}

#[derive(Clone, Debug)]
pub struct CovarPop;

impl Statistic for CovarPop {
    const NAME: &'static str = "covar_pop";
    const USAGE: &'static str = "covar_pop(y, x)";
    const GIVES: &'static str = "population covariance";
    type Moments = BinaryMoments;

    fn of(moments: &BinaryMoments) -> Option<f64> {
        covariance(moments, Population::Whole)
    }
}

#[derive(Clone, Debug)]
pub struct CovarSamp;

impl Statistic for CovarSamp {
    const NAME: &'static str = "covar_samp";
    const USAGE: &'static str = "covar_samp(y, x)";
    const GIVES: &'static str = "sample covariance; NULL for one row";
    const ALIASES: &'static [&'static str] = &["covar"];
    type Moments = BinaryMoments;

    fn of(moments: &BinaryMoments) -> Option<f64> {
        covariance(moments, Population::Sample)
    }
}

#[derive(Clone, Debug)]
pub struct Corr;

impl Statistic for Corr {
    const NAME: &'static str = "corr";
    const USAGE: &'static str = "corr(y, x)";
    const GIVES: &'static str = "Pearson's correlation, from -1 to 1";
    type Moments = BinaryMoments;

    fn of(moments: &BinaryMoments) -> Option<f64> {
        let [y, x] = [moments.spread_y(), moments.spread_x()].map(DoubleDouble::value);
        let exists = moments.count() > 1 && y != 0.0 && x != 0.0;
        exists.then(|| (moments.joint().value() / geometric_mean(y, x)).clamp(-1.0, 1.0))
    }
}

/// `sqrt(a * b)`; one root loses less than two, but its product may leave the range of a double.
fn geometric_mean(a: f64, b: f64) -> f64 {
    let product = a * b;
    if product.is_normal() { product.sqrt() } else { a.sqrt() * b.sqrt() }
}

/// The slope in full precision, if there is one.
fn slope(moments: &BinaryMoments) -> Option<DoubleDouble> {
    let spread = moments.spread_x();
    let exists = moments.count() > 1 && spread.value() != 0.0;
    exists.then(|| moments.joint() / spread)
}

#[derive(Clone, Debug)]
pub struct RegrSlope;

impl Statistic for RegrSlope {
    const NAME: &'static str = "regr_slope";
    const USAGE: &'static str = "regr_slope(y, x)";
    const GIVES: &'static str = "slope of the least-squares line";
    type Moments = BinaryMoments;

    fn of(moments: &BinaryMoments) -> Option<f64> {
        slope(moments).map(DoubleDouble::value)
    }
}

#[derive(Clone, Debug)]
pub struct RegrIntercept;

impl Statistic for RegrIntercept {
    const NAME: &'static str = "regr_intercept";
    const USAGE: &'static str = "regr_intercept(y, x)";
    const GIVES: &'static str = "where the least-squares line meets x = 0";
    type Moments = BinaryMoments;

    fn of(moments: &BinaryMoments) -> Option<f64> {
        let n = DoubleDouble::from(moments.count());
        slope(moments).map(|slope| ((moments.sum_y() - slope * moments.sum_x()) / n).value())
    }
}
