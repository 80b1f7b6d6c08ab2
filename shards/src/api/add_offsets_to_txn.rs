//! AddOffsetsToTxn: a group's offsets join a transaction, as clients before KIP-890 ask for.
//!
//! Source: Kafka `KafkaApis.handleAddOffsetsToTxnRequest`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::throttle::Mutations;
use super::transactions::{add, member, set_of};
use super::{Broker, Call, Outcome, Refusal, topics};
use crate::coordinators::transactions::error::{self, known_to};
use crate::coordinators::{OFFSETS_TOPIC, partition_for};

pub(super) const KEY: i16 = AddOffsetsToTxnRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AddOffsetsToTxnRequest::MIN_VERSION..=AddOffsetsToTxnRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version that knows PRODUCER_FENCED.
const FENCED: i16 = 2;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AddOffsetsToTxnRequest<'_> = call.decode()?;
    let code = join(&call, &request).await.unwrap_or_else(|code| code);
    call.reply(&AddOffsetsToTxnResponse {
        throttle_time_ms: 0,
        error_code: known_to(code, call.version, FENCED),
    })
}

async fn join(call: &Call<'_>, request: &AddOffsetsToTxnRequest<'_>) -> Result<i16, i16> {
    let broker = call.broker;
    if request.transactional_id.is_empty() {
        return Err(error::INVALID_REQUEST);
    }
    let index = offsets_partition(broker, request.group_id).await?;
    let (producer_id, epoch) = (request.producer_id, request.producer_epoch);
    let member = member(request.transactional_id, producer_id, epoch);
    let host = broker.transactions.serving(&member.id).await?;
    let set = set_of([(OFFSETS_TOPIC, index)].into_iter());
    add(&host, member, set, 0).await
}

/// The partition that a group's offsets are in; the topic is made if need be.
pub(super) async fn offsets_partition(
    broker: &std::rc::Rc<Broker>,
    group_id: &str,
) -> Result<i32, i16> {
    if broker.image().topic(OFFSETS_TOPIC).is_none() && !broker.stopping() {
        let mut uncounted = Mutations::default();
        topics::auto_create(broker, vec![OFFSETS_TOPIC.to_owned()], &mut uncounted).await;
    }
    let image = broker.image();
    let topic = image.topic(OFFSETS_TOPIC);
    let topic = topic.ok_or(error::COORDINATOR_NOT_AVAILABLE)?;
    Ok(partition_for(group_id, topic.partitions.len()) as i32)
}
