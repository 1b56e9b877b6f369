use std::fmt;

/// A place in a text file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of byte `at` in `text`.
    pub fn of_byte(file: &str, text: &str, at: usize) -> Self {
        let before = &text[..text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The beginning of a file.
    pub fn start(file: &str) -> Self {
        Self { file: file.to_owned(), line: 1, column: 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with what the user wrote, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {cause}\n  help: {help}")]
pub struct ProjectError {
    pub place: Place,
    pub cause: String,
    pub help: String,
}

impl ProjectError {
    pub fn new(place: Place, cause: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place, cause: cause.into(), help: help.into() }
    }
}
