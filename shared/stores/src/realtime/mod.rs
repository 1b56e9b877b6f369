//! The real-time store: embedded in this process, or Redis.

mod embedded;
mod redis;
mod stored;

pub use embedded::EmbeddedStore;
pub use redis::RedisStore;
