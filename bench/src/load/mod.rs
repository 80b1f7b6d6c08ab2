//! What is asked of a server: who sends which messages when.
//!
//! Pure: a load is a value ([`Load`]), and everything drawn from it (arrival times, keys, sizes,
//! contents) follows from its seed. The same seed asks the same of every contestant.
//!
//! Absent on purpose: clocks, I/O (but for the file that a replay reads), the protocol.

mod arrivals;
mod contents;
mod keys;
mod random;
mod sizes;
mod spec;
mod units;

pub use arrivals::{Arrivals, Timetable};
pub use contents::Contents;
pub use keys::{KEY_BYTES, KeyDraw, Keys};
pub use random::{Random, random};
pub use sizes::{SizeDraw, Sizes};
pub use spec::{Acks, Codec, Load, Partitioning, Reading};
pub use units::{bytes_of, duration_of, rate_of};
