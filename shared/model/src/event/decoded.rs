use arrow::array::RecordBatch;

/// Decoded events before they are judged.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// One row per event.
    pub events: RecordBatch,
    /// Event time of each event in microseconds; `None` where it was rejected.
    pub event_times: Vec<Option<i64>>,
    /// Why an event was rejected, by row, ascending.
    pub reasons: Vec<(usize, String)>,
}
