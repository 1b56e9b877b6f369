//! The order that positional aggregates go by.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};

use crate::codec::{Reader, StateError, put_count};

/// An event's place among all others: by event time, then partition, then offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Event time in microseconds.
    pub time: i64,
    pub partition: i32,
    pub offset: i64,
}

impl Position {
    /// Appends the position, its time as the distance from `before` (microseconds), modulo 2^64.
    pub fn put_after(&self, before: i64, out: &mut Vec<u8>) {
        put_count(out, self.time.wrapping_sub(before) as u64);
        put_count(out, u64::from(self.partition as u32));
        put_count(out, self.offset as u64);
    }

    /// Reads what [`Position::put_after`] wrote.
    pub fn read_after(before: i64, bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let time = before.wrapping_add(bytes.count()? as i64);
        let partition = u32::try_from(bytes.count()?).map_err(|_| StateError::Invalid("a partition is too large"))?;
        Ok(Self { time, partition: partition as i32, offset: bytes.count()? as i64 })
    }
}

/// The positions of the rows: the last three arguments of a positional aggregate.
pub struct Positions<'a> {
    times: &'a [i64],
    partitions: &'a [i32],
    offsets: &'a [i64],
}

impl<'a> Positions<'a> {
    pub fn new(args: &'a [ArrayRef]) -> Self {
        let [.., times, partitions, offsets] = args else { panic!("a positional aggregate is given positions") };
        Self {
            times: times.as_primitive::<TimestampMicrosecondType>().values(),
            partitions: partitions.as_primitive::<Int32Type>().values(),
            offsets: offsets.as_primitive::<Int64Type>().values(),
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Position {
        Position { time: self.times[row], partition: self.partitions[row], offset: self.offsets[row] }
    }
}
