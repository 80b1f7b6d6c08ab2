//! What happened in a run, in words: the last lines are kept, for a failure's report.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Lines kept.
const LINES_MAX: usize = 400;

thread_local! {
    static LINES: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

/// Nothing has happened yet.
pub fn begin() {
    LINES.with_borrow_mut(VecDeque::clear);
}

/// Something happened at this virtual time, nanoseconds.
pub fn tell(now: u64, what: std::fmt::Arguments<'_>) {
    LINES.with_borrow_mut(|lines| {
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        let (millis, micros) = (now / 1_000_000, now / 1_000 % 1_000);
        lines.push_back(format!("{millis:>9}.{micros:03} ms  {what}"));
    });
}

/// The last lines, at most `count`.
pub fn last(count: usize) -> Vec<String> {
    LINES.with_borrow(|lines| {
        let skip = lines.len().saturating_sub(count);
        lines.iter().skip(skip).cloned().collect()
    })
}
