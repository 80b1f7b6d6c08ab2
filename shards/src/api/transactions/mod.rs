//! What the APIs of transactions have in common: finding a coordinator, joining a transaction.

pub mod markers;

use std::rc::Rc;

use odradek_engine::types::{ProducerEpoch, ProducerId};

use crate::coordinators::transactions::{JoinRequest, Member, Partitions, Reply, error};
use crate::coordinators::{TRANSACTIONS_TOPIC, TransactionHost, partition_for};
use crate::runtime::LocalFuture;

use super::{Broker, Refusal};

/// A coordinator that went away without a word: only when the shard is cut off.
pub(super) const GONE: Refusal = Refusal::Closed("the transaction coordinator has stopped");

/// How long a partition that wants to join waits for the end of what is in its way, milliseconds.
///
/// Source: Kafka `add.partitions.to.txn.retry.backoff.max.ms`.
const JOIN_WAIT_MS: i64 = 100;

/// What a request that writes in a transaction asks of the coordinator, by what its client knows.
///
/// Source: Kafka `TransactionSupportedOperation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// Its partitions must have been added.
    Verified,
    /// The same; it knows TRANSACTION_ABORTABLE.
    VerifiedAbortably,
    /// Its partitions are added now (KIP-890).
    Added,
}

impl Joining {
    /// Of a Produce request.
    pub fn of_produce(version: i16) -> Joining {
        match version {
            12.. => Joining::Added,
            11 => Joining::VerifiedAbortably,
            _ => Joining::Verified,
        }
    }

    /// Of a TxnOffsetCommit request.
    pub fn of_offsets(version: i16) -> Joining {
        match version {
            5.. => Joining::Added,
            4 => Joining::VerifiedAbortably,
            _ => Joining::Verified,
        }
    }

    /// What its client is told for what the coordinator says.
    ///
    /// Source: Kafka `AddPartitionsToTxnManager`.
    fn told(self, code: i16) -> i16 {
        match (code, self) {
            // Producers expect this one of whoever takes records.
            (error::PRODUCER_FENCED, _) => error::INVALID_PRODUCER_EPOCH,
            (error::TRANSACTION_ABORTABLE, Joining::Verified) => error::INVALID_TXN_STATE,
            (code, _) => code,
        }
    }
}

/// How often the coordinator is asked for one request. While it keeps who wants to join waiting, the
/// marker of the transaction before may come to the partition: then its answer could be of either, and
/// it is asked again.
pub(super) const ASKED_MAX: u32 = 4;

/// Who writes.
pub(super) fn member(id: &str, producer_id: i64, epoch: i16) -> Member {
    Member {
        id: id.to_owned(),
        producer_id: ProducerId(producer_id),
        epoch: ProducerEpoch(epoch),
    }
}

/// The shard that coordinates a transactional id.
pub(super) fn shard_of(broker: &Broker, id: &str) -> Option<u32> {
    let image = broker.image();
    let topic = image.topic(TRANSACTIONS_TOPIC)?;
    let index = partition_for(id, topic.partitions.len());
    topic.partitions.get(index).map(|entry| entry.shard)
}

/// Has the coordinator of a transactional id, wherever it is, add partitions to the open
/// transaction, or say whether they are in it. One error code for each.
pub(super) async fn join(
    broker: &Rc<Broker>,
    joining: Joining,
    member: Member,
    partitions: Vec<(String, i32)>,
) -> Vec<i16> {
    let count = partitions.len();
    let all = |code: i16| vec![joining.told(code); count];
    let Some(shard) = shard_of(broker, &member.id) else {
        return all(error::COORDINATOR_NOT_AVAILABLE);
    };
    let joined = if shard == broker.shard {
        join_here(broker, joining, &member, &partitions).await
    } else {
        let task = move |there: Rc<Broker>| -> LocalFuture<Result<Vec<i16>, i16>> {
            Box::pin(async move { join_here(&there, joining, &member, &partitions).await })
        };
        let asked = broker.mail.call(&broker.io, shard, task).await;
        asked.unwrap_or(Err(error::NOT_COORDINATOR))
    };
    match joined {
        Ok(codes) => codes.into_iter().map(|code| joining.told(code)).collect(),
        Err(code) => all(code),
    }
}

async fn join_here(
    broker: &Rc<Broker>,
    joining: Joining,
    member: &Member,
    partitions: &[(String, i32)],
) -> Result<Vec<i16>, i16> {
    let host = broker.transactions.serving(&member.id).await?;
    if joining != Joining::Added {
        return host.look(|shard| shard.verify(member, partitions));
    }
    let set = set_of(partitions.iter().map(|(topic, index)| (&**topic, *index)));
    let code = add(&host, member.clone(), set, 2).await?;
    Ok(vec![code; partitions.len()])
}

/// Adds partitions to a transaction here; an error code. Another's joining that is being written, or
/// the end of the transaction before, is waited for: clients would come again after longer.
pub(super) async fn add(
    host: &Rc<TransactionHost>,
    member: Member,
    partitions: Partitions,
    client_version: i16,
) -> Result<i16, i16> {
    let answer = host.question(|shard, ticket, now, out| {
        let request = JoinRequest {
            member,
            partitions,
            client_version,
            until_ms: now.saturating_add(JOIN_WAIT_MS),
        };
        shard.add(request, ticket, now, out);
    });
    match answer.await {
        Ok(Reply::Code(code)) => Ok(code),
        _ => Err(error::NOT_COORDINATOR),
    }
}

/// Partitions by topic, each once.
pub(super) fn set_of<'a>(all: impl Iterator<Item = (&'a str, i32)>) -> Partitions {
    let mut set = Partitions::new();
    for (topic, index) in all {
        set.entry(topic.to_owned()).or_default().insert(index);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_what_their_versions_know() {
        assert_eq!(Joining::of_produce(12), Joining::Added);
        assert_eq!(Joining::of_produce(11), Joining::VerifiedAbortably);
        assert_eq!(Joining::of_produce(10), Joining::Verified);
        assert_eq!(Joining::of_offsets(5), Joining::Added);
        assert_eq!(Joining::of_offsets(4), Joining::VerifiedAbortably);
        assert_eq!(Joining::of_offsets(3), Joining::Verified);
        let told = Joining::told;
        assert_eq!(told(Joining::Verified, 120), 48);
        assert_eq!(told(Joining::VerifiedAbortably, 120), 120);
        assert_eq!(told(Joining::Added, 90), 47);
        assert_eq!(told(Joining::Added, 51), 51);
    }
}
