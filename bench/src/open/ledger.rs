//! Who sent what, who saw what, and what follows from both.
//!
//! A [`Sent`] per producer and partition says how many messages there are and which were not
//! acked; a [`Seen`] per partition and reading says which came, in the order of their offsets.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::report::Validity;

/// A producer's messages to one partition: sequences from 0 on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) made: u64,
    /// Refused, or without an answer when the run ended.
    pub(crate) unacked: Vec<Range<u64>>,
}

impl Sent {
    pub(crate) fn acked(&self) -> u64 {
        self.made - length(&self.unacked)
    }
}

/// What one reading of a partition brought of one producer.
#[derive(Clone, Debug, Default)]
struct Line {
    /// One past the highest sequence seen.
    next: u64,
    /// Below `next` and not seen: start → end.
    missing: BTreeMap<u64, u64>,
}

/// What one reading of a partition brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    lines: Vec<Line>,
    /// Different messages of this run.
    pub(crate) distinct: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) foreign: u64,
    pub(crate) examples: Vec<String>,
}

/// Violations told in words, at most, per partition.
const EXAMPLES_MAX: usize = 3;

impl Seen {
    /// Takes the next message. Producers' numbers are small: they count from 0.
    #[inline]
    pub(crate) fn take(&mut self, partition: i32, offset: i64, producer: u32, sequence: u64) {
        let producer = producer as usize;
        if self.lines.len() <= producer {
            self.lines.resize_with(producer + 1, Line::default);
        }
        let line = &mut self.lines[producer];
        if sequence == line.next {
            line.next += 1;
            self.distinct += 1;
            return;
        }
        self.take_odd(partition, offset, producer, sequence);
    }

    #[cold]
    fn take_odd(&mut self, partition: i32, offset: i64, producer: usize, sequence: u64) {
        let line = &mut self.lines[producer];
        if sequence > line.next {
            line.missing.insert(line.next, sequence);
            line.next = sequence + 1;
            self.distinct += 1;
            return;
        }
        let gap = line.missing.range(..=sequence).next_back();
        match gap
            .map(|(start, end)| (*start, *end))
            .filter(|gap| sequence < gap.1)
        {
            Some((start, end)) => {
                line.missing.remove(&start);
                if start < sequence {
                    line.missing.insert(start, sequence);
                }
                if sequence + 1 < end {
                    line.missing.insert(sequence + 1, end);
                }
                self.distinct += 1;
                self.reordered += 1;
                self.tell(format!(
                    "partition {partition}, offset {offset}: producer {producer}'s message \
                     {sequence} came after a later one"
                ));
            }
            None => {
                self.doubled += 1;
                self.tell(format!(
                    "partition {partition}, offset {offset}: producer {producer}'s message \
                     {sequence} came again"
                ));
            }
        }
    }

    /// Takes note of `count` messages that cannot be read or whose checksum is wrong.
    pub(crate) fn spoiled(&mut self, partition: i32, offset: i64, count: u64, why: &str) {
        self.corrupt += count;
        self.tell(format!("partition {partition}, offset {offset}: {why}"));
    }

    fn tell(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }

    /// Sequences of `producer` that never came, of `made`.
    fn never_came(&self, producer: usize, made: u64) -> Vec<Range<u64>> {
        let none = Line::default();
        let line = self.lines.get(producer).unwrap_or(&none);
        let gaps = line.missing.iter().map(|(start, end)| *start..*end);
        let tail = (line.next < made).then_some(line.next..made);
        gaps.chain(tail).collect()
    }
}

