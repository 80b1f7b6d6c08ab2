//! A progress bar on stderr: on a terminal only, and only once the input proves long.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done sooner than this needs no bar.
const PATIENCE: Duration = Duration::from_millis(700);

pub(super) struct Progress {
    since: Instant,
    // Counts from the start, so that its rates are right when it is shown.
    bar: ProgressBar,
    shown: bool,
    /// Input typed by hand shows its own progress.
    wanted: bool,
}

impl Progress {
    /// For input of so many bytes, if that is known.
    pub(super) fn new(length: Option<u64>) -> Self {
        let template = match length {
            Some(_) => {
                "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
            }
            None => "{spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        };
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_style(ProgressStyle::with_template(template).expect("a good template"));
        Self {
            since: Instant::now(),
            bar,
            shown: false,
            wanted: io::stderr().is_terminal() && (length.is_some() || !io::stdin().is_terminal()),
        }
    }

    /// So many bytes of the input have been read.
    pub(super) fn at(&mut self, bytes: u64) {
        if !self.wanted {
            return;
        }
        if !self.shown && self.since.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        self.bar.set_position(bytes);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
