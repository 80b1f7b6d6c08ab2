//! What the APIs of consumer groups have in common.

use std::rc::Rc;

use crate::coordinators::GroupHost;
use crate::coordinators::groups::error;

use super::{Broker, Peer, Refusal};

/// A coordinator that went away without a word: only when the shard is cut off.
pub(super) const GONE: Refusal = Refusal::Closed("the group coordinator has stopped");

/// The coordinator of a group that a member names; members' groups have a name.
pub(super) async fn of_member(broker: &Rc<Broker>, group_id: &str) -> Result<Rc<GroupHost>, i16> {
    if group_id.is_empty() {
        return Err(error::INVALID_GROUP_ID);
    }
    broker.groups.serving(group_id).await
}

/// A client's host as Kafka shows it: Java's `InetAddress.toString`, without a name.
pub(super) fn client_host(peer: &Peer) -> String {
    format!("/{}", peer.host())
}

/// 128 random bits.
pub(super) fn random_uuid(broker: &Broker) -> u128 {
    u128::from(broker.io.random()) << 64 | u128::from(broker.io.random())
}
