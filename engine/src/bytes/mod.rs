//! Memory that the kernel may read or write while we look away.
//!
//! A [`Block`] is a reference-counted, page-aligned span from a shard's [`Pool`]. It lives until
//! its last holder lets go, which includes every operation in flight on it.
//!
//! Invariants: a byte handed to the kernel or covered by a [`Part`] is never written again;
//! recycled blocks keep their old contents (padding must be zeroed by whoever writes it); memory
//! is recycled last-in-first-out, because fresh pages cost more than a copy.
//!
//! Absent on purpose: threads (a pool belongs to one shard; what others may see of it is lent), I/O.

mod lend;
mod part;
mod poison;
mod pool;
mod source;

pub use lend::{Lender, LentBytes, Loan};
pub use part::{Part, Parts, parts_len};
pub use pool::{Block, Pool};
pub use source::Source;

/// Direct I/O alignment for memory, file position and length, bytes. 4 KiB satisfies every
/// common logical block size (512 and 4096).
pub const PAGE: usize = 4096;

/// `n` rounded down to a page boundary.
#[inline]
pub const fn page_floor(n: u64) -> u64 {
    n & !(PAGE as u64 - 1)
}

/// `n` rounded up to a page boundary.
#[inline]
pub const fn page_ceil(n: u64) -> u64 {
    page_floor(n + PAGE as u64 - 1)
}
