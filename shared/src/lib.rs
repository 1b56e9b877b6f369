//! anabranch-shared
pub mod catalog;
pub mod log;
pub mod partitioner;
pub mod position;
pub mod project;
pub mod realtime;
pub mod aggregate;
pub mod key;
