//! Receive buffers that the kernel picks from at the moment bytes arrive, so that an idle
//! connection holds none.
//!
//! One span of memory, `count` buffers of equal size; a buffer is lent by the driver with a
//! completion and returned when its [`Provided`] is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::bytes::{Block, Pool};

/// The span and who takes a returned buffer.
pub struct ProvidedPool {
    memory: Block,
    size: u32,
    count: u16,
    lent: Cell<u16>,
    returned: RefCell<Box<dyn FnMut(u16)>>,
}

impl ProvidedPool {
    /// `count` buffers of `size` bytes; `returned` is told each buffer id that comes back.
    pub fn new(pool: &Pool, count: u16, size: u32, returned: Box<dyn FnMut(u16)>) -> Rc<Self> {
        Rc::new(ProvidedPool {
            memory: pool.take(usize::from(count) * size as usize),
            size,
            count,
            lent: Cell::new(0),
            returned: RefCell::new(returned),
        })
    }

    /// Replaces the taker of returned buffers.
    pub fn on_return(&self, returned: Box<dyn FnMut(u16)>) {
        *self.returned.borrow_mut() = returned;
    }

    /// Address of buffer `id`.
    pub fn address(&self, id: u16) -> *mut u8 {
        self.memory.ptr(usize::from(id) * self.size as usize)
    }

    /// Bytes of one buffer.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How many buffers.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// How many are lent.
    pub fn lent(&self) -> u16 {
        self.lent.get()
    }

    /// Lends buffer `id`, filled with `len` bytes. The driver owned it until now.
    pub fn lend(self: &Rc<Self>, id: u16, len: u32) -> Provided {
        assert!(
            id < self.count && len <= self.size,
            "provided buffer {id}/{len}"
        );
        self.lent.set(self.lent.get() + 1);
        Provided {
            pool: self.clone(),
            id,
            start: 0,
            len,
        }
    }
}

/// A lent receive buffer; returns to its pool when dropped.
pub struct Provided {
    pool: Rc<ProvidedPool>,
    id: u16,
    start: u32,
    len: u32,
}

impl Provided {
    /// The bytes received and not yet consumed.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let at = usize::from(self.id) * self.pool.size as usize + self.start as usize;
        self.pool.memory.bytes(at, (self.len - self.start) as usize)
    }

    /// The same, for stamping in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let at = usize::from(self.id) * self.pool.size as usize + self.start as usize;
        // SAFETY: buffer `id` is lent to this handle alone (it is not clonable), and the kernel
        // does not touch it until it is returned.
        unsafe {
            self.pool
                .memory
                .bytes_mut(at, (self.len - self.start) as usize)
        }
    }

    /// Consumes `n` bytes. Panics past the end.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        assert!(n <= (self.len - self.start) as usize);
        self.start += n as u32;
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        self.pool.lent.set(self.pool.lent.get() - 1);
        (self.pool.returned.borrow_mut())(self.id);
    }
}

impl std::fmt::Debug for Provided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provided(#{}, {} B)", self.id, self.len - self.start)
    }
}
