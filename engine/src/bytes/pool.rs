//! Size-classed, page-aligned blocks, recycled within one shard.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::rc::Rc;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::{PAGE, poison};

/// Capacities of recycled blocks, bytes. The largest takes a 1 MiB produce request whole.
const CLASSES: [usize; 5] = [
    4 * 1024,
    16 * 1024,
    64 * 1024,
    256 * 1024,
    1024 * 1024 + 64 * 1024,
];

/// Recycled blocks are cut from mappings of this length. Not from the heap: there, aligned blocks
/// leave holes that fit nothing, and what is freed between others in use stays with the process.
const REGION_BYTES: usize = 16 << 20;
const _: () = assert!(REGION_BYTES >= CLASSES[CLASSES.len() - 1]);

struct Shelf {
    /// Free blocks, those that have not been used for longest in front.
    free: RefCell<[VecDeque<NonNull<u8>>; CLASSES.len()]>,
    /// The fewest that were free since somebody [looked](Pool::shed_idle).
    fewest: [Cell<usize>; CLASSES.len()],
    /// Free blocks without memory: it was returned to the system, and comes back on first use.
    bare: RefCell<[Vec<NonNull<u8>>; CLASSES.len()]>,
    /// What is left of the newest region.
    rest: Cell<Option<(NonNull<u8>, usize)>>,
    regions: RefCell<Vec<NonNull<u8>>>,
    kept: Cell<usize>,
    lent: Cell<usize>,
    taken: Cell<u64>,
}

impl Shelf {
    /// A block that was never used; `None` where the system has no room.
    fn cut(&self, capacity: usize) -> Option<NonNull<u8>> {
        let (start, left) = match self.rest.get().filter(|(_, left)| *left >= capacity) {
            Some(rest) => rest,
            None => {
                let region = map(REGION_BYTES)?;
                // What the disk and the network are told of is then a few long pieces, not one for
                // each page.
                // SAFETY: the mapping is new and whole. Should the system have no large pages, it
                // is memory as well.
                let _ = unsafe { madvise(region.cast(), REGION_BYTES, MmapAdvise::MADV_HUGEPAGE) };
                self.regions.borrow_mut().push(region);
                (region, REGION_BYTES)
            }
        };
        // SAFETY: `left` bytes from `start` on are of one mapping, and these are some of them.
        let rest = unsafe { start.add(capacity) };
        self.rest.set(Some((rest, left - capacity)));
        Some(start)
    }

    /// The free block that was used last.
    fn recycle(&self, class: usize) -> Option<NonNull<u8>> {
        let free = &mut self.free.borrow_mut()[class];
        let ptr = free.pop_back()?;
        let fewest = &self.fewest[class];
        fewest.set(fewest.get().min(free.len()));
        Some(ptr)
    }

    /// Returns a free block's memory to the system, and keeps its address.
    fn strip(&self, class: usize, ptr: NonNull<u8>) {
        // SAFETY: the block is whole pages of a region and free: nobody looks at it. Should the
        // system not take its memory, it is a free block as well.
        let _ = unsafe { madvise(ptr.cast(), CLASSES[class], MmapAdvise::MADV_DONTNEED) };
        self.bare.borrow_mut()[class].push(ptr);
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for region in self.regions.get_mut().drain(..) {
            poison::open(region, REGION_BYTES);
            // SAFETY: it came from `map` with this length, and the shelf outlives every block.
            let unmapped = unsafe { munmap(region.cast(), REGION_BYTES) };
            debug_assert!(unmapped.is_ok());
        }
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, PAGE).expect("capacity is a bounded multiple of a page")
}

