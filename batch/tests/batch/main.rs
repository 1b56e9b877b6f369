//! The batch layer against the embedded log, store and catalog.

mod archive;
mod oracle;
mod publish;
mod recompute;
mod reference;
mod scripted_log;
mod views;
mod world;
