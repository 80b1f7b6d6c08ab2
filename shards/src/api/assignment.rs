//! Partitions placed by hand: from brokers' ids to shards.
//!
//! Source: Kafka `ReplicationControlManager.validateManualPartitionAssignment`.

use odradek_wire::ErrorCode;

use super::Broker;
use super::change::Refused;

/// The ids by which replicas are named.
pub(super) struct Brokers {
    /// The first shard's; the others follow.
    pub first_id: i32,
    /// How many shards there are.
    pub count: u32,
    /// The node's own, where it is one broker: it says nothing about which shard.
    pub node: Option<i32>,
}

impl Brokers {
    pub(super) fn of(broker: &Broker) -> Brokers {
        Brokers {
            first_id: broker.settings.replica_id(0),
            count: broker.shards(),
            node: broker.one_address().then(|| broker.id()),
        }
    }

    pub(super) fn place(&self, id: i32) -> Option<Place> {
        if self.node == Some(id) {
            return Some(Place::Anywhere);
        }
        let shard = u32::try_from(id.checked_sub(self.first_id)?).ok()?;
        (shard < self.count).then_some(Place::Shard(shard))
    }
}

/// Where a replica is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Shard(u32),
    /// On this node.
    Anywhere,
}

impl Place {
    pub(super) fn shard(self) -> Option<u32> {
        match self {
            Place::Shard(shard) => Some(shard),
            Place::Anywhere => None,
        }
    }
}

/// The places of one partition's replicas: at least one.
pub(super) fn assigned(brokers: &Brokers, ids: &[i32]) -> Result<Vec<Place>, Refused> {
    let refuse = |why: String| Err((ErrorCode::InvalidReplicaAssignment, why));
    if ids.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".into());
    }
    let mut places = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let Some(place) = brokers.place(*id) else {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        };
        if ids[..number].contains(id) {
            return refuse(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
        places.push(place);
    }
    Ok(places)
}
