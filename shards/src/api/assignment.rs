//! Partitions placed by hand: from brokers' ids to shards.
//!
//! Source: Kafka `ReplicationControlManager.validateManualPartitionAssignment`.

use odradek_wire::ErrorCode;

use super::Broker;
use super::change::Refused;

/// The brokers that there are.
pub(super) struct Brokers {
    pub first_id: i32,
    pub count: u32,
    /// Each shard is one; else a broker's id says nothing about which.
    pub are_shards: bool,
}

impl Brokers {
    pub(super) fn of(broker: &Broker) -> Brokers {
        Brokers {
            first_id: *broker.ids().start(),
            count: broker.ids().count() as u32,
            are_shards: !broker.one_address(),
        }
    }

    fn shard(&self, id: i32) -> Option<u32> {
        let shard = u32::try_from(id.checked_sub(self.first_id)?).ok()?;
        (shard < self.count).then_some(shard)
    }
}

/// The shards of one partition's replicas: at least one.
pub(super) fn assigned(brokers: &Brokers, ids: &[i32]) -> Result<Vec<u32>, Refused> {
    let refuse = |why: String| Err((ErrorCode::InvalidReplicaAssignment, why));
    if ids.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".into());
    }
    let mut shards = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let Some(shard) = brokers.shard(*id) else {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        };
        if ids[..number].contains(id) {
            return refuse(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
        shards.push(shard);
    }
    Ok(shards)
}
