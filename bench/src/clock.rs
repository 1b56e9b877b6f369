//! Wall and processor time of this process, and medians.

use std::time::Instant;

use anyhow::Context;

/// Kernel ticks per second in `/proc`; fixed at 100 in Linux's user interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// Time spent on something, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub wall: f64,
    /// User and system time of all threads.
    pub cpu: f64,
}

/// A running measurement.
pub struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { wall: Instant::now(), cpu: cpu_seconds()? })
    }

    pub fn stop(self) -> anyhow::Result<Spent> {
        Ok(Spent { wall: self.wall.elapsed().as_secs_f64(), cpu: cpu_seconds()? - self.cpu })
    }
}

fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the command in parentheses and may hold spaces.
    let fields: Vec<&str> =
        stat.rsplit_once(')').context("no command in /proc/self/stat")?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).context("no times");
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// The median and the smallest of some ratios.
pub fn median_and_worst(mut ratios: Vec<f64>) -> (f64, f64) {
    ratios.sort_by(f64::total_cmp);
    (ratios[ratios.len() / 2], ratios[0])
}
