//! A progress bar on stderr: on a terminal only, and only once the input proves long.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What is done sooner than this needs no bar.
const PATIENCE: Duration = Duration::from_millis(700);

pub(super) struct Progress {
    since: Instant,
    /// Of the input, in bytes, if it is known.
    length: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(length: Option<u64>) -> Self {
        Self {
            since: Instant::now(),
            length,
            bar: None,
        }
    }

    /// So many bytes of the input have been read.
    pub(super) fn at(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            return bar.set_position(bytes);
        }
        // Input typed by hand shows its own progress.
        let shown = io::stderr().is_terminal()
            && (self.length.is_some() || !io::stdin().is_terminal())
            && self.since.elapsed() >= PATIENCE;
        if shown {
            let bar = bar(self.length);
            bar.set_position(bytes);
            self.bar = Some(bar);
        }
    }

    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        ),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a good template"))
}
