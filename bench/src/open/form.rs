//! The memory of batches, with what it still holds from its last use.
//!
//! Of a record in a load with values of one size only the proof changes; the rest of the value lies
//! where it lay, so it is neither copied nor summed again. A batch is a form that is filled in.
//!
//! Invariant: what a [`Rest`] says of its form's bytes is true.

use std::cell::{Cell, RefCell};

use odradek_engine::bytes::{Block, Pool};

use super::times::Times;

/// Bytes of forms kept for the next batches, at most.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Forms looked at for one that is free.
const LOOKED_AT_MAX: usize = 16;

/// What follows the proof in a value, where it lies and what its sums are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) at: u32,
    pub(crate) bytes: u32,
    /// Its CRC32C.
    pub(crate) sum: u32,
    /// The same with the byte behind it: the record's end, no headers.
    pub(crate) sum_to_end: u32,
}

/// See the module.
pub(crate) struct Form {
    pub(crate) block: Block,
    /// Of the records in order, as far as they are known.
    rests: Vec<Rest>,
    pub(crate) times: Times,
}

impl Form {
    /// The rest of record `index`, if it lies there already.
    #[inline]
    pub(crate) fn rest(&self, index: usize, at: usize, bytes: usize) -> Option<Rest> {
        let rest = self.rests.get(index);
        let lies = |rest: &&Rest| rest.at as usize == at && rest.bytes as usize == bytes;
        rest.filter(lies).copied()
    }

    /// The rest of record `index` was written; those behind it may have been written over.
    pub(crate) fn wrote(&mut self, index: usize, rest: Rest) {
        self.rests.truncate(index);
        debug_assert_eq!(self.rests.len(), index);
        self.rests.push(rest);
    }
}

/// Forms of one driver thread.
pub(crate) struct Forms {
    pool: Pool,
    kept: RefCell<Vec<Form>>,
    kept_bytes: Cell<usize>,
}

impl Forms {
    pub(crate) fn new(pool: &Pool) -> Self {
        Self {
            pool: pool.clone(),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
        }
    }

    /// A form of at least `bytes`, nobody else's: one given lately if it can be.
    pub(crate) fn take(&self, bytes: usize) -> Form {
        let mut kept = self.kept.borrow_mut();
        // The last ones may still be on their way: a send ends with the last of its batches.
        let lately = kept.len().saturating_sub(LOOKED_AT_MAX);
        let free = |form: &Form| form.block.capacity() >= bytes && form.block.sole();
        let found = kept[lately..].iter().rposition(free);
        if let Some(found) = found {
            let form = kept.remove(lately + found);
            self.kept_bytes
                .set(self.kept_bytes.get() - form.block.capacity());
            return form;
        }
        Form {
            block: self.pool.take(bytes),
            rests: Vec::new(),
            times: Times::default(),
        }
    }

    /// To be used again.
    pub(crate) fn give(&self, mut form: Form) {
        let bytes = self.kept_bytes.get() + form.block.capacity();
        if bytes <= KEPT_BYTES_MAX {
            form.times.clear();
            self.kept_bytes.set(bytes);
            self.kept.borrow_mut().push(form);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(at: u32) -> Rest {
        let (bytes, sum, sum_to_end) = (10, 1, 2);
        Rest {
            at,
            bytes,
            sum,
            sum_to_end,
        }
    }

    #[test]
    fn what_was_written_over_is_forgotten() {
        let forms = Forms::new(&Pool::new());
        let mut form = forms.take(100);
        for index in 0..3 {
            form.wrote(index, rest(20 * index as u32));
        }
        assert_eq!(form.rest(1, 20, 10), Some(rest(20)));
        assert_eq!(form.rest(1, 21, 10), None);
        assert_eq!(form.rest(1, 20, 11), None);
        form.wrote(1, rest(30));
        assert_eq!(form.rest(1, 30, 10), Some(rest(30)));
        assert_eq!(form.rest(2, 40, 10), None);
    }

    #[test]
    fn forms_come_back_but_not_while_they_are_sent() {
        let forms = Forms::new(&Pool::new());
        let mut form = forms.take(100);
        form.wrote(0, rest(5));
        form.times.push(1);
        forms.give(form);
        let form = forms.take(100);
        assert_eq!(
            (form.rest(0, 5, 10), form.times.count()),
            (Some(rest(5)), 0)
        );
        let sent = form.block.clone();
        forms.give(form);
        let other = forms.take(100);
        assert!(!other.block.same(&sent));
        let address = sent.ptr(0);
        drop(sent);
        assert_eq!(forms.take(100).block.ptr(0), address, "now it is free");
        assert_eq!(forms.kept_bytes.get(), 0);
    }
}
