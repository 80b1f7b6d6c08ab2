//! Size-classed, page-aligned blocks, recycled within one shard.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::rc::Rc;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::PAGE;
use crate::limits;

/// Capacities of recycled blocks, bytes. The largest takes a 1 MiB produce request whole.
const CLASSES: [usize; 5] = [
    4 * 1024,
    16 * 1024,
    64 * 1024,
    256 * 1024,
    1024 * 1024 + 64 * 1024,
];

struct Shelf {
    free: RefCell<[Vec<NonNull<u8>>; CLASSES.len()]>,
    kept: Cell<usize>,
    lent: Cell<usize>,
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for (class, free) in self.free.get_mut().iter_mut().enumerate() {
            for ptr in free.drain(..) {
                // SAFETY: every pointer on a shelf came from `alloc_zeroed` with this layout and
                // has no holder left.
                unsafe { dealloc(ptr.as_ptr(), layout(CLASSES[class])) }
            }
        }
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, PAGE).expect("capacity is a bounded multiple of a page")
}

/// Memory of a length that is not recycled, straight from the system: pages that nobody touches
/// take no room, so a length that was only announced costs nothing. (An aligned `alloc_zeroed`
/// writes every byte.)
fn map(capacity: usize) -> Option<NonNull<u8>> {
    let length = NonZeroUsize::new(capacity).expect("above the largest class");
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new private mapping at an address of the kernel's choice overlaps nothing.
    let mapped = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE) };
    mapped.ok().map(NonNull::cast)
}

/// A shard's recycled memory. Cheap to clone (one shelf behind all clones).
#[derive(Clone)]
pub struct Pool(Rc<Shelf>);

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// An empty pool; memory is taken from the system on first use.
    pub fn new() -> Self {
        Pool(Rc::new(Shelf {
            free: RefCell::default(),
            kept: Cell::new(0),
            lent: Cell::new(0),
        }))
    }

    /// A block of at least `len` bytes. Contents are unspecified but initialised. Lengths above
    /// the largest class are allocated to measure (rounded up to a page) and not recycled.
    ///
    /// The caller has checked `len` against its own bound: this never refuses. Where the system
    /// does, the process ends.
    pub fn take(&self, len: usize) -> Block {
        self.try_take(len)
            .unwrap_or_else(|| handle_alloc_error(layout(len.next_multiple_of(PAGE))))
    }

    /// The same for a length that somebody else chose: `None` where the system has no room for it.
    pub fn try_take(&self, len: usize) -> Option<Block> {
        let shelf = &self.0;
        let (class, capacity) = match CLASSES.iter().position(|&c| c >= len) {
            Some(class) => (class as u8, CLASSES[class]),
            None => (u8::MAX, len.next_multiple_of(PAGE)),
        };
        let recycled = match class {
            u8::MAX => None,
            class => shelf.free.borrow_mut()[class as usize].pop(),
        };
        let ptr = match recycled {
            Some(ptr) => {
                shelf.kept.set(shelf.kept.get() - capacity);
                ptr
            }
            None if class == u8::MAX => map(capacity)?,
            None => {
                // SAFETY: the layout's size is not zero (the smallest class is a page).
                let raw = unsafe { alloc_zeroed(layout(capacity)) };
                NonNull::new(raw)?
            }
        };
        shelf.lent.set(shelf.lent.get() + capacity);
        Some(Block(Rc::new(Memory {
            ptr,
            capacity: capacity as u32,
            class,
            home: shelf.clone(),
        })))
    }

    /// Bytes lent out now.
    pub fn lent(&self) -> usize {
        self.0.lent.get()
    }

    /// Bytes kept for reuse now.
    pub fn kept(&self) -> usize {
        self.0.kept.get()
    }
}

struct Memory {
    ptr: NonNull<u8>,
    capacity: u32,
    class: u8,
    home: Rc<Shelf>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        let capacity = self.capacity as usize;
        let home = &self.home;
        home.lent.set(home.lent.get() - capacity);
        if self.class != u8::MAX && home.kept.get() + capacity <= limits::POOL_KEPT_BYTES_MAX {
            home.kept.set(home.kept.get() + capacity);
            home.free.borrow_mut()[self.class as usize].push(self.ptr);
        } else if self.class == u8::MAX {
            // SAFETY: the pointer came from `map` with this length; this was its last holder,
            // operations in flight included.
            let unmapped = unsafe { munmap(self.ptr.cast(), capacity) };
            debug_assert!(unmapped.is_ok());
        } else {
            // SAFETY: the pointer came from `alloc_zeroed` with this layout; this was its last
            // holder, operations in flight included.
            unsafe { dealloc(self.ptr.as_ptr(), layout(capacity)) }
        }
    }
}

/// Page-aligned memory, shared by reference count within one shard.
#[derive(Clone)]
pub struct Block(Rc<Memory>);

impl Block {
    /// Usable bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.0.capacity as usize
    }

    /// Address of byte `at`. Panics past the capacity.
    #[inline]
    pub fn ptr(&self, at: usize) -> *mut u8 {
        assert!(at <= self.capacity(), "block address {at} past its end");
        // SAFETY: `at` is within the allocation or one past it.
        unsafe { self.0.ptr.as_ptr().add(at) }
    }

    /// Bytes `[start, start + len)`. Panics past the capacity.
    #[inline]
    pub fn bytes(&self, start: usize, len: usize) -> &[u8] {
        assert!(len <= self.capacity() && start <= self.capacity() - len);
        // SAFETY: in bounds, initialised at allocation, and by this module's invariant nobody
        // writes bytes that are being looked at (`write` asks its caller for that).
        unsafe { std::slice::from_raw_parts(self.ptr(start), len) }
    }

    /// Bytes `[start, start + len)` for writing. Panics past the capacity.
    ///
    /// # Safety
    /// No other reference, [`Part`](super::Part) or operation in flight covers these bytes.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn bytes_mut(&self, start: usize, len: usize) -> &mut [u8] {
        assert!(len <= self.capacity() && start <= self.capacity() - len);
        // SAFETY: in bounds and initialised; exclusivity is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.ptr(start), len) }
    }

    /// Whether two handles name the same memory.
    #[inline]
    pub fn same(&self, other: &Block) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether this is the only handle.
    #[inline]
    pub fn sole(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({} B)", self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_recycled_last_in_first_out() {
        let pool = Pool::new();
        let first = pool.take(1);
        assert_eq!(first.capacity(), 4096);
        assert_eq!(first.ptr(0) as usize % PAGE, 0);
        let address = first.ptr(0);
        drop(first);
        assert_eq!((pool.lent(), pool.kept()), (0, 4096));
        assert_eq!(pool.take(4096).ptr(0), address);
    }

    #[test]
    fn a_block_above_the_largest_class_is_not_kept() {
        let pool = Pool::new();
        let large = pool.take(5_000_000);
        assert_eq!(large.capacity() % PAGE, 0);
        assert_eq!(pool.lent(), large.capacity());
        drop(large);
        assert_eq!((pool.lent(), pool.kept()), (0, 0));
    }
}
