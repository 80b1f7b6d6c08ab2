//! Connections on which nothing happens are closed after `connections.max.idle.ms`.
//!
//! One sweep per shard looks at all of them now and then; a connection only notes the time when
//! bytes have come or gone. So one may live for a quarter of the limit longer than it says.
//!
//! A connection whose request is being handled is not idle, however long that takes: a member that
//! joins a group waits for the others. (Apache Kafka would close it.)
//!
//! Source: Kafka `Selector.IdleExpiryManager`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::{Handle, Io, Op};

use crate::metrics::{Meter, bump};

/// The longest time between two sweeps.
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// When something last happened on a connection.
pub(super) struct Activity {
    socket: Handle,
    last: Cell<u64>,
    /// A request is being handled.
    handling: Cell<bool>,
    closed: Cell<bool>,
}

impl Activity {
    /// Of a connection that has just begun, at `now` nanoseconds.
    pub(super) fn new(socket: Handle, now: u64) -> Rc<Self> {
        Rc::new(Activity {
            socket,
            last: Cell::new(now),
            handling: Cell::new(false),
            closed: Cell::new(false),
        })
    }

    /// Bytes have come or gone.
    #[inline]
    pub(super) fn touch(&self, now: u64) {
        self.last.set(now);
    }

    /// A request is being handled from now on, or not any more.
    pub(super) fn handling(&self, handling: bool, now: u64) {
        self.handling.set(handling);
        self.touch(now);
    }

    fn idle_since(&self, before: u64) -> bool {
        !self.handling.get() && self.last.get() < before
    }
}

/// The connections of a shard.
#[derive(Default)]
pub(super) struct Idle {
    all: RefCell<BTreeMap<i32, Rc<Activity>>>,
}

impl Idle {
    /// Looks after a connection until [`leave`](Self::leave), which must come before its socket
    /// is closed: its number may be another's then.
    pub(super) fn enter(&self, activity: &Rc<Activity>) {
        let before = self
            .all
            .borrow_mut()
            .insert(activity.socket.0, activity.clone());
        assert!(before.is_none(), "a socket is one connection's");
    }

    /// The connection has ended.
    pub(super) fn leave(&self, socket: Handle) {
        self.all.borrow_mut().remove(&socket.0);
    }

    /// Closes what has been idle for `limit`, again and again.
    pub(super) async fn sweep(&self, io: &Io, limit: Duration, meter: &Meter) {
        let pause = (limit / 4).clamp(Duration::from_millis(1), SWEEP_MAX);
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        loop {
            io.sleep(pause).await;
            let Some(before) = io.now().checked_sub(limit) else {
                continue;
            };
            let mut closed = 0;
            for activity in self.all.borrow().values() {
                if activity.idle_since(before) && !activity.closed.replace(true) {
                    closed += 1;
                    let socket = activity.socket;
                    // Both tasks of the connection end by it.
                    drop(io.submit(Op::Shutdown { socket }));
                }
            }
            if closed > 0 {
                bump(&meter.idle_closed, closed);
                tracing::debug!(closed, "connections were idle for connections.max.idle.ms");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_nothing_has_happened_and_nothing_is_handled() {
        let activity = Activity::new(Handle(7), 100);
        assert!(!activity.idle_since(100) && activity.idle_since(101));
        activity.touch(150);
        assert!(!activity.idle_since(150) && activity.idle_since(151));
        activity.handling(true, 160);
        assert!(!activity.idle_since(1000));
        activity.handling(false, 500);
        assert!(!activity.idle_since(500) && activity.idle_since(501));
    }
}
