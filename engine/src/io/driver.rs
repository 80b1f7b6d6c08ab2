//! The seam: everything a shard knows of the outside world.

use std::sync::Arc;
use std::time::Duration;

use super::op::{Handle, Op};
use super::provided::Provided;

/// Names an operation in flight: an index into the operation table.
pub type Token = u32;

/// A driver's answer to one operation. Every operation gets exactly one that is not `lent`, its
/// last.
pub struct Completion {
    /// Which operation.
    pub token: Token,
    /// Non-negative: see [`Op`]; negative: a negated error number.
    pub result: i32,
    /// The buffer of a [`Op::RecvProvided`].
    pub provided: Option<Provided>,
    /// More bytes wait in the socket.
    pub more_waiting: bool,
    /// The result is known, the operation's memory is still in use: another completion will say
    /// that it is free.
    pub lent: bool,
}

/// Wakes a driver that sleeps in [`Driver::reap`], from any thread.
pub trait RemoteWake: Send + Sync + std::fmt::Debug {
    /// Whether a wake-up must still be delivered: false if one is already under way. Whoever
    /// gets true delivers it, by `deliver` or by [`Op::Wake`].
    fn claim(&self) -> bool;

    /// Delivers a claimed wake-up.
    fn deliver(&self);

    /// What a peer's ring can send a message to, if that is possible: cheaper than `deliver`.
    fn ring(&self) -> Option<Handle> {
        None
    }

    /// After this returns, the driver's current or next `reap` does not sleep.
    fn wake(&self) {
        if self.claim() {
            self.deliver();
        }
    }
}

/// Performs operations. Single-threaded: made, used and dropped on one shard's thread.
pub trait Driver {
    /// Starts an operation. `op` stays at its address, untouched by anyone else, until its
    /// completion has been reaped. May complete at once, but only `reap` reports it.
    fn submit(&mut self, token: Token, op: &mut Op);

    /// Asks that an operation end early; it still completes, perhaps with ECANCELED.
    fn cancel(&mut self, token: Token);

    /// Hands over what was submitted, sleeps at most `wait` for a completion (forever if `None`,
    /// not at all if zero) and pushes what has completed.
    fn reap(&mut self, wait: Option<Duration>, completed: &mut Vec<Completion>);

    /// Monotonic time, nanoseconds from an arbitrary point.
    fn now(&self) -> u64;

    /// Wall-clock time, milliseconds since the Unix epoch.
    fn wall_clock(&self) -> i64;

    /// Random bits (from the seed, under simulation).
    fn random(&mut self) -> u64;

    /// A handle by which other threads wake this driver.
    fn remote(&self) -> Arc<dyn RemoteWake>;

    /// Whether dropping it lets go at once of all memory of the operations in flight. If not,
    /// that memory must outlive it.
    fn abandonable(&self) -> bool {
        false
    }

    /// A socket goes to another shard's driver: this one forgets it. No operation on it is in
    /// flight.
    fn give_away(&mut self, _socket: Handle) {}

    /// Whether it has [`Op::Pipe`] and the splices. Where not, [`super::Io`] offers sendfile in
    /// their place.
    fn pipes(&self) -> bool {
        false
    }

    /// Whether it has [`Op::SendZeroCopy`]. Where not, [`super::Io`] sends copies.
    fn zero_copy(&self) -> bool {
        false
    }

    /// One line on what the driver got from the system.
    fn describe(&self) -> String;
}
