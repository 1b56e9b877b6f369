//! The API over the real embedded stores, a Delta table and a real log, called without a socket.

mod admin;
mod auth;
mod count_trigger;
mod coverage;
mod expressions;
mod extremes;
mod ingest;
mod overflow;
mod page;
mod paging;
mod rows;
mod sql;
mod swap;
mod turns;
mod windows;
mod world;
