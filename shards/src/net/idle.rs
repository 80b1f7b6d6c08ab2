//! Connections on which nothing happens are closed after `connections.max.idle.ms`.
//!
//! One sweep per shard looks at all of them now and then; a connection only notes the time when
//! bytes have come or gone. So one may live for a quarter of the limit longer than it says.
//!
//! A connection whose request is being handled is not idle, however long that takes: a member that
//! joins a group waits for the others. (Apache Kafka would close it.)
//!
//! That a client falls silent between requests is ordinary, and said at the level debug. One that
//! stops in the middle of a request, or that takes no replies, is worth a warning.
//!
//! Source: Kafka `Selector.IdleExpiryManager`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::{Handle, Io, Op};

use crate::metrics::{Meter, bump};
use crate::runtime::Quiet;

/// The longest time between two sweeps.
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// What a connection that has fallen silent was in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Nothing,
    /// A request whose end has not come.
    Request,
    /// A reply that its peer does not take.
    Reply,
}

/// When something last happened on a connection, and what is awaited of its peer.
pub(super) struct Activity {
    socket: Handle,
    last: Cell<u64>,
    /// A request is being handled.
    handling: Cell<bool>,
    /// The rest of a request is being received.
    receiving: Cell<bool>,
    /// A reply is being sent.
    sending: Cell<bool>,
    /// The sweep has closed it.
    closed: Cell<Option<Silence>>,
}

impl Activity {
    /// Of a connection that has just begun, at `now` nanoseconds.
    pub(super) fn new(socket: Handle, now: u64) -> Rc<Self> {
        Rc::new(Activity {
            socket,
            last: Cell::new(now),
            handling: Cell::new(false),
            receiving: Cell::new(false),
            sending: Cell::new(false),
            closed: Cell::new(None),
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

    /// The rest of a request is being received from now on, or not any more.
    pub(super) fn receiving(&self, receiving: bool) {
        self.receiving.set(receiving);
    }

    /// A reply is being sent from now on, or not any more.
    #[inline]
    pub(super) fn sending(&self, sending: bool) {
        self.sending.set(sending);
    }

    /// What it was in the middle of when the sweep closed it, if that has closed it.
    pub(super) fn closed(&self) -> Option<Silence> {
        self.closed.get()
    }

    fn idle_since(&self, before: u64) -> bool {
        !self.handling.get() && self.last.get() < before
    }

    fn silence(&self) -> Silence {
        match (self.sending.get(), self.receiving.get()) {
            (true, _) => Silence::Reply,
            (false, true) => Silence::Request,
            (false, false) => Silence::Nothing,
        }
    }
}

/// The connections of a shard.
#[derive(Default)]
pub(super) struct Idle {
    all: RefCell<BTreeMap<i32, Rc<Activity>>>,
    /// Rate limits of log lines: about requests that do not end, about replies that are not taken.
    unfinished: Quiet,
    untaken: Quiet,
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
                if activity.idle_since(before) && activity.closed.get().is_none() {
                    closed += 1;
                    activity.closed.set(Some(activity.silence()));
                    let socket = activity.socket;
                    // Both tasks of the connection end by it.
                    drop(io.submit(Op::Shutdown { socket }));
                }
            }
            if closed > 0 {
                bump(&meter.idle_closed, closed);
            }
        }
    }

    /// Says that the sweep has closed a connection after `limit_ms`.
    pub(super) fn tell(
        &self,
        io: &Io,
        address: Option<SocketAddr>,
        silence: Silence,
        limit_ms: i64,
    ) {
        match silence {
            Silence::Nothing => tracing::debug!(
                ?address,
                "connection closed: idle for connections.max.idle.ms={limit_ms}"
            ),
            Silence::Request => self.unfinished.log(io, || {
                tracing::warn!(
                    ?address,
                    "connection closed: its peer did not finish a request within \
                     connections.max.idle.ms={limit_ms}"
                );
            }),
            Silence::Reply => self.untaken.log(io, || {
                tracing::warn!(
                    ?address,
                    "connection closed: its peer did not take a reply within \
                     connections.max.idle.ms={limit_ms}"
                );
            }),
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

    #[test]
    fn silence_is_told_by_what_the_peer_owes() {
        let activity = Activity::new(Handle(7), 100);
        assert_eq!(activity.silence(), Silence::Nothing);
        activity.receiving(true);
        assert_eq!(activity.silence(), Silence::Request);
        // Who takes nothing is not waited for with the rest of a request.
        activity.sending(true);
        assert_eq!(activity.silence(), Silence::Reply);
        activity.receiving(false);
        assert_eq!(activity.silence(), Silence::Reply);
        activity.sending(false);
        assert_eq!(activity.silence(), Silence::Nothing);
    }
}
