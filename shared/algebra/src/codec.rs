//! Reading and writing the canonical encodings: little-endian, fixed width unless said otherwise.

/// Why bytes are not a partial state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error(
        "state of '{aggregate}' has format version {found}, this build reads {expected}; rebuild the view with `anabranch batch` or `anabranch replay`"
    )]
    Version { aggregate: &'static str, found: u8, expected: u8 },
    #[error("state ends too early")]
    Truncated,
    #[error("state has {0} bytes too many")]
    Trailing(usize),
    #[error("state is not canonical: {0}")]
    Invalid(&'static str),
}

/// Takes a state apart from the front.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], StateError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(StateError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        Ok(self.take(N)?.try_into().expect("take returns the length asked for"))
    }

    pub fn u8(&mut self) -> Result<u8, StateError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u64(&mut self) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, StateError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A flag: 0 or 1, nothing else.
    pub fn flag(&mut self) -> Result<bool, StateError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StateError::Invalid("a flag is neither 0 nor 1")),
        }
    }

    /// A number in LEB128, as [`put_count`] writes it.
    pub fn count(&mut self) -> Result<u64, StateError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(StateError::Invalid("a number is too large"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let canonical = byte != 0 || shift == 0;
                return canonical.then_some(value).ok_or(StateError::Invalid("a number is padded"));
            }
        }
        Err(StateError::Invalid("a number is too large"))
    }

    /// A length in LEB128, as [`put_len`] writes it.
    pub fn length(&mut self) -> Result<usize, StateError> {
        match self.count()? {
            length if length < 1 << 35 => Ok(length as usize),
            _ => Err(StateError::Invalid("a length is too long")),
        }
    }

    /// Bytes with their length in front.
    pub fn bytes(&mut self) -> Result<&'a [u8], StateError> {
        let n = self.length()?;
        self.take(n)
    }

    /// Asserts that nothing is left.
    pub fn end(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::Trailing(self.0.len())) }
    }
}

/// Writes a number in LEB128: seven bits per byte, the lowest first.
pub fn put_count(out: &mut Vec<u8>, mut count: u64) {
    while count >= 0x80 {
        out.push(count as u8 | 0x80);
        count >>= 7;
    }
    out.push(count as u8);
}

/// Writes a length in LEB128.
pub fn put_len(out: &mut Vec<u8>, len: usize) {
    put_count(out, len as u64);
}

/// Writes bytes with their length in front.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip_and_padding_is_refused() {
        for len in [0, 1, 127, 128, 300, 1 << 20] {
            let mut out = Vec::new();
            put_len(&mut out, len);
            assert_eq!(Reader::new(&out).length(), Ok(len));
        }
        assert!(Reader::new(&[0x80, 0x00]).length().is_err());
        assert!(Reader::new(&[0xff; 6]).length().is_err());
        assert!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]).length().is_err());
    }

    #[test]
    fn numbers_of_64_bits_round_trip_and_larger_ones_are_refused() {
        for count in [0, 127, 128, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_count(&mut out, count);
            assert_eq!(Reader::new(&out).count(), Ok(count));
        }
        let mut beyond = [0xff; 10];
        beyond[9] = 0x02;
        assert!(Reader::new(&beyond).count().is_err());
        assert!(Reader::new(&[0x80; 11]).count().is_err());
    }
}
