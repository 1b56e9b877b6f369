//! Values as bytes: what aggregates that keep values are made of.

pub mod position;
pub mod rank;
pub mod value;
pub mod value_bytes;
