//! Requests of one connection keep their order where their ways change.
//!
//! Lanes keep the order of what goes to one shard. When a partition moves, its next request takes
//! another lane, or none: so it waits until all that was sent before has begun, wherever that was
//! passed on to.

use std::rc::Rc;

use futures_channel::oneshot;

use super::{Aside, LOST, There};
use crate::api::{Broker, Peer, Refusal};
use crate::runtime::{Gone, LocalFuture};

/// Whether something of a connection may be on its way to a shard to which its next request does not
/// go any more.
#[inline]
pub fn behind(broker: &Broker, peer: &Peer) -> bool {
    let (aside, moves) = (&peer.aside, broker.holdings.moves_seen());
    if aside.moves_seen.get() == moves {
        return false;
    }
    if aside.lanes.borrow().is_empty() {
        aside.moves_seen.set(moves);
        return false;
    }
    true
}

/// Waits until nothing is [behind]. On return the image may be looked at for where the next request
/// goes.
///
/// Once is enough, whatever moves meanwhile: nothing was sent since, and what has begun stays where it
/// is. Were it waited for until nothing moves, a partition that moves again and again would never be
/// written to. The lanes are empty then and begin anew: else each way that a request was passed on
/// would be asked for ever after.
///
/// # Errors
/// The node is stopping.
pub(in crate::api) async fn in_order(broker: &Broker, peer: &Peer) -> Result<(), Refusal> {
    if behind(broker, peer) {
        begun(&peer.aside).await?;
        peer.aside.lanes.borrow_mut().clear();
        peer.aside.moves_seen.set(broker.holdings.moves_seen());
    }
    Ok(())
}

/// Waits until all that was sent has begun.
async fn begun(aside: &Aside) -> Result<(), Refusal> {
    let lanes: Vec<_> = aside.lanes.borrow().iter().flatten().cloned().collect();
    let mut reached = Vec::with_capacity(lanes.len());
    for lane in lanes {
        let (send, reach) = oneshot::channel();
        let errand = move |there: Rc<There>| -> LocalFuture<()> {
            Box::pin(async move {
                if begun(&there.peer.aside).await.is_ok() {
                    let _ = send.send(());
                }
            })
        };
        lane.send(errand).await.map_err(|Gone| LOST)?;
        reached.push(reach);
    }
    for reach in reached {
        reach.await.map_err(|_| LOST)?;
    }
    Ok(())
}
