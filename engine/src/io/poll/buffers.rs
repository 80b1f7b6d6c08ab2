//! Receive buffers, picked when bytes have arrived.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bytes::Pool;
use crate::io::provided::{Provided, ProvidedPool};

/// The one returned last is picked first: it is in the cache.
pub(super) struct Buffers {
    free: Rc<RefCell<Vec<u16>>>,
    memory: Rc<ProvidedPool>,
}

impl Buffers {
    /// `count` buffers of `size` bytes.
    pub(super) fn new(pool: &Pool, count: u16, size: u32) -> Self {
        let free = Rc::new(RefCell::new((0..count).rev().collect::<Vec<u16>>()));
        let returns = free.clone();
        let returned = Box::new(move |id| returns.borrow_mut().push(id));
        let memory = ProvidedPool::new(pool, count, size, returned);
        Buffers { free, memory }
    }

    /// Bytes of each.
    pub(super) fn size(&self) -> usize {
        self.memory.size() as usize
    }

    /// Has `fill` write to a free one, at most [`size`](Self::size) bytes: its result, and the
    /// buffer if that is a count above zero. None if all are lent.
    pub(super) fn fill(
        &self,
        fill: impl FnOnce(*mut u8) -> i32,
    ) -> Option<(i32, Option<Provided>)> {
        let id = self.free.borrow_mut().pop()?;
        let got = fill(self.memory.address(id));
        if got > 0 {
            return Some((got, Some(self.memory.lend(id, got as u32))));
        }
        self.free.borrow_mut().push(id);
        Some((got, None))
    }
}
