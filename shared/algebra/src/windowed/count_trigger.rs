//! A count trigger as a partial state: a group's answer moves with every N-th of its events.
//!
//! Which event is the N-th has to be a function of the log, and the log orders the events of one
//! partition only. So the events of a group are counted in each partition by itself, in the order of
//! their offsets, and the answer is made of the first N, 2N, 3N ... of each. A partition's share of a
//! state is what its events come to, but for the last N - 1 of them, whose states are kept one by one:
//! later events decide whether they are among the first 2N or not yet, and events that another state
//! has seen may lie between them. The last N - 1 of a union are among the last N - 1 of its parts, so
//! these are a commutative monoid like every other state, across chunks, partitions and the cut.

use std::any::Any;
use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, BinaryArray, BooleanArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};

use crate::aggregate::{BoundAggregate, EqualityClass, FinishError, States};
use crate::codec::{Reader, StateError, put_bytes, put_count, put_len};
use crate::windowed::parts::{Parts, encoded};

const NAME: &str = "count trigger";
const VERSION: u8 = 1;

/// All aggregates of a view with a count trigger, as one. The arguments of [`States::lift`] are the
/// event's partition (INT) and offset (BIGINT), then those of [`Parts`].
#[derive(Clone, Debug)]
pub struct CountTrigger {
    every: usize,
    parts: Parts,
}

/// A group's events in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Arrivals {
    count: u64,
    /// The row of states of all but the last events, if there are others.
    settled: Option<Vec<u8>>,
    /// Offsets and rows of states of the last N - 1 events, ascending.
    last: Vec<(i64, Vec<u8>)>,
}

impl Arrivals {
    /// Memory held, in bytes; 0 before the first event.
    fn size(&self) -> usize {
        if self.count == 0 {
            return 0;
        }
        let last: usize = self.last.iter().map(|(_, row)| size_of::<(i64, Vec<u8>)>() + row.len()).sum();
        size_of::<Self>() + self.settled.as_ref().map_or(0, Vec::len) + last
    }
}

/// A group's events by partition.
type Group = BTreeMap<i32, Arrivals>;

impl CountTrigger {
    /// Fires with every `every`-th event, at least 1.
    pub fn new(every: usize, parts: Parts) -> Self {
        Self { every, parts }
    }

    /// What a group's answer is made of: the row of states of the events up to where each partition
    /// has fired, or none if no partition has.
    pub fn fired(&self, encoded: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let group = self.decode(encoded)?;
        let rows: Vec<&[u8]> = group.values().flat_map(|arrivals| self.fired_rows(arrivals)).collect();
        if rows.is_empty() { Ok(None) } else { self.parts.merged(rows).map(Some) }
    }

    fn fired_rows<'a>(&self, arrivals: &'a Arrivals) -> impl Iterator<Item = &'a [u8]> {
        let waiting = (arrivals.count % self.every as u64) as usize;
        let fired = &arrivals.last[..arrivals.last.len() - waiting];
        arrivals.settled.as_deref().into_iter().chain(fired.iter().map(|(_, row)| row.as_slice()))
    }

    /// How many of so many events are kept one by one.
    fn kept(&self, count: u64) -> usize {
        usize::try_from(count).unwrap_or(usize::MAX).min(self.every - 1)
    }

    fn merge(&self, into: &mut Arrivals, other: Arrivals) -> Result<(), StateError> {
        into.count = into.count.saturating_add(other.count);
        into.last.extend(other.last);
        into.last.sort_unstable();
        let settling = into.last.len() - self.kept(into.count);
        let settled = into.settled.iter().chain(&other.settled);
        let rows: Vec<&[u8]> =
            settled.chain(into.last[..settling].iter().map(|(_, row)| row)).map(Vec::as_slice).collect();
        into.settled = match rows.as_slice() {
            [] => None,
            [row] => Some(row.to_vec()),
            rows => Some(self.parts.merged(rows.iter().copied())?),
        };
        into.last.drain(..settling);
        Ok(())
    }

    fn encode(&self, group: &Group, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_len(out, group.len());
        for (partition, arrivals) in group {
            put_count(out, u64::from(*partition as u32));
            put_count(out, arrivals.count);
            if let Some(settled) = &arrivals.settled {
                put_bytes(out, settled);
            }
            for (offset, row) in &arrivals.last {
                put_count(out, *offset as u64);
                put_bytes(out, row);
            }
        }
    }

    fn decode(&self, encoded: &[u8]) -> Result<Group, StateError> {
        let mut bytes = Reader::new(encoded);
        let found = bytes.u8()?;
        if found != VERSION {
            return Err(StateError::Version { aggregate: NAME, found, expected: VERSION });
        }
        let mut group = Group::new();
        for _ in 0..bytes.length()? {
            let partition =
                i32::try_from(bytes.count()?).map_err(|_| StateError::Invalid("a partition is too large"))?;
            if group.last_key_value().is_some_and(|(before, _)| *before >= partition) {
                return Err(StateError::Invalid("partitions are not in order"));
            }
            group.insert(partition, self.decode_arrivals(&mut bytes)?);
        }
        bytes.end()?;
        Ok(group)
    }

    fn decode_arrivals(&self, bytes: &mut Reader<'_>) -> Result<Arrivals, StateError> {
        let count = bytes.count()?;
        let kept = self.kept(count);
        if count == 0 {
            return Err(StateError::Invalid("a partition without events"));
        }
        let settled = if count > kept as u64 { Some(self.parts.checked(bytes.bytes()?)?) } else { None };
        let mut last: Vec<(i64, Vec<u8>)> = Vec::new();
        for _ in 0..kept {
            let offset = i64::try_from(bytes.count()?).map_err(|_| StateError::Invalid("an offset is too large"))?;
            if last.last().is_some_and(|(before, _)| *before >= offset) {
                return Err(StateError::Invalid("offsets are not in order"));
            }
            last.push((offset, self.parts.checked(bytes.bytes()?)?));
        }
        Ok(Arrivals { count, settled, last })
    }
}

