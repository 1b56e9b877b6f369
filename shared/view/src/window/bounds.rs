use arrow::datatypes::{DataType, TimeUnit};

/// Type of pane starts and window bounds.
pub const WINDOW_TYPE: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Bounds of a window: `[start, end)` in microseconds.
pub type Bounds = (i64, i64);

/// Longest window: a thousand years, so that no bound of a window of a valid event time overflows.
const MAX_SIZE_US: i64 = 1000 * 366 * DAY_US;
pub const DAY_US: i64 = 86_400_000_000;
pub fn checked_size(size_us: i64) -> Result<i64, String> {
    if size_us <= 0 {
        Err("the size must be positive".to_owned())
    } else if size_us > MAX_SIZE_US {
        Err("the size must be at most 1000 years".to_owned())
    } else {
        Ok(size_us)
    }
}
