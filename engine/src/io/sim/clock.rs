//! How long things take in virtual time.
//!
//! Each operation draws its own delay, so two operations in flight complete in either order.

use super::rng::Rng;
use crate::io::op::Op;

/// Virtual time at which a world begins, nanoseconds: not zero, as no machine's is.
pub(super) const START: u64 = 1_000_000_000;

/// Wall-clock time at virtual time zero, milliseconds since the Unix epoch.
pub(super) const EPOCH: i64 = 1_750_000_000_000;

/// What a pass of an executor that does not sleep takes, nanoseconds. Without it, a task that
/// yields until something has happened would wait forever.
pub(super) const PASS: u64 = 1_000;

const MICROSECOND: u64 = 1_000;

/// One operation in this many takes far longer than its kind usually does.
const SLOW_ONE_IN: u64 = 64;
const SLOW_TIMES: u64 = 20;

/// The delay between the submission of `op` and its completion (for what waits for a peer:
/// before it first looks), nanoseconds.
pub(super) fn delay(rng: &mut Rng, op: &Op) -> u64 {
    let (low, high) = match op {
        Op::Write { dsync: true, .. } => (20, 500),
        Op::Write { .. } | Op::Read { cached: false, .. } => (5, 200),
        Op::DataSync { .. } | Op::Sync { .. } => (50, 2_000),
        Op::SyncFileSystem { .. } => (200, 20_000),
        Op::Open { .. }
        | Op::Rename { .. }
        | Op::Remove { .. }
        | Op::RemoveDir { .. }
        | Op::MakeDir { .. }
        | Op::Allocate { .. }
        | Op::Truncate { .. } => (5, 100),
        _ => (1, 20),
    };
    let usual = rng.range(low * MICROSECOND, high * MICROSECOND);
    if rng.one_in(SLOW_ONE_IN) {
        usual * SLOW_TIMES
    } else {
        usual
    }
}

/// How long bytes travel between two sockets, nanoseconds.
pub(super) fn travel(rng: &mut Rng) -> u64 {
    rng.range(MICROSECOND, 30 * MICROSECOND)
}
