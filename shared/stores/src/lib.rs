//! Where Anabranch keeps things: the implementations of the traits that `anabranch-model` defines.
//!
//! | trait | embedded, one process | servers, many processes |
//! |---|---|---|
//! | [`Log`](anabranch_model::log::Log) | [`EmbeddedLog`] | [`KafkaLog`] |
//! | [`RealtimeStore`](anabranch_model::realtime::RealtimeStore) | [`EmbeddedStore`] | [`RedisStore`] |
//! | [`CatalogStore`](anabranch_model::catalog::CatalogStore) | [`ObjectCatalog`] on a folder | the same on a shared one |
//! | [`SpeedReports`](anabranch_model::stall::SpeedReports) | [`ObjectReports`] on a folder | |
//! | [`ReferenceStore`](anabranch_model::reference::ReferenceStore) | [`ReferenceFiles`] | |
//!
//! Both columns pass the same contract tests. What events, states and records mean stays out of here: to a store they are
//! bytes with a position.

pub mod catalog;
mod file;
pub mod log;
pub mod realtime;
pub mod reference;
mod speed_reports;

pub use catalog::ObjectCatalog;
pub use log::{EmbeddedLog, KafkaLog};
pub use realtime::{EmbeddedStore, RedisStore};
pub use reference::ReferenceFiles;
pub use speed_reports::ObjectReports;
