use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{bar:40} {human_pos} of {human_len} rows, {per_sec}, {eta} left";

/// A progress bar on stderr; it draws nothing where stderr is not a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(shown: bool, rows: u64) -> Self {
        if !shown {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        Self(ProgressBar::new(rows).with_style(style))
    }

    pub fn advance(&self, rows: u64) {
        self.0.inc(rows);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
