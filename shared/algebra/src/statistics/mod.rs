//! Moments and what follows from them; histograms.

pub mod covariance;
pub mod histogram;
pub mod moments;
pub mod variance;
