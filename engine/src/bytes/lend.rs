//! What one shard lets others use: nothing is copied, and nothing changes hands.
//!
//! The owner keeps what it lends in a table until every [`Loan`] on it has been dropped, on
//! whatever thread. A dropped loan only leaves a note; the owner reads the notes whenever it lends
//! again, and when it is asked to.
//!
//! Invariant: what is lent lives, and stays on its owner's thread, until its last loan is gone.
//! If the owner goes first, it is never freed.

use std::any::Any;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_queue::SegQueue;

use super::Part;

/// Notes of loans that are over: places in the owner's table.
type Notes = Arc<SegQueue<usize>>;

/// The owner's side. Cheap to clone; stays on its thread.
#[derive(Clone, Default)]
pub struct Lender(Rc<Table>);

#[derive(Default)]
struct Table {
    lent: RefCell<Lent>,
    notes: Notes,
}

#[derive(Default)]
struct Lent {
    places: Vec<Option<Box<dyn Any>>>,
    free: Vec<usize>,
}

impl Drop for Table {
    fn drop(&mut self) {
        reclaim(&self.notes, self.lent.get_mut());
        for kept in self.lent.get_mut().places.drain(..).flatten() {
            // Somebody may still read it.
            std::mem::forget(kept);
        }
    }
}

fn reclaim(notes: &Notes, lent: &mut Lent) -> Vec<Box<dyn Any>> {
    let mut back = Vec::new();
    while let Some(place) = notes.pop() {
        back.extend(lent.places[place].take());
        lent.free.push(place);
    }
    back
}

/// Held by whoever uses what was lent.
#[derive(Clone, Debug)]
pub struct Loan(#[allow(dead_code)] Arc<Note>);

#[derive(Debug)]
struct Note {
    place: usize,
    notes: Notes,
}

impl Drop for Note {
    fn drop(&mut self) {
        self.notes.push(self.place);
    }
}

impl Lender {
    /// Keeps `what` until the loan and all its clones are dropped.
    pub fn lend(&self, what: impl Any) -> Loan {
        self.reclaim();
        let mut lent = self.0.lent.borrow_mut();
        let place = match lent.free.pop() {
            Some(place) => place,
            None => {
                lent.places.push(None);
                lent.places.len() - 1
            }
        };
        lent.places[place] = Some(Box::new(what));
        Loan(Arc::new(Note {
            place,
            notes: self.0.notes.clone(),
        }))
    }

    /// Lends bytes. `with` is kept for as long.
    pub fn lend_bytes(&self, part: Part, with: impl Any) -> LentBytes {
        let bytes = part.bytes();
        // A block's bytes, and those of a vector that nobody touches, stay where they are when
        // their holder moves.
        let (start, len) = (NonNull::from(bytes).cast(), bytes.len());
        LentBytes {
            start,
            len,
            _loan: self.lend((part, with)),
        }
    }

    /// Lets go of what has come back.
    pub fn reclaim(&self) {
        let back = reclaim(&self.0.notes, &mut self.0.lent.borrow_mut());
        // Not under the borrow: what is dropped may reach this again.
        drop(back);
    }

    /// How many loans are out, those included that came back since the last look.
    pub fn out(&self) -> usize {
        let lent = self.0.lent.borrow();
        lent.places.len() - lent.free.len()
    }
}

/// Bytes of another shard.
#[derive(Clone, Debug)]
pub struct LentBytes {
    start: NonNull<u8>,
    len: usize,
    _loan: Loan,
}

// SAFETY: the bytes are covered by a `Part`, so they are never written again (this directory's
// invariant), and the loan keeps them alive wherever it is. What frees them is their owner, on its
// own thread, after it has taken the loan's note from a queue that orders the reads before it.
unsafe impl Send for LentBytes {}
// SAFETY: as above; they are only read.
unsafe impl Sync for LentBytes {}

impl LentBytes {
    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` and `len` are a slice's that lives as long as the loan.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Count of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops the first `n` bytes. Panics past the end.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len);
        // SAFETY: within the slice, or one past it.
        self.start = unsafe { self.start.add(n) };
        self.len -= n;
    }

    /// Drops all but the first `n` bytes. Panics past the end.
    pub fn truncate(&mut self, n: usize) {
        assert!(n <= self.len);
        self.len = n;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // other threads are what this is about
mod tests {
    use super::*;
    use crate::bytes::Pool;

    #[test]
    fn what_is_lent_stays_until_the_last_loan_is_gone() {
        let (lender, pool) = (Lender::default(), Pool::new());
        let block = pool.take(10);
        // SAFETY: the block is new.
        unsafe { block.bytes_mut(0, 3) }.copy_from_slice(b"abc");
        let mut lent = lender.lend_bytes(Part::block(&block, 0, 3), ());
        drop(block);
        let twin = lent.clone();
        lent.advance(1);
        let read = std::thread::spawn(move || lent.bytes().to_vec());
        assert_eq!(read.join().unwrap(), b"bc");
        lender.reclaim();
        assert_eq!((lender.out(), pool.lent()), (1, 4096));
        assert_eq!(twin.bytes(), b"abc");
        std::thread::spawn(move || drop(twin)).join().unwrap();
        lender.reclaim();
        assert_eq!((lender.out(), pool.lent()), (0, 0));
    }

    #[test]
    fn an_owner_that_goes_first_frees_nothing() {
        let pool = Pool::new();
        let lender = Lender::default();
        let lent = lender.lend_bytes(Part::block(&pool.take(10), 0, 3), ());
        drop(lender);
        assert_eq!(pool.lent(), 4096);
        assert_eq!(lent.bytes().len(), 3);
        let lender = Lender::default();
        let other = lender.lend_bytes(Part::block(&pool.take(10), 0, 3), ());
        drop(other);
        drop(lender);
        assert_eq!(pool.lent(), 4096);
    }
}
