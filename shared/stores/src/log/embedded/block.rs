//! A block: consecutive events of one partition as one value.
//!
//! Version 1, integers little-endian: version (1 byte), CRC-32 of all that follows (4), ingestion time in ms (8), number of
//! events n (4), end of each payload (4 n), end of each key (4 n), payloads, keys.

use anabranch_model::log::{Chunk, NewEvent};

/// A little below a power of two, the unit in which redb gives out space for large values.
pub(super) const MAX_BYTES: usize = 60 << 10;
/// What an event takes beside its key and payload.
pub(super) const EVENT_BYTES: usize = 8;
const VERSION: u8 = 1;
const CHECKED: usize = 5;
const HEADER: usize = CHECKED + 12;

/// Encodes the events, which are all in one partition and follow each other.
pub(super) fn encode(timestamp_ms: i64, events: &[&NewEvent]) -> Vec<u8> {
    let bytes: usize = events.iter().map(|event| event.payload.len() + event.key.len() + EVENT_BYTES).sum();
    let mut block = Vec::with_capacity(HEADER + bytes);
    block.extend([VERSION, 0, 0, 0, 0]);
    block.extend(timestamp_ms.to_le_bytes());
    block.extend((events.len() as u32).to_le_bytes());
    extend_ends(&mut block, events, |event| &event.payload);
    extend_ends(&mut block, events, |event| &event.key);
    events.iter().for_each(|event| block.extend(&event.payload));
    events.iter().for_each(|event| block.extend(&event.key));
    let crc = crc32fast::hash(&block[CHECKED..]);
    block[1..CHECKED].copy_from_slice(&crc.to_le_bytes());
    block
}

fn extend_ends(block: &mut Vec<u8>, events: &[&NewEvent], part: impl Fn(&NewEvent) -> &Vec<u8>) {
    let mut end = 0;
    for event in events {
        end += part(event).len() as u32;
        block.extend(end.to_le_bytes());
    }
}

/// A block as it was read, checked.
pub(super) struct Block<'a> {
    first: u64,
    timestamp_ms: i64,
    ends: &'a [[u8; 4]],
    payloads: &'a [u8],
}

impl<'a> Block<'a> {
    /// The block of which `first` is the offset of the first event. The error says what is wrong with it.
    pub(super) fn decode(first: u64, bytes: &'a [u8]) -> Result<Self, String> {
        let header = bytes.first_chunk::<HEADER>().ok_or("it is cut short")?;
        if header[0] != VERSION {
            return Err(format!("it has format version {}, this program reads {VERSION}", header[0]));
        }
        let crc = u32::from_le_bytes(header[1..CHECKED].try_into().expect("four bytes"));
        if crc32fast::hash(&bytes[CHECKED..]) != crc {
            return Err("its checksum is wrong".to_owned());
        }
        let timestamp_ms = i64::from_le_bytes(header[CHECKED..13].try_into().expect("eight bytes"));
        let count = u32::from_le_bytes(header[13..].try_into().expect("four bytes")) as usize;
        // The checksum holds, so the lengths are as they were written.
        let ends = &bytes[HEADER..].as_chunks::<4>().0[..count];
        let payloads = &bytes[HEADER + EVENT_BYTES * count..];
        Ok(Self { first, timestamp_ms, ends, payloads })
    }

    /// Adds the events from the chunk's next offset on, until it has `max`.
    pub(super) fn copy_to(&self, chunk: &mut Chunk, max: usize) {
        let begin = chunk.next.0.saturating_sub(self.first) as usize;
        let end = self.ends.len().min(begin + max - chunk.len());
        if begin >= end {
            return;
        }
        let start = self.payload_start(begin);
        let base = chunk.payloads.len();
        chunk.payloads.extend_from_slice(&self.payloads[start..self.payload_start(end)]);
        chunk.ends.extend(self.ends[begin..end].iter().map(|end| base + u32::from_le_bytes(*end) as usize - start));
        chunk.offsets.extend(self.first + begin as u64..self.first + end as u64);
        chunk.timestamps_ms.resize(chunk.offsets.len(), self.timestamp_ms);
        chunk.next.0 = self.first + end as u64;
    }

    fn payload_start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { u32::from_le_bytes(self.ends[index - 1]) as usize }
    }
}

#[cfg(test)]
mod tests {
    use anabranch_model::position::{Offset, Partition};

    use super::*;

    fn event(key: &str, payload: &str) -> NewEvent {
        NewEvent { partition: Partition(0), key: key.into(), payload: payload.into(), origin: None }
    }

    #[test]
    fn a_part_of_a_block_is_read_alone() {
        let events = [event("k", "one"), event("", ""), event("key", "three")];
        let bytes = encode(7, &events.iter().collect::<Vec<_>>());
        let block = Block::decode(10, &bytes).unwrap();
        let mut chunk = Chunk::empty(Partition(0), Offset(11));
        block.copy_to(&mut chunk, 1);
        block.copy_to(&mut chunk, 9);
        assert_eq!((chunk.payload(0), chunk.payload(1)), (&b""[..], &b"three"[..]));
        assert_eq!((chunk.offsets, chunk.timestamps_ms, chunk.next), (vec![11, 12], vec![7, 7], Offset(13)));
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let event = event("key", "payload");
        let bytes = encode(7, &[&event]);
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert!(Block::decode(0, &damaged).is_err(), "byte {index}");
        }
    }

    /// Written by version 1: a program that cannot read it any more needs a new version number.
    #[test]
    fn version_1_stays_readable() {
        let event = event("k", "ab");
        let golden = [
            &[1, 0x7c, 0x16, 0xd1, 0x6a][..],
            &[5, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0],
            b"abk",
        ]
        .concat();
        assert_eq!(encode(5, &[&event]), golden);
    }
}
