//! Variance, covariance, correlation and regression against the textbook's two passes, their stated
//! error bound against exact integers, and SQL's special cases.

use std::sync::Arc;

use anabranch_algebra::named;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use proptest::prelude::*;

/// The aggregate of one group; `None` for NULL.
fn of(name: &str, columns: &[&[Option<f64>]]) -> Option<f64> {
    let aggregate = named(name).unwrap();
    let types = aggregate.coerce(&vec![DataType::Float64; columns.len()]).unwrap();
    let mut states = aggregate.bind(&types, &[]).unwrap().new_states();
    states.grow(1);
    let args: Vec<ArrayRef> =
        columns.iter().map(|column| Arc::new(Float64Array::from(column.to_vec())) as ArrayRef).collect();
    states.lift(&args, &vec![0; columns[0].len()], None);
    let finished = states.finish().unwrap();
    let values = finished.as_primitive::<Float64Type>();
    values.is_valid(0).then(|| values.value(0))
}

fn unary(name: &str, values: &[f64]) -> Option<f64> {
    of(name, &[&present(values)])
}

fn binary(name: &str, y: &[f64], x: &[f64]) -> Option<f64> {
    of(name, &[&present(y), &present(x)])
}

fn present(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sum of the products of the deviations, with the means known beforehand.
fn deviations(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: f64, scale: f64) {
    let found = found.expect("a value");
    assert!((found - expected).abs() <= 1e-9 * scale.max(expected.abs()), "{found} is not {expected}");
}

proptest! {
    #[test]
    fn unary_functions_are_those_of_two_passes(values in prop::collection::vec(-1e6..1e6f64, 2..60)) {
        let n = values.len() as f64;
        let spread = deviations(&values, &values);
        assert_close(unary("var_pop", &values), spread / n, 0.0);
        assert_close(unary("var_samp", &values), spread / (n - 1.0), 0.0);
        assert_close(unary("stddev_pop", &values), (spread / n).sqrt(), 0.0);
        assert_close(unary("stddev_samp", &values), (spread / (n - 1.0)).sqrt(), 0.0);
    }

    #[test]
    fn binary_functions_are_those_of_two_passes(pairs in prop::collection::vec((-1e3..1e3f64, -1e3..1e3f64), 2..60)) {
        let (y, x): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let n = x.len() as f64;
        let (joint, spread_y, spread_x) = (deviations(&y, &x), deviations(&y, &y), deviations(&x, &x));
        let scale = (spread_x * spread_y).sqrt();
        assert_close(binary("covar_pop", &y, &x), joint / n, scale / n);
        assert_close(binary("covar_samp", &y, &x), joint / (n - 1.0), scale / (n - 1.0));
        assert_close(binary("corr", &y, &x), joint / scale, 1.0);
        let slope = joint / spread_x;
        assert_close(binary("regr_slope", &y, &x), slope, (spread_y / spread_x).sqrt());
        assert_close(binary("regr_intercept", &y, &x), mean(&y) - slope * mean(&x), 1e3 + 1e3 * slope.abs());
    }

    /// However much cancels: 50-bit integers that differ in as few bits as may be.
    #[test]
    fn the_stated_error_bound_holds(
        base in 0..1i64 << 50, width in 0u32..50, offsets in prop::collection::vec(any::<i64>(), 2..40),
    ) {
        let values: Vec<i128> = offsets.iter().map(|offset| i128::from(base + (offset & ((1 << width) - 1)))).collect();
        let n = values.len() as i128;
        let exact = n * values.iter().map(|v| v * v).sum::<i128>() - values.iter().sum::<i128>().pow(2);
        let exact = exact as f64 / (n * (n - 1)) as f64;
        let doubles: Vec<f64> = values.iter().map(|v| *v as f64).collect();
        let largest = doubles.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
        let bound = largest * largest * 0.5f64.powi(75) + 3.0 * f64::EPSILON * exact;
        let found = unary("var_samp", &doubles).unwrap();
        prop_assert!((found - exact).abs() <= bound, "{} is not {} within {}", found, exact, bound);
    }

    #[test]
    fn a_constant_has_no_deviation(value in any::<f64>().prop_filter("finite square", |v| v.abs() < 1e150), n in 2usize..40) {
        let constant = vec![value; n];
        let line: Vec<f64> = (0..n).map(|i| i as f64).collect();
        prop_assert_eq!(unary("var_samp", &constant), Some(0.0));
        prop_assert_eq!(binary("covar_pop", &line, &constant), Some(0.0));
        prop_assert_eq!(binary("corr", &line, &constant), None);
        prop_assert_eq!(binary("regr_slope", &line, &constant), None);
        prop_assert_eq!(binary("regr_intercept", &line, &constant), None);
        prop_assert_eq!(binary("regr_slope", &constant, &line), Some(0.0));
    }
}

#[test]
fn cancellation_leaves_every_digit() {
    let values = [4.0, 7.0, 13.0, 16.0].map(|v| v + 1e9);
    assert_eq!(unary("var_samp", &values), Some(30.0));
    assert_eq!(unary("var_pop", &values), Some(22.5));
    assert_eq!(unary("stddev_pop", &values), Some(22.5f64.sqrt()));
}

#[test]
fn a_line_is_found_exactly() {
    let x: Vec<f64> = (0..20).map(|i| 1e9 + f64::from(i)).collect();
    let y: Vec<f64> = x.iter().map(|x| 3.0 - 2.0 * x).collect();
    assert_eq!(binary("regr_slope", &y, &x), Some(-2.0));
    assert_eq!(binary("regr_intercept", &y, &x), Some(3.0));
    assert_eq!(binary("corr", &y, &x), Some(-1.0));
    assert_eq!(binary("covar_pop", &y, &x), Some(-2.0 * unary("var_pop", &x).unwrap()));
}

#[test]
fn too_few_values_are_null() {
    let population = ["var_pop", "stddev_pop"];
    let sample = ["var_samp", "stddev_samp", "var", "stddev"];
    for name in population.iter().chain(&sample) {
        assert_eq!(unary(name, &[]), None, "{name}");
        assert_eq!(of(name, &[&[None, None]]), None, "{name}");
    }
    population.iter().for_each(|name| assert_eq!(unary(name, &[5.0]), Some(0.0), "{name}"));
    sample.iter().for_each(|name| assert_eq!(unary(name, &[5.0]), None, "{name}"));
    assert_eq!(binary("covar_pop", &[5.0], &[6.0]), Some(0.0));
    for name in ["covar_samp", "covar", "corr", "regr_slope", "regr_intercept"] {
        assert_eq!(binary(name, &[], &[]), None, "{name}");
        assert_eq!(binary(name, &[5.0], &[6.0]), None, "{name}");
    }
}

#[test]
fn rows_with_a_null_are_left_out() {
    let y = [Some(1.0), Some(100.0), None, Some(3.0)];
    let x = [Some(1.0), None, Some(100.0), Some(2.0)];
    assert_eq!(of("covar_samp", &[&y, &x]), Some(1.0));
    assert_eq!(of("regr_slope", &[&y, &x]), Some(2.0));
    assert_eq!(of("regr_intercept", &[&y, &x]), Some(-1.0));
}

#[test]
fn what_is_not_finite_makes_not_a_number() {
    for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e200] {
        for name in ["var_pop", "var_samp", "stddev_pop", "stddev_samp"] {
            assert!(unary(name, &[1.0, special, 2.0]).unwrap().is_nan(), "{name} {special}");
        }
        for name in ["covar_pop", "covar_samp", "corr", "regr_slope", "regr_intercept"] {
            assert!(binary(name, &[1.0, special, 2.0], &[1.0, 2.0, 3.0]).unwrap().is_nan(), "{name} {special}");
            assert!(binary(name, &[1.0, 2.0, 3.0], &[1.0, special, 2.0]).unwrap().is_nan(), "{name} {special}");
        }
    }
    assert!(unary("var_pop", &[f64::NAN]).unwrap().is_nan());
    assert_eq!(unary("var_samp", &[f64::NAN]), None);
}
