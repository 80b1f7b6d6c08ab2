//! The seam between deciding and performing.
//!
//! A shard's code awaits operations on [`Io`]; a [`Driver`] performs them: [`ring`] on io_uring,
//! [`poll`] on epoll and threads, [`sim`] in memory. Operations in flight live in a table that owns
//! their buffers until the driver is done with them, so a dropped future frees nothing early.
//!
//! Absent on purpose: what the bytes mean, and any second executor.

mod ahead;
/// What `called` is made of.
mod atomics {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
}
mod called;
mod calls;
mod choice;
mod core;
mod driver;
mod op;
mod ops;
mod pipe;
pub mod poll;
mod provided;
pub mod ring;
mod segment_file;
pub mod sim;
pub mod strategy;
mod timers;

pub use self::ahead::Ahead;
pub use self::calls::sockets::{Listening, close_now as close, listen_now as listen};
pub use self::choice::{Chosen, DriverChoice, DriverError, DriverKind};
pub use self::core::{Io, Pending};
pub use driver::{Completion, Driver, RemoteWake, Token};
pub use op::{Cache, Done, Errno, Handle, Op, OpenMode};
pub use ops::Received;
pub use pipe::Pipe;
pub use provided::{Provided, ProvidedPool};
pub use segment_file::{Doubt, FileRange, LentRange, SegmentFile, Source, SourceRange};
pub use timers::Sleep;
