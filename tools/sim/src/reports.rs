//! What the node's log says of partitions that are not as they were: a program that only believes
//! what it reads would take an end of the log for the end.

use std::cell::RefCell;
use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use crate::oracle::Partition;

thread_local! {
    static SAID: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// A warning, or an error.
#[derive(Default)]
struct Line {
    partition: String,
    message: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let into = match field.name() {
            "partition" => &mut self.partition,
            "message" => &mut self.message,
            _ => return,
        };
        // Writing to a String does not fail.
        let _ = write!(into, "{value:?}");
    }
}

/// Notes what is a warning at least, and passes everything on to whoever listened before.
struct Listener {
    outer: Dispatch,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN || self.outer.enabled(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if *metadata.level() <= Level::WARN {
            let mut line = Line::default();
            event.record(&mut line);
            if !line.partition.is_empty() {
                SAID.with_borrow_mut(|said| said.push(line));
            }
        }
        if self.outer.enabled(metadata) {
            self.outer.event(event);
        }
    }

    // The node has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Keeps what is said while `run` does; before that, nothing was.
pub fn listen<T>(run: impl FnOnce() -> T) -> T {
    SAID.with_borrow_mut(Vec::clear);
    let outer = tracing::dispatcher::get_default(Clone::clone);
    tracing::subscriber::with_default(Listener { outer }, run)
}

/// Lines so far.
pub fn count() -> usize {
    SAID.with_borrow(Vec::len)
}

/// Whether one of the lines since says that the partition's log ends at this offset, or that it
/// should reach farther.
pub fn tell_of_end(since: usize, partition: Partition, end: i64) -> bool {
    let name = format!("{}-{}", partition.0, partition.1);
    SAID.with_borrow(|said| {
        let mut lines = said.iter().skip(since);
        lines.any(|line| line.partition == name && tells_of_end(&line.message, end))
    })
}

fn tells_of_end(message: &str, end: i64) -> bool {
    let number = |rest: &str| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse::<i64>().ok())
    };
    let mut offsets = message.split("offset ").skip(1).filter_map(number);
    let checkpoint = message.strip_prefix("the checkpoint at offset ");
    offsets.any(|offset| offset == end) || checkpoint.and_then(number).is_some_and(|at| at > end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_must_name_the_partition_and_the_offset() {
        let told = |since| tell_of_end(since, ("t", 1), 7);
        listen(|| {
            tracing::warn!(partition = %"t-2", "the log ends at offset 7, position 9");
            tracing::warn!(partition = %"t-1", "the log ends at offset 71, position 7");
            tracing::info!(partition = %"t-1", "the log ends at offset 7");
            assert!(!told(0));
            tracing::error!(partition = %"t-1", "the log ends at offset 7 in the middle");
        });
        assert!(told(0) && told(1) && !told(count()));
    }

    #[test]
    fn a_checkpoint_that_does_not_hold_tells_of_what_is_before_it() {
        let line = "the checkpoint at offset 40, position 900 of segment 0 does not hold";
        assert!(tells_of_end(line, 39) && !tells_of_end(line, 41));
    }
}