impl BoundAggregate for CountTrigger {
    fn name(&self) -> &'static str {
        NAME
    }

    /// The encoded state: what it comes to is put together at read (`anabranch_view::windows`).
    fn return_type(&self) -> DataType {
        DataType::Binary
    }

    fn class(&self) -> EqualityClass {
        self.parts.class()
    }

    fn version(&self) -> u8 {
        VERSION
    }

    fn new_states(&self) -> Box<dyn States> {
        Box::new(TriggerStates { trigger: self.clone(), groups: Vec::new(), heap: 0 })
    }
}

#[derive(Debug)]
struct TriggerStates {
    trigger: CountTrigger,
    groups: Vec<Group>,
    /// Memory behind the groups, in bytes.
    heap: usize,
}

impl TriggerStates {
    fn add(&mut self, group: usize, partition: i32, arrivals: Arrivals) -> Result<(), StateError> {
        let into = self.groups[group].entry(partition).or_default();
        self.heap -= into.size();
        let merged = self.trigger.merge(into, arrivals);
        self.heap += into.size();
        merged
    }
}

impl States for TriggerStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.groups.len() {
            self.groups.resize_with(groups, Group::new);
        }
    }

    fn lift(&mut self, args: &[ArrayRef], groups: &[usize], _filter: Option<&BooleanArray>) {
        let partitions = args[0].as_primitive::<Int32Type>().values();
        let offsets = args[1].as_primitive::<Int64Type>().values();
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_unstable_by_key(|row| (groups[*row], partitions[*row], offsets[*row]));
        let runs: Vec<&[usize]> =
            order.chunk_by(|a, b| (groups[*a], partitions[*a]) == (groups[*b], partitions[*b])).collect();
        // Of each run, all but the last events have a state in common, and each of the last its own.
        let (mut state_of_row, mut count) = (vec![0; groups.len()], 0);
        for run in &runs {
            let settling = run.len() - self.trigger.kept(run.len() as u64);
            run[..settling].iter().for_each(|row| state_of_row[*row] = count);
            count += usize::from(settling > 0);
            for row in &run[settling..] {
                state_of_row[*row] = count;
                count += 1;
            }
        }
        let states = self.trigger.parts.lift(&args[2..], &state_of_row, count);
        for run in runs {
            let settling = run.len() - self.trigger.kept(run.len() as u64);
            let row_of = |row: usize| encoded(&states, state_of_row[row]);
            let arrivals = Arrivals {
                count: run.len() as u64,
                settled: (settling > 0).then(|| row_of(run[0])),
                last: run[settling..].iter().map(|row| (offsets[*row], row_of(*row))).collect(),
            };
            self.add(groups[run[0]], partitions[run[0]], arrivals).expect("states that were just encoded can be read");
        }
    }

    fn merge_one(&mut self, encoded: &[u8], group: usize) -> Result<(), StateError> {
        for (partition, arrivals) in self.trigger.decode(encoded)? {
            self.add(group, partition, arrivals)?;
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn encode(&self, group: usize, out: &mut Vec<u8>) {
        self.trigger.encode(&self.groups[group], out);
    }

    fn finish(&self) -> Result<ArrayRef, FinishError> {
        let encoded = |group: &Group| {
            let mut bytes = Vec::new();
            self.trigger.encode(group, &mut bytes);
            bytes
        };
        Ok(std::sync::Arc::new(BinaryArray::from_iter_values(self.groups.iter().map(encoded))))
    }

    fn drop_first(&mut self, n: usize) {
        self.heap -=
            self.groups.drain(..n).flat_map(BTreeMap::into_values).map(|arrivals| arrivals.size()).sum::<usize>();
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Group>() + self.heap
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::registry::named;
    use crate::windowed::parts::Part;

    fn trigger(every: usize) -> CountTrigger {
        let part = |name: &str, filtered| {
            let aggregate = named(name).unwrap().bind(&[DataType::Int64], &[]).unwrap();
            Part { aggregate, columns: 1, filtered }
        };
        CountTrigger::new(every, Parts::new(vec![part("sum", true), part("max", false)]))
    }

    /// An event: its partition, its offset there, and a value.
    type Event = (i32, i64, i64);

    fn lifted(trigger: &CountTrigger, events: &[Event]) -> Vec<u8> {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.2)));
        let odd = BooleanArray::from_iter(events.iter().map(|event| Some(event.2 % 2 != 0)));
        let args: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(events.iter().map(|event| event.0))),
            Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.1))),
            values.clone(),
            Arc::new(odd),
            values,
        ];
        let mut states = trigger.new_states();
        states.grow(1);
        states.lift(&args, &vec![0; events.len()], None);
        let mut bytes = Vec::new();
        states.encode(0, &mut bytes);
        bytes
    }

    fn merged(trigger: &CountTrigger, encoded: &[Vec<u8>]) -> Vec<u8> {
        let mut states = trigger.new_states();
        states.grow(1);
        encoded.iter().for_each(|bytes| states.merge_one(bytes, 0).unwrap());
        let mut bytes = Vec::new();
        states.encode(0, &mut bytes);
        bytes
    }

    /// The row of states of the events that have fired, by the definition.
    fn defined(trigger: &CountTrigger, events: &[Event]) -> Option<Vec<u8>> {
        let mut partitions: BTreeMap<i32, Vec<Event>> = BTreeMap::new();
        events.iter().for_each(|event| partitions.entry(event.0).or_default().push(*event));
        let fired = partitions.into_values().flat_map(|mut events| {
            events.sort_by_key(|event| event.1);
            events.truncate(events.len() / trigger.every * trigger.every);
            events
        });
        let fired: Vec<Event> = fired.collect();
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(fired.iter().map(|event| event.2)));
        let odd: ArrayRef = Arc::new(BooleanArray::from_iter(fired.iter().map(|event| Some(event.2 % 2 != 0))));
        let states = trigger.parts.lift(&[values.clone(), odd, values], &vec![0; fired.len()], 1);
        (!fired.is_empty()).then(|| super::encoded(&states, 0))
    }

    proptest! {
        #[test]
        fn what_has_fired_is_a_function_of_the_set_of_events(
            every in 1usize..6,
            places in prop::collection::btree_set((0i32..3, 0i64..40), 0..40),
            values in prop::collection::vec(-99i64..99, 40),
            chunks in prop::collection::vec(0usize..4, 40),
        ) {
            let trigger = trigger(every);
            let events: Vec<Event> = places.into_iter().zip(values).map(|((p, o), value)| (p, o, value)).collect();
            let mut parts = vec![Vec::new(); 4];
            events.iter().zip(chunks).for_each(|(event, chunk)| parts[chunk].push(*event));
            let encoded: Vec<Vec<u8>> = parts.iter().map(|part| lifted(&trigger, part)).collect();
            let whole = lifted(&trigger, &events);
            prop_assert_eq!(&merged(&trigger, &encoded), &whole);
            let backwards: Vec<Vec<u8>> = encoded.into_iter().rev().collect();
            let halves = [merged(&trigger, &backwards[..2]), merged(&trigger, &backwards[2..])];
            prop_assert_eq!(&merged(&trigger, &halves), &whole);
            prop_assert_eq!(trigger.fired(&whole).unwrap(), defined(&trigger, &events));
        }

        #[test]
        fn damaged_states_are_refused_or_read(
            bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..60, to in any::<u8>(),
        ) {
            let trigger = trigger(3);
            let mut damaged = lifted(&trigger, &[(0, 1, 5), (0, 2, 6), (0, 7, 7), (2, 0, 8)]);
            let at = at % damaged.len();
            damaged[at] = to;
            for state in [damaged, bytes] {
                if let Ok(group) = trigger.decode(&state) {
                    let mut again = Vec::new();
                    trigger.encode(&group, &mut again);
                    prop_assert_eq!(again, state);
                }
            }
        }
    }
}
