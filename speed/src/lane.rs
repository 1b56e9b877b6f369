//! Lanes: readers of one topic, each with the slots that stand where it reads.
//!
//! The slots of all views that stand at one offset share a lane, so an event is decoded once for
//! all of them. A generation that has to catch up from its cut gets a lane of its own beside the
//! live one; where it meets another lane, its slots change over and its reading ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anabranch_model::cut::CutPoint;
use anabranch_model::log::{Chunk, Log, LogError, LogReader};
use anabranch_model::position::{Generation, Offset, Partition};

use crate::slot::SlotFold;

/// A reader and the slots that it feeds, by partition. All slots of a partition stand at the same
/// point, which is where the reader goes on.
pub struct Lane {
    reader: Box<dyn LogReader>,
    pub slots: BTreeMap<Partition, Vec<SlotFold>>,
}

impl Lane {
    /// Waits at most `wait` for events; chunks of partitions that this lane has left are dropped.
    pub fn poll(&mut self, max_events: usize, wait: Duration) -> Result<Vec<Chunk>, LogError> {
        let mut chunks = self.reader.poll(max_events, wait)?;
        chunks.retain(|chunk| self.slots.contains_key(&chunk.partition));
        Ok(chunks)
    }

    /// Where the lane goes on in a partition.
    pub fn point(&self, partition: Partition) -> Option<CutPoint> {
        Some(self.slots.get(&partition)?.first()?.point())
    }

    /// Takes a partition out of the lane.
    fn leave(&mut self, partition: Partition) -> Result<Vec<SlotFold>, LogError> {
        self.reader.pause(partition)?;
        Ok(self.slots.remove(&partition).unwrap_or_default())
    }

    /// Drops the slots for which `keep` is false, and partitions that are left without any.
    pub fn retain(&mut self, keep: impl Fn(&SlotFold) -> bool) -> Result<(), LogError> {
        self.slots.values_mut().for_each(|slots| slots.retain(&keep));
        let empty: Vec<Partition> = self.slots.iter().filter(|(_, slots)| slots.is_empty()).map(|(p, _)| *p).collect();
        empty.into_iter().try_for_each(|partition| self.leave(partition).map(|_| ()))
    }
}

/// All lanes of a source.
#[derive(Default)]
pub struct Lanes {
    pub lanes: Vec<Lane>,
    /// Generations that are folded no further: candidates that cannot catch up, because the log no longer has what they need, and
    /// those whose SQL failed on an event.
    pub given_up: BTreeSet<(String, Generation)>,
}

impl Lanes {
    /// Gives each slot a place: in a lane that stands at its offset, else in a new lane.
    pub async fn place(&mut self, log: &dyn Log, topic: &str, slots: Vec<SlotFold>) -> Result<(), LogError> {
        let mut planned: Vec<BTreeMap<Partition, Vec<SlotFold>>> = Vec::new();
        for slot in slots {
            let partition = slot.slot.partition;
            if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.point(partition) == Some(slot.point())) {
                lane.slots.entry(partition).or_default().push(slot);
                continue;
            }
            let fits = |lane: &&mut BTreeMap<Partition, Vec<SlotFold>>| {
                lane.get(&partition).is_none_or(|slots| slots[0].next() == slot.next())
            };
            match planned.iter_mut().find(fits) {
                Some(lane) => lane.entry(partition).or_default().push(slot),
                None => planned.push(BTreeMap::from([(partition, vec![slot])])),
            }
        }
        for slots in planned {
            let from: BTreeMap<Partition, Offset> = slots.iter().map(|(p, slots)| (*p, slots[0].next())).collect();
            self.lanes.push(Lane { reader: log.reader(topic, &from).await?, slots });
        }
        Ok(())
    }

    /// The nearest offset ahead of `next` at which another lane stands in this partition.
    pub fn meeting_point(&self, lane: usize, partition: Partition, next: Offset) -> Option<Offset> {
        let others = self.lanes.iter().enumerate().filter(|(index, _)| *index != lane);
        others.filter_map(|(_, other)| Some(other.point(partition)?.next)).filter(|other| *other > next).min()
    }

    /// Moves the slots of `lane` in `partition` to another lane that stands at the same offset.
    pub fn join(&mut self, lane: usize, partition: Partition) -> Result<(), LogError> {
        let Some(point) = self.lanes[lane].point(partition) else { return Ok(()) };
        let meets = |(index, other): (usize, &Lane)| {
            let at = other.point(partition)?;
            (index != lane && at.next == point.next).then_some((index, at))
        };
        let Some((other, at)) = self.lanes.iter().enumerate().find_map(meets) else { return Ok(()) };
        assert_eq!(at, point, "lateness is a function of the log, so it is equal at equal offsets");
        let slots = self.lanes[lane].leave(partition)?;
        self.lanes[other].slots.get_mut(&partition).expect("the lane stands in this partition").extend(slots);
        Ok(())
    }

    /// Ends lanes that feed nobody.
    pub fn sweep(&mut self) {
        self.lanes.retain(|lane| !lane.slots.is_empty());
    }

    /// Every slot of every lane.
    pub fn slots(&self) -> impl Iterator<Item = &SlotFold> {
        self.lanes.iter().flat_map(|lane| lane.slots.values().flatten())
    }

    /// Every slot of every lane.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = &mut SlotFold> {
        self.lanes.iter_mut().flat_map(|lane| lane.slots.values_mut().flatten())
    }
}

/// Cuts off the events at and above `end`; they belong to the lane that stands there.
pub fn truncate(chunk: Chunk, end: Offset) -> Chunk {
    if chunk.next <= end {
        return chunk;
    }
    let mut head = Chunk::empty(chunk.partition, end);
    for index in (0..chunk.len()).take_while(|index| chunk.offsets[*index] < end.0) {
        head.push(chunk.offsets[index], chunk.timestamps_ms[index], chunk.payload(index));
    }
    head.next = end;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_cut_off_exactly_where_another_lane_stands() {
        let mut chunk = Chunk::empty(Partition(0), Offset(0));
        [3, 4, 7].iter().for_each(|offset| chunk.push(*offset, 0, b"{}"));
        let cut = |end| {
            let head = truncate(chunk.clone(), Offset(end));
            (head.offsets, head.next.0)
        };
        assert_eq!(cut(9), (vec![3, 4, 7], 8));
        assert_eq!(cut(8), (vec![3, 4, 7], 8));
        assert_eq!(cut(7), (vec![3, 4], 7));
        assert_eq!(cut(6), (vec![3, 4], 6), "a gap does not move the meeting point");
        assert_eq!(cut(3), (vec![], 3));
    }
}
