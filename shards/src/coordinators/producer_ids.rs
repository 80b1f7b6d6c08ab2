//! Producer ids: never one twice, also over restarts.
//!
//! The controller hands out blocks and makes each durable before it is used; a shard serves ids
//! from its block alone. What is left of a block at a stop is lost, on purpose.
//!
//! Source: KIP-730, Kafka `ProducerIdManager`, `ProducerIdsBlock`.

use std::sync::Arc;

use async_lock::Mutex;
use odradek_engine::types::ProducerId;
use odradek_wire::metadata_records::{MetadataRecord, ProducerIdsRecord};

use crate::catalog::{Controller, Image};

/// Ids of one block, as in Kafka.
pub const BLOCK_IDS: i64 = 1_000;

/// Ids from `next` up to, without, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    next: i64,
    end: i64,
}

impl Block {
    fn take(&mut self) -> Option<ProducerId> {
        let id = self.next;
        (id < self.end).then(|| {
            self.next += 1;
            ProducerId(id)
        })
    }
}

/// A shard's ids.
#[derive(Default)]
pub struct ProducerIds(Mutex<Block>);

/// Why there is no id now.
#[derive(Debug, thiserror::Error)]
pub enum NoProducerId {
    #[error("the node is stopping")]
    Stopping,
    #[error("no block of producer ids: {0}")]
    Controller(String),
    #[error("all producer ids are used up")]
    Exhausted,
}

impl ProducerIds {
    /// The next id; asks the controller for a block if need be, once for all who wait.
    pub async fn next(
        &self,
        ask: impl AsyncFnOnce() -> Result<Block, NoProducerId>,
    ) -> Result<ProducerId, NoProducerId> {
        let mut block = self.0.lock().await;
        if let Some(id) = block.take() {
            return Ok(id);
        }
        *block = ask().await?;
        block.take().ok_or(NoProducerId::Exhausted)
    }
}

/// A block that nobody has, for a shard with this broker id. `publish`: as in
/// [`commit`](crate::catalog::controller::Change::commit).
pub async fn new_block(
    controller: &Controller,
    broker_id: i32,
    publish: impl AsyncFnOnce(Arc<Image>),
) -> Result<Block, NoProducerId> {
    let mut change = controller.begin().await;
    let next = change.image().next_producer_id;
    let end = next.checked_add(BLOCK_IDS).ok_or(NoProducerId::Exhausted)?;
    let record = MetadataRecord::ProducerIds(ProducerIdsRecord {
        broker_id,
        broker_epoch: 0,
        next_producer_id: end,
    });
    change
        .commit(&[record], publish)
        .await
        .map_err(|error| NoProducerId::Controller(error.to_string()))?;
    Ok(Block { next, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends() {
        let mut block = Block { next: 5, end: 7 };
        let ids: Vec<_> = std::iter::from_fn(|| block.take()).collect();
        assert_eq!(ids, [ProducerId(5), ProducerId(6)]);
        assert_eq!(block.take(), None);
        assert_eq!(Block::default().take(), None);
    }
}
