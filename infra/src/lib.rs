//! Real Kafka and Redis servers for tests, benchmarks and development: one process each, on free loopback ports, with
//! data that goes away with them.
//!
//! [`Kafka::start`] and [`Redis::start`] return when the server answers. What this machine lacks is fetched by
//! `infra/install`; what cannot be had is an error, never a skipped test. Clients for the servers stay out of here.

mod error;
mod install;
mod kafka;
mod keeper;
mod port;
mod redis;
mod server;

pub use error::InfraError;
pub use kafka::Kafka;
pub use redis::Redis;
