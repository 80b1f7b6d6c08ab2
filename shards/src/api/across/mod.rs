//! Requests that belong to other shards. In one-address mode any shard gets any request, and sends it,
//! or its parts, where they belong. In core mode that is done with produce requests only, for
//! partitions that the shard gave away of late: producers go on without an error, and go to the new
//! owner when they next look at the metadata.
//!
//! A connection has a lane to each shard that it concerned: what goes there is begun in the order
//! of the connection's requests. Requests travel as they came, long ones without being copied;
//! answers are joined in the order of the request. Produce requests and offset commits are taken
//! while earlier ones are on their way, as they are where there is nothing to send; every other
//! request holds up its connection. A connection that keeps to one other shard goes there.
//! Where what went to one shard goes to another from now on, what is on its way has [begun](order)
//! before.
//!
//! What is on its way counts where the connection is: among its replies, and in the room that
//! the shard has for requests. A full lane or inbox makes the connection wait, and its peer.

mod ask;
mod by_key;
mod by_partition;
mod everywhere;
mod order;
mod passed_on;
mod places;
mod split;
mod streak;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub(super) use self::ask::{Carried, LOST, ask, carry, lane, later, read, taken, to};
pub use self::order::behind;
pub(super) use self::order::in_order;
pub use self::passed_on::{OnItsWay, PassedOn};
pub(super) use self::places::{key, shard_of_partition};
pub(super) use self::split::{distinct, join, sole};
use self::streak::Streak;
use super::fetch_sessions::Session;
use super::throttle::Wait;
use super::{Broker, Call, Outcome, Peer, Refusal, produce, table};
use crate::net::Request;
use crate::runtime::Lane;

/// What errands at another shard are given.
pub(super) struct There {
    pub broker: Rc<Broker>,
    /// Who asks, as that shard sees it.
    pub peer: Rc<Peer>,
}

/// What is kept of a connection.
#[derive(Default)]
pub struct Aside {
    /// By shard, as far as there are any.
    lanes: RefCell<Vec<Option<Rc<Lane<There>>>>>,
    /// What it knows of [`Holdings::moves_seen`](crate::catalog::Holdings::moves_seen).
    moves_seen: Cell<u64>,
    streak: Cell<Streak>,
    /// The fetch session that was last used on it; 0 if none was.
    session: Cell<i32>,
    /// How long the client is to wait after the request that is being handled.
    pub(super) wait: Cell<Wait>,
}

/// What of it goes along to another shard.
pub struct Luggage {
    moves: u32,
    session: Option<(i32, Session)>,
}

impl Aside {
    /// A request concerned one shard.
    #[inline]
    pub fn note(&self, shard: u32) {
        let mut streak = self.streak.get();
        streak.note(shard);
        self.streak.set(streak);
    }

    /// A request concerned several shards.
    pub(super) fn mixed(&self) {
        let mut streak = self.streak.get();
        streak.mixed();
        self.streak.set(streak);
    }

    /// This fetch session is the connection's.
    pub(super) fn fetches_by(&self, session: i32) {
        self.session.set(session);
    }
}

/// Whether a request may belong to another shard.
#[inline]
fn concerns(broker: &Broker, api_key: i16) -> bool {
    broker.one_address() || api_key == produce::KEY
}

/// Answers a request, here or wherever it belongs.
pub async fn answer(
    row: &'static table::Row,
    call: Call<'_>,
    request: &Request<'_>,
) -> Result<Outcome, Refusal> {
    match concerns(call.broker, call.api_key) {
        false => (row.handler)(call).await,
        true => handle(row, call, request).await,
    }
}

/// Answers a request, wherever it belongs.
async fn handle(
    row: &'static table::Row,
    call: Call<'_>,
    request: &Request<'_>,
) -> Result<Outcome, Refusal> {
    in_order(call.broker, call.peer).await?;
    match places::place(call.api_key) {
        Some(places::Place::One(shard_of)) => {
            let shard = shard_of(&call)?;
            to(shard, row, call, request).await
        }
        Some(places::Place::Parts(handler)) => handler(row, call, request).await,
        Some(places::Place::Any) | None => (row.handler)(call).await,
    }
}

/// The shard that a connection should go to.
#[inline]
pub fn bound_for(broker: &Broker, peer: &Peer) -> Option<u32> {
    peer.aside.streak.get().bound_for(broker.shard)
}

/// What goes along with a connection that leaves this shard.
pub fn pack(broker: &Broker, peer: &Peer) -> Luggage {
    let aside = &peer.aside;
    let id = aside.session.get();
    let session = broker.fetch_sessions.borrow_mut().take(id);
    Luggage {
        moves: aside.streak.get().next(),
        session: session.map(|session| (id, session)),
    }
}

/// Takes what came along with a connection.
pub fn unpack(broker: &Broker, peer: &Peer, luggage: Luggage) {
    peer.aside.streak.set(Streak::after(luggage.moves));
    if let Some((id, session)) = luggage.session {
        let mut sessions = broker.fetch_sessions.borrow_mut();
        if sessions.put(broker.io.now(), id, session) {
            peer.aside.fetches_by(id);
        }
    }
}
