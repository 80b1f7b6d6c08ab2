//! At most one log line a second about something that clients can cause at will.

use std::cell::Cell;

use odradek_engine::io::Io;

/// See the module.
#[derive(Default)]
pub struct Quiet {
    last: Cell<Option<u64>>,
    kept_back: Cell<u64>,
}

impl Quiet {
    /// Logs, unless a line was logged within the last second; says how many were kept back.
    pub fn log(&self, io: &Io, line: impl FnOnce()) {
        let now = io.now();
        let recent = self
            .last
            .get()
            .is_some_and(|last| now.saturating_sub(last) < 1_000_000_000);
        if recent {
            self.kept_back.set(self.kept_back.get() + 1);
            return;
        }
        self.last.set(Some(now));
        let kept_back = self.kept_back.take();
        if kept_back > 0 {
            tracing::warn!("{kept_back} more lines like the next were kept back");
        }
        line();
    }
}