fn length(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Sequences in both, each list rising and without overlap.
fn common(a: &[Range<u64>], b: &[Range<u64>]) -> u64 {
    let mut both = 0;
    for one in a {
        for other in b {
            let (start, end) = (one.start.max(other.start), one.end.min(other.end));
            both += end.saturating_sub(start);
        }
    }
    both
}

/// Adds up one reading of partition `partition`, to which `sent` (by producer) was sent. `whole`: it
/// was read to its end; else what is missing at the end was not read, and is not lost.
pub(crate) fn judge(
    validity: &mut Validity,
    partition: i32,
    sent: &[Sent],
    seen: &Seen,
    whole: bool,
) {
    validity.checked = true;
    validity.consumed += seen.distinct + seen.doubled;
    validity.doubled += seen.doubled;
    validity.reordered += seen.reordered;
    validity.corrupt += seen.corrupt;
    validity.foreign += seen.foreign;
    validity.examples.extend(seen.examples.iter().cloned());
    for (producer, sent) in sent.iter().enumerate() {
        let mut absent = seen.never_came(producer, sent.made);
        let unread = match absent.last() {
            Some(tail) if !whole && tail.end == sent.made => absent.pop(),
            _ => None,
        };
        let unread: Vec<Range<u64>> = unread.into_iter().collect();
        let excused = common(&absent, &sent.unacked);
        let excused_unread = common(&unread, &sent.unacked);
        let missing = length(&absent);
        validity.lost += missing - excused;
        validity.unread += length(&unread) - excused_unread;
        validity.unacked_but_seen += length(&sent.unacked) - excused - excused_unread;
        if missing > excused {
            validity.examples.push(format!(
                "partition {partition}: {} acked messages of producer {producer} never came, of \
                 the sequences {:?}",
                missing - excused,
                &absent[..absent.len().min(3)]
            ));
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of ranges, some with one
mod tests {
    use super::*;

    fn judged(made: u64, unacked: &[Range<u64>], came: &[u64]) -> Validity {
        let sent = Sent {
            made,
            unacked: unacked.to_vec(),
        };
        let mut seen = Seen::default();
        for (offset, sequence) in came.iter().enumerate() {
            seen.take(0, offset as i64, 0, *sequence);
        }
        let mut validity = Validity::default();
        judge(&mut validity, 0, &[sent], &seen, true);
        validity
    }

    /// lost, doubled, reordered.
    fn faults(validity: &Validity) -> [u64; 3] {
        [validity.lost, validity.doubled, validity.reordered]
    }

    #[test]
    fn what_came_once_and_in_order_holds() {
        let validity = judged(5, &[], &[0, 1, 2, 3, 4]);
        assert!(validity.holds() && validity.checked);
        assert_eq!((validity.consumed, validity.examples.len()), (5, 0));
    }

    #[test]
    fn lost_doubled_and_reordered_are_told_apart() {
        assert_eq!(faults(&judged(5, &[], &[0, 1, 3, 4])), [1, 0, 0]);
        assert_eq!(faults(&judged(5, &[], &[0, 1, 2])), [2, 0, 0]);
        assert_eq!(faults(&judged(5, &[], &[])), [5, 0, 0]);
        assert_eq!(faults(&judged(4, &[], &[0, 1, 1, 2, 3, 0])), [0, 2, 0]);
        assert_eq!(faults(&judged(4, &[], &[0, 2, 1, 3])), [0, 0, 1]);
        assert_eq!(faults(&judged(6, &[], &[0, 4, 2, 2, 5])), [2, 1, 1]);
        assert_eq!(faults(&judged(6, &[], &[5, 4, 3, 2, 1, 0])), [0, 0, 5]);
        for came in [&[0, 2][..], &[0, 1, 2, 2], &[1, 0, 2]] {
            let validity = judged(3, &[], came);
            assert!(!validity.holds());
            assert_eq!(validity.examples.len(), 1, "{came:?}");
        }
    }

    #[test]
    fn what_was_not_acked_may_be_missing_or_not() {
        let validity = judged(10, &[3..5, 8..10], &[0, 1, 2, 4, 5, 6, 7]);
        assert!(validity.holds(), "{validity:?}");
        assert_eq!(validity.unacked_but_seen, 1);
        assert_eq!(
            faults(&judged(10, &[3..5], &[0, 1, 2, 5, 6, 7, 8])),
            [1, 0, 0]
        );
    }

    #[test]
    fn what_was_not_read_is_not_lost() {
        let mut seen = Seen::default();
        for sequence in [0, 1, 3] {
            seen.take(0, 0, 0, sequence);
        }
        let unacked = vec![8..9];
        let sent = Sent { made: 10, unacked };
        let mut validity = Validity::default();
        judge(&mut validity, 0, &[sent], &seen, false);
        assert_eq!(faults(&validity), [1, 0, 0]);
        assert_eq!((validity.unread, validity.unacked_but_seen), (5, 0));
    }

    #[test]
    fn producers_do_not_mix() {
        let mut seen = Seen::default();
        for sequence in 0..3 {
            seen.take(0, 0, 1, sequence);
            seen.take(0, 0, 0, sequence);
        }
        let sent = |made| Sent {
            made,
            ..Sent::default()
        };
        let mut validity = Validity::default();
        judge(&mut validity, 0, &[sent(3), sent(3), sent(2)], &seen, true);
        assert_eq!(faults(&validity), [2, 0, 0]);
    }

    #[test]
    fn damage_is_a_violation() {
        let mut seen = Seen::default();
        seen.spoiled(4, 17, 1, "a wrong checksum");
        let mut validity = Validity::default();
        judge(&mut validity, 4, &[], &seen, true);
        assert!(!validity.holds());
        assert_eq!(
            validity.examples,
            ["partition 4, offset 17: a wrong checksum"]
        );
    }
}
