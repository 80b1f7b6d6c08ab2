//! Provided receive buffers: a ring of free buffers shared with the kernel.

use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::setup::RingOptions;
use crate::bytes::{Block, Pool};
use crate::io::provided::{Provided, ProvidedPool};

const GROUP: u16 = 0;

/// The ring of free buffers: entries in page-aligned memory, the tail in entry 0's spare field.
struct Free {
    entries: Block,
    mask: u16,
    tail: std::cell::Cell<u16>,
}

impl Free {
    fn give(&self, id: u16, address: *mut u8, len: u32) {
        let tail = self.tail.get();
        let at = usize::from(tail & self.mask) * size_of::<BufRingEntry>();
        let entry = self.entries.ptr(at).cast::<BufRingEntry>();
        // SAFETY: `entry` lies within the block (the mask bounds it) and is aligned; the kernel
        // reads entries only below the tail that it has seen, and this one is at the tail.
        unsafe {
            (*entry).set_addr(address as u64);
            (*entry).set_len(len);
            (*entry).set_bid(id);
        }
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the tail field is within entry 0, aligned for u16, and the kernel only reads it.
        let shared = unsafe {
            let base = self.entries.ptr(0).cast::<BufRingEntry>();
            AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut())
        };
        shared.store(tail.wrapping_add(1), Ordering::Release);
    }
}

/// A registered buffer group.
pub(super) struct Buffers {
    free: Rc<Free>,
    memory: Rc<ProvidedPool>,
}

impl Buffers {
    pub(super) fn register(
        ring: &IoUring,
        pool: &Pool,
        options: &RingOptions,
    ) -> Result<Self, std::io::Error> {
        let count = options.provided_count;
        assert!(count.is_power_of_two(), "the kernel masks the tail");
        let entries = pool.take(usize::from(count) * size_of::<BufRingEntry>());
        // SAFETY: the memory is page-aligned, large enough for `count` entries, and lives in
        // `free` for as long as the ring can use it: the ring is dropped first.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                entries.ptr(0) as u64,
                count,
                GROUP,
                0,
            )?;
        }
        let free = Rc::new(Free {
            entries,
            mask: count - 1,
            tail: std::cell::Cell::new(0),
        });
        let memory = ProvidedPool::new(pool, count, options.provided_bytes, Box::new(|_| {}));
        for id in 0..count {
            free.give(id, memory.address(id), memory.size());
        }
        let home = Rc::downgrade(&memory);
        let returns = free.clone();
        memory.on_return(Box::new(move |id| {
            if let Some(memory) = home.upgrade() {
                returns.give(id, memory.address(id), memory.size());
            }
        }));
        Ok(Buffers { free, memory })
    }

    pub(super) fn group(&self) -> u16 {
        GROUP
    }

    pub(super) fn lend(&self, id: u16, len: u32) -> Provided {
        self.memory.lend(id, len)
    }

    pub(super) fn give_back(&self, id: u16) {
        self.free
            .give(id, self.memory.address(id), self.memory.size());
    }
}
