use std::fmt::Write;

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

const TEMPLATE: &str = "{bar:40} {human_pos} of {human_len} rows, {rate} rows/s, {eta} left";

/// A progress bar on stderr; it draws nothing where stderr is not a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(shown: bool, rows: u64) -> Self {
        if !shown {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        let style = style.with_key("rate", rate);
        Self(ProgressBar::new(rows).with_style(style))
    }

    pub fn advance(&self, rows: u64) {
        self.0.inc(rows);
    }
}

/// Whole rows per second; indicatif's own rate has four digits after the point.
fn rate(state: &ProgressState, text: &mut dyn Write) {
    // A bar has nowhere to report that its text could not be written.
    let _ = write!(text, "{}", HumanCount(state.per_sec() as u64));
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
