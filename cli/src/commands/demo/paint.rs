//! Bold and dim text, on terminals alone.

use std::ffi::OsStr;
use std::io::IsTerminal;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Whether text is painted.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Painted if stdout is a terminal and nobody has set `NO_COLOR`.
    pub fn of_stdout() -> Self {
        Self::of(std::io::stdout().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
    }

    #[cfg(test)]
    pub fn none() -> Self {
        Self { on: false }
    }

    fn of(is_terminal: bool, no_color: Option<&OsStr>) -> Self {
        Self { on: is_terminal && no_color.is_none_or(OsStr::is_empty) }
    }

    pub fn bold(self, text: &str) -> String {
        self.with(BOLD, text)
    }

    pub fn dim(self, text: &str) -> String {
        self.with(DIM, text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("{code}{text}{RESET}") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_no_color_get_plain_text() {
        let set = |value: &str| Some(OsStr::new(value).to_owned());
        assert_eq!(Paint::of(true, None).bold("x"), "\x1b[1mx\x1b[0m");
        assert_eq!(Paint::of(true, set("").as_deref()).dim("x"), "\x1b[2mx\x1b[0m");
        assert_eq!(Paint::of(true, set("1").as_deref()).bold("x"), "x");
        assert_eq!(Paint::of(false, None).bold("x"), "x");
    }
}
