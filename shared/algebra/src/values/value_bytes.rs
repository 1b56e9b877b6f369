//! Canonical bytes of a value ([`super::value`]) where there are many of them to keep.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// Most values fit beside the length and the tag into the 24 bytes that a boxed slice takes.
const INLINE: usize = 22;

const _: () = assert!(size_of::<ValueBytes>() == 24);

/// A byte string, without a heap allocation up to 22 bytes. Ordered as a slice.
#[derive(Clone)]
pub struct ValueBytes(Bytes);

#[derive(Clone)]
enum Bytes {
    Inline { length: u8, bytes: [u8; INLINE] },
    Heap(Box<[u8]>),
}

impl ValueBytes {
    /// Heap memory behind it, in bytes.
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            Bytes::Inline { .. } => 0,
            Bytes::Heap(bytes) => bytes.len(),
        }
    }
}

impl From<&[u8]> for ValueBytes {
    #[inline]
    fn from(value: &[u8]) -> Self {
        if value.len() > INLINE {
            return Self(Bytes::Heap(value.into()));
        }
        let mut bytes = [0; INLINE];
        bytes[..value.len()].copy_from_slice(value);
        Self(Bytes::Inline { length: value.len() as u8, bytes })
    }
}

impl Deref for ValueBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Heap(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for ValueBytes {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for ValueBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ValueBytes {}

impl PartialOrd for ValueBytes {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ValueBytes {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for ValueBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_values_are_what_they_were_and_sort_as_slices() {
        let values: Vec<Vec<u8>> = [0, 1, 21, 22, 23, 100].map(|length| vec![7; length]).to_vec();
        for a in &values {
            for b in &values {
                let (x, y) = (ValueBytes::from(a.as_slice()), ValueBytes::from(b.as_slice()));
                assert_eq!((&*x, x.cmp(&y), x == y), (a.as_slice(), a.cmp(b), a == b));
            }
        }
        assert_eq!(ValueBytes::from(&[7; 22][..]).heap_size(), 0);
        assert_eq!(ValueBytes::from(&[7; 23][..]).heap_size(), 23);
    }
}
