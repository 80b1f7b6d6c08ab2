//! Which completed writes were durable by themselves.
//!
//! Writes start in order of position and complete in any order. The written mark moves over
//! several of them at once when the one that closes a gap completes, and that one says nothing
//! about the others: RWF_DSYNC covers only its own range. So each is remembered until the mark
//! has passed it.

use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Landed {
    /// Whether each was durable; from the first that the written mark has not passed.
    writes: BTreeMap<u64, bool>,
    first: u64,
}

impl Landed {
    /// A write has completed; ids count up from 0 in the order in which writes start.
    pub fn add(&mut self, id: u64, durable: bool) {
        debug_assert!(id >= self.first, "the mark has passed write {id}");
        self.writes.insert(id, durable);
    }

    /// Takes out the contiguous prefix: what the written mark has just passed. Whether all of
    /// them were durable.
    pub fn take(&mut self) -> bool {
        let mut durable = true;
        while let Some(one) = self.writes.remove(&self.first) {
            durable &= one;
            self.first += 1;
        }
        durable
    }
}

#[cfg(test)]
mod tests {
    use odradek_engine::bytes::Pool;
    use odradek_engine::log::tail::Tail;
    use odradek_engine::types::Offset;

    use super::super::Progress;
    use super::*;

    /// So much goes out beside what is in flight.
    const RECORD_BYTES: usize = 256 << 10;

    /// Two writes of one record each, as the tail plans them; they complete in this order, each
    /// durable or not. Gives *written* and *durable* after each.
    fn land(order: [(u64, bool); 2]) -> Vec<(i64, i64)> {
        let mut tail = Tail::new(&Pool::new(), false, Offset(0), 0, &[]);
        for id in 0..2 {
            tail.append(&[7; RECORD_BYTES]);
            assert_eq!(tail.plan(8).expect("a write").id, id);
        }
        let (mut landed, mut progress) = (Landed::default(), Progress::new(Offset(0), true));
        let mut marks = Vec::new();
        for (id, durable) in order {
            landed.add(id, durable);
            if let Some(written) = tail.wrote(id) {
                progress.wrote(
                    Offset(written.pos as i64 / RECORD_BYTES as i64),
                    landed.take(),
                );
            }
            marks.push((progress.written().0, progress.durable().0));
        }
        progress.flushed(progress.written());
        assert_eq!(
            (progress.written(), progress.durable()),
            (Offset(2), Offset(2))
        );
        marks
    }

    #[test]
    fn a_durable_write_that_closes_a_gap_vouches_for_itself_alone() {
        assert_eq!(land([(1, false), (0, true)]), [(0, 0), (2, 0)]);
        assert_eq!(land([(1, true), (0, false)]), [(0, 0), (2, 0)]);
    }

    #[test]
    fn durable_writes_in_any_order_are_durable_together() {
        assert_eq!(land([(1, true), (0, true)]), [(0, 0), (2, 2)]);
    }

    #[test]
    fn in_order_each_counts_for_itself() {
        assert_eq!(land([(0, true), (1, false)]), [(1, 1), (2, 1)]);
        assert_eq!(land([(0, false), (1, true)]), [(1, 0), (2, 0)]);
    }
}