/// Memory straight from the system: pages that nobody touches take no room, so a length that was
/// only announced costs nothing. (An aligned `alloc_zeroed` writes every byte.)
fn map(capacity: usize) -> Option<NonNull<u8>> {
    let length = NonZeroUsize::new(capacity).expect("a class, a region, or more");
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
            fewest: Default::default(),
            bare: RefCell::default(),
            rest: Cell::new(None),
            regions: RefCell::default(),
            kept: Cell::new(0),
            lent: Cell::new(0),
            taken: Cell::new(0),
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
            class => shelf.recycle(class as usize),
        };
        let ptr = match recycled {
            Some(ptr) => {
                shelf.kept.set(shelf.kept.get() - capacity);
                ptr
            }
            None if class == u8::MAX => map(capacity)?,
            None => match shelf.bare.borrow_mut()[class as usize].pop() {
                Some(ptr) => ptr,
                None => shelf.cut(capacity)?,
            },
        };
        poison::open(ptr, capacity);
        shelf.lent.set(shelf.lent.get() + capacity);
        shelf.taken.set(shelf.taken.get() + 1);
        Some(Block(Rc::new(Memory {
            ptr,
            capacity: capacity as u32,
            class,
            home: shelf.clone(),
        })))
    }

    /// Returns memory that is kept for reuse to the system, all but `keep` bytes, large blocks
    /// first: for a shard that has gone quiet.
    pub fn shed(&self, keep: usize) {
        self.strip_over(keep, |_, free| free);
    }

    /// The same of what nobody has needed since the last call. What goes round is never returned,
    /// however much it is: the system would have to find it, clear it and map it again.
    pub fn shed_idle(&self, keep: usize) {
        let shelf = &self.0;
        self.strip_over(keep, |class, free| free.min(shelf.fewest[class].get()));
        for (fewest, free) in shelf.fewest.iter().zip(shelf.free.borrow().iter()) {
            fewest.set(free.len());
        }
    }

    /// Strips free blocks while more than `keep` bytes are kept: of a class, and of as many of it as
    /// are free, at most so many.
    fn strip_over(&self, keep: usize, most: impl Fn(usize, usize) -> usize) {
        let shelf = &self.0;
        for (class, capacity) in CLASSES.iter().enumerate().rev() {
            let over = shelf.kept.get().saturating_sub(keep).div_ceil(*capacity);
            let free = &mut shelf.free.borrow_mut()[class];
            let over = over.min(most(class, free.len()));
            for ptr in free.drain(..over) {
                shelf.strip(class, ptr);
            }
            shelf.kept.set(shelf.kept.get() - over * capacity);
        }
    }

    /// Blocks taken since the start.
    pub fn taken(&self) -> u64 {
        self.0.taken.get()
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
        if self.class != u8::MAX {
            home.kept.set(home.kept.get() + capacity);
            poison::close(self.ptr, capacity);
            home.free.borrow_mut()[self.class as usize].push_back(self.ptr);
        } else {
            // SAFETY: the pointer came from `map` with this length; this was its last holder,
            // operations in flight included.
            let unmapped = unsafe { munmap(self.ptr.cast(), capacity) };
            debug_assert!(unmapped.is_ok());
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
    fn what_is_shed_takes_no_memory_and_is_used_again() {
        let pool = Pool::new();
        let blocks: Vec<Block> = (0..100).map(|_| pool.take(PAGE)).collect();
        for block in &blocks {
            // SAFETY: nobody else holds it.
            unsafe { block.bytes_mut(0, PAGE) }.fill(7);
        }
        let addresses: Vec<_> = blocks.iter().map(|block| block.ptr(0)).collect();
        drop(blocks);
        pool.shed(10 * PAGE);
        assert_eq!(pool.kept(), 10 * PAGE);
        let again: Vec<Block> = (0..100).map(|_| pool.take(PAGE)).collect();
        assert_eq!(pool.kept(), 0);
        let bare = again
            .iter()
            .filter(|block| block.bytes(0, PAGE) == [0; PAGE]);
        assert_eq!(bare.count(), 90, "their memory had gone");
        assert!(again.iter().all(|block| addresses.contains(&block.ptr(0))));
    }

    #[test]
    fn what_goes_round_is_kept_and_what_lies_idle_is_shed() {
        let pool = Pool::new();
        let round = |count: usize| drop((0..count).map(|_| pool.take(PAGE)).collect::<Vec<_>>());
        round(100);
        pool.shed_idle(0);
        assert_eq!(pool.kept(), 100 * PAGE, "all of it was used");
        round(30);
        pool.shed_idle(20 * PAGE);
        assert_eq!(pool.kept(), 30 * PAGE, "thirty were used");
        pool.shed_idle(20 * PAGE);
        assert_eq!(
            pool.kept(),
            20 * PAGE,
            "none was used, and so many may stay"
        );
    }

    #[test]
    fn blocks_of_all_sizes_lie_apart() {
        let pool = Pool::new();
        let sizes = CLASSES.iter().cycle().take(100);
        let blocks: Vec<Block> = sizes.map(|size| pool.take(*size)).collect();
        let mut spans: Vec<(usize, usize)> = blocks
            .iter()
            .map(|block| (block.ptr(0) as usize, block.capacity()))
            .collect();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
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
