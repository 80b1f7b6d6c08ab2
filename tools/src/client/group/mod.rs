//! Consumer groups of the classic protocol: looked at from outside, and joined.

mod assign;
mod coordinator;
mod describe;
mod heartbeat;
mod member;
mod protocol;

pub use assign::{Assignment, Subscriber, assign_ranges};
pub use coordinator::{call_coordinator, commit, committed, find_coordinator};
pub use describe::{Description, Member, describe};
pub use member::{GroupOptions, Membership};
