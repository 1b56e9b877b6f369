//! Variance and standard deviation.

use std::marker::PhantomData;

use crate::statistics::moments::{Population, Statistic, Statistical, UnaryMoments};

/// Population variance of numbers as DOUBLE: 0 for one value, NULL if there is none, NaN if one is
/// not finite or a square overflows. Never negative; error at most 2^-75 of the largest square, and
/// two units in the last place.
pub const VAR_POP: Statistical<VarPop> = Statistical(PhantomData);
/// Sample variance of numbers as DOUBLE: NULL for fewer than two values, otherwise as `var_pop`.
pub const VAR_SAMP: Statistical<VarSamp> = Statistical(PhantomData);
/// Population standard deviation, the square root of `var_pop`, rounded once more.
pub const STDDEV_POP: Statistical<StddevPop> = Statistical(PhantomData);
/// Sample standard deviation, the square root of `var_samp`, rounded once more.
pub const STDDEV_SAMP: Statistical<StddevSamp> = Statistical(PhantomData);

fn variance(moments: &UnaryMoments, population: Population) -> Option<f64> {
    moments.pairs(population).map(|pairs| moments.spread().value() / pairs)
}

#[derive(Clone, Debug)]
pub struct VarPop;

impl Statistic for VarPop {
    const NAME: &'static str = "var_pop";
    const USAGE: &'static str = "var_pop(x)";
    const GIVES: &'static str = "population variance";
    const ALIASES: &'static [&'static str] = &["var_population"];
    type Moments = UnaryMoments;

    fn of(moments: &UnaryMoments) -> Option<f64> {
        variance(moments, Population::Whole)
    }
}

#[derive(Clone, Debug)]
pub struct VarSamp;

impl Statistic for VarSamp {
    const NAME: &'static str = "var_samp";
    const USAGE: &'static str = "var_samp(x)";
    const GIVES: &'static str = "sample variance; NULL for one value";
    const ALIASES: &'static [&'static str] = &["var", "var_sample"];
    type Moments = UnaryMoments;

    fn of(moments: &UnaryMoments) -> Option<f64> {
        variance(moments, Population::Sample)
    }
}

#[derive(Clone, Debug)]
pub struct StddevPop;

impl Statistic for StddevPop {
    const NAME: &'static str = "stddev_pop";
    const USAGE: &'static str = "stddev_pop(x)";
    const GIVES: &'static str = "population standard deviation";
    type Moments = UnaryMoments;

    fn of(moments: &UnaryMoments) -> Option<f64> {
        variance(moments, Population::Whole).map(f64::sqrt)
    }
}

#[derive(Clone, Debug)]
pub struct StddevSamp;

impl Statistic for StddevSamp {
    const NAME: &'static str = "stddev_samp";
    const USAGE: &'static str = "stddev_samp(x)";
    const GIVES: &'static str = "sample standard deviation; NULL for one value";
    const ALIASES: &'static [&'static str] = &["stddev"];
    type Moments = UnaryMoments;

    fn of(moments: &UnaryMoments) -> Option<f64> {
        variance(moments, Population::Sample).map(f64::sqrt)
    }
}
