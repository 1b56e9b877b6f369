use std::io::{self, ErrorKind, Read};

/// Passes CSV text on and fails where a quote stands wrongly (RFC 4180).
///
/// The CSV reader itself forgives: after a quote that is never closed it takes the rest of the file
/// for one field, and the rows in it would be lost without a word.
pub struct Quotes<R> {
    text: R,
    state: State,
    line: u64,
    /// Line of the last opening quote.
    opened: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote within quotes: the end of the field, or the first half of a doubled quote.
    Closed,
}

impl<R> Quotes<R> {
    pub fn new(text: R) -> Self {
        Self { text, state: State::FieldStart, line: 1, opened: 1 }
    }

    fn step(&mut self, byte: u8) -> io::Result<()> {
        self.state = match (self.state, byte) {
            (State::FieldStart, b'"') => {
                self.opened = self.line;
                State::Quoted
            }
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) | (State::Closed, b'"') => State::Quoted,
            (_, b',' | b'\n' | b'\r') => State::FieldStart,
            (State::Closed, _) => return Err(wrong(self.line, "text after a closing quote")),
            (State::FieldStart | State::Plain, _) => State::Plain,
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(buffer)?;
        buffer[..read].iter().try_for_each(|byte| self.step(*byte))?;
        if read == 0 && self.state == State::Quoted {
            return Err(wrong(self.opened, "the quote that opens here is never closed"));
        }
        Ok(read)
    }
}

fn wrong(line: u64, what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{line}: {what}; write a quote within quotes twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let mut out = String::new();
        match Quotes::new(text.as_bytes()).read_to_string(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn well_formed_text_passes_unchanged() {
        for text in ["", "a,b\n1,2\n", "\"a\",\"b\"\r\n\"1,\n\"\"2\"\"\",\n", "5\" nail,\"\"\n", "\"a\""] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_wrong_quote_is_named_by_its_line() {
        assert!(read("a,b\n1,\"x\n2,y\n").unwrap_err().starts_with("2: the quote that opens here"));
        assert!(read("a\n\"x\"y\n").unwrap_err().starts_with("2: text after a closing quote"));
    }
}
