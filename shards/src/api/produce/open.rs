//! Records of a transaction: their partitions must be part of it before the first is taken.
//!
//! The coordinator is asked once for each transaction and partition, for all partitions of a request
//! together: from Produce version 12 on the partitions join by being written to, before that it is
//! asked whether they have joined (KIP-890). Then the partition itself remembers the transaction,
//! until its marker comes.
//!
//! Between the coordinator's answer and the append a marker may have come in: then the answer holds
//! no more. It is asked again then, since the marker may be that of the transaction before, and at last
//! the producer is told to try again: it asks the coordinator anew. Else its records might be in a
//! transaction that nobody ends.
//!
//! Source: Kafka `ReplicaManager.handleProduceAppend`, `VerificationGuard`.

use std::collections::BTreeMap;
use std::rc::Rc;

use odradek_engine::record::{BatchHeader, BatchInfo};
use odradek_engine::types::{ProducerEpoch, ProducerId};
use odradek_wire::ErrorCode;
use odradek_wire::produce::ProduceRequest;

use super::{BY_ID, Refused};
use crate::api::Broker;
use crate::api::transactions::{self, ASKED_MAX, Joining};
use crate::catalog::Hosted;
use crate::partition::Partition;

/// How a batch stands to the transaction of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// It has none.
    None,
    /// Its partition is part of it, by what was known when so many markers had come.
    Joined { markers: u32 },
    /// The coordinator does not take it.
    Refused(ErrorCode),
}

impl Membership {
    /// Whether a transactional batch may be appended now.
    pub fn check(self, partition: &Partition, info: &BatchInfo) -> Result<(), Refused> {
        let Membership::Joined { markers } = self else {
            let why = "the batch is transactional, the request is not".to_owned();
            return Err((ErrorCode::TransactionalIdAuthorizationFailed, Some(why)));
        };
        let (open, now) = partition.transaction_of(info.producer_id, info.producer_epoch);
        if open || now == markers {
            return Ok(());
        }
        // Producers give up for good when told INVALID_TXN_STATE, which is for who has broken a rule. A
        // marker that does not fence is of the transaction before, maybe for the second time.
        let code = match partition.is_fenced(info.producer_id, info.producer_epoch) {
            true => ErrorCode::InvalidProducerEpoch,
            false => ErrorCode::NotEnoughReplicas,
        };
        let why = format!(
            "a marker of producer {} has come while its batch of epoch {} was on its way",
            info.producer_id.0, info.producer_epoch.0
        );
        Err((code, Some(why)))
    }
}

/// The memberships of a request's batches, by their number in it.
#[derive(Default)]
pub(super) struct Joined(BTreeMap<usize, Membership>);

impl Joined {
    pub fn of(&self, number: usize) -> Membership {
        self.0.get(&number).copied().unwrap_or(Membership::None)
    }
}

/// A partition that is not known to be in the transaction.
struct Asked {
    /// Of the batch in its request.
    number: usize,
    topic: String,
    hosted: Rc<Hosted>,
    /// Markers that had come when the coordinator was asked.
    markers: u32,
}

/// Who writes a batch, if it is transactional. Nothing is checked yet.
fn producer(records: &[u8]) -> Option<(ProducerId, ProducerEpoch)> {
    let header = BatchHeader::view(records)?;
    let transactional = header.attributes().is_transactional();
    transactional.then(|| (header.producer_id(), header.producer_epoch()))
}

/// Sees to it that those partitions of a request that are `mine` are part of its transaction.
pub(super) async fn join(
    broker: &Rc<Broker>,
    transactional_id: &str,
    request: &ProduceRequest<'_>,
    version: i16,
    mine: impl Fn(usize) -> bool,
) -> Joined {
    let joining = Joining::of_produce(version);
    let image = broker.image();
    let mut joined = BTreeMap::new();
    let mut asked = Vec::new();
    let (mut number, mut writer) = (0, None);
    for data in &request.topic_data {
        let topic = match version >= BY_ID {
            true => image.topic_by_id(data.topic_id),
            false => image.topic(data.name),
        };
        let topic = topic.filter(|topic| !topic.is_internal());
        for one in &data.partition_data {
            number += 1;
            let number = number - 1;
            let records = one.records.bytes().unwrap_or(&[]);
            let Some((topic, by)) = topic.zip(producer(records)).filter(|_| mine(number)) else {
                continue;
            };
            if *writer.get_or_insert(by) != by {
                // One request is one producer's.
                let refused = Membership::Refused(ErrorCode::InvalidProducerIdMapping);
                joined.insert(number, refused);
                continue;
            }
            let Ok(hosted) = broker.hosted(topic, one.index).await else {
                // Said again where the batch is taken.
                continue;
            };
            let (open, markers) = hosted.partition.transaction_of(by.0, by.1);
            joined.insert(number, Membership::Joined { markers });
            if !open {
                asked.push(Asked {
                    number,
                    topic: topic.name.to_string(),
                    hosted,
                    markers,
                });
            }
        }
    }
    let Some(writer) = writer else {
        return Joined(joined);
    };
    for left in (0..ASKED_MAX).rev() {
        if asked.is_empty() {
            break;
        }
        let member = transactions::member(transactional_id, writer.0.0, writer.1.0);
        let places = asked.iter().map(|one| {
            let index = one.hosted.partition.name().index;
            (one.topic.clone(), index)
        });
        let codes = transactions::join(broker, joining, member, places.collect()).await;
        let mut again = Vec::new();
        for (mut one, code) in asked.into_iter().zip(codes) {
            if let Some(error) = refusal(code, joining) {
                joined.insert(one.number, Membership::Refused(error));
                continue;
            }
            let (open, markers) = one.hosted.partition.transaction_of(writer.0, writer.1);
            if !open && markers != one.markers && left > 0 {
                joined.insert(one.number, Membership::Joined { markers });
                one.markers = markers;
                again.push(one);
            }
        }
        asked = again;
    }
    Joined(joined)
}

/// What a producer is told for what the coordinator says; `None`: its records are welcome.
fn refusal(code: i16, joining: Joining) -> Option<ErrorCode> {
    let error = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
    Some(match error {
        ErrorCode::None => return None,
        // Producers of all versions try again after this one, without looking for new metadata.
        ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        ErrorCode::ConcurrentTransactions if joining != Joining::Added => {
            ErrorCode::NotEnoughReplicas
        }
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_are_told_what_they_try_again_after() {
        let told = |error: ErrorCode, joining| refusal(error.code(), joining);
        assert_eq!(told(ErrorCode::None, Joining::Added), None);
        let again = Some(ErrorCode::NotEnoughReplicas);
        assert_eq!(told(ErrorCode::NotCoordinator, Joining::Added), again);
        let concurrent = ErrorCode::ConcurrentTransactions;
        assert_eq!(told(concurrent, Joining::Verified), again);
        assert_eq!(told(concurrent, Joining::Added), Some(concurrent));
        let epoch = ErrorCode::InvalidProducerEpoch;
        assert_eq!(told(epoch, Joining::Verified), Some(epoch));
    }
}
