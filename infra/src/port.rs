use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::InfraError;

/// Below the range from which the kernel takes ports for outgoing connections. Inside it, a client that keeps dialling a
/// killed server can be given that server's port as its own, connect to itself, and so keep the server from coming back.
const FIRST: u32 = 16_000;
const COUNT: u32 = 16_000;
/// Processes that run side by side begin in blocks of their own.
const BLOCK: u32 = 64;
const ATTEMPTS: usize = 3;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// A loopback port that nobody listens on; no two calls in one process give the same one soon.
pub(crate) fn free() -> u16 {
    (0..COUNT)
        .map(|_| next())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of 16000 loopback ports is free")
}

fn next() -> u16 {
    let start = process::id().wrapping_mul(BLOCK);
    let offset = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
    (FIRST + offset) as u16
}

/// Runs `start`, which chooses its ports, again when another process was faster.
pub(crate) fn retry_when_taken<T>(start: impl Fn() -> Result<T, InfraError>) -> Result<T, InfraError> {
    let mut outcome = start();
    for _ in 1..ATTEMPTS {
        match &outcome {
            Err(error) if error.is_port_taken() => outcome = start(),
            _ => break,
        }
    }
    outcome
}
