//! EndTxn: a transaction commits or aborts; answered when that is decided for good.
//!
//! Source: Kafka `KafkaApis.handleEndTxnRequest`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::end_txn::{EndTxnRequest, EndTxnResponse};

use super::init_producer_id::next_id;
use super::transactions::{GONE, member};
use super::{Call, Outcome, Refusal};
use crate::coordinators::transactions::error::known_to;
use crate::coordinators::transactions::{EndRequest, Reply};

pub(super) const KEY: i16 = EndTxnRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    EndTxnRequest::MIN_VERSION..=EndTxnRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version that knows PRODUCER_FENCED.
const FENCED: i16 = 2;
/// First version whose clients take the epoch of the next transaction from the answer (KIP-890).
const RAISING: i16 = 5;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let asked: EndTxnRequest<'_> = call.decode()?;
    let request = EndRequest {
        member: member(
            asked.transactional_id,
            asked.producer_id,
            asked.producer_epoch,
        ),
        commit: asked.committed,
        client_version: if call.version >= RAISING { 2 } else { 0 },
    };
    let ended = match end(&call, &request).await {
        Ok(Reply::Producer(ended)) => ended,
        Ok(Reply::Code(_)) => return Err(GONE),
        Err(code) => Err(code),
    };
    let mut response = EndTxnResponse {
        producer_id: -1,
        producer_epoch: -1,
        ..EndTxnResponse::default()
    };
    match ended {
        Ok((id, epoch)) if call.version >= RAISING => {
            (response.producer_id, response.producer_epoch) = (id.0, epoch.0);
        }
        Ok(_) => {}
        Err(code) => response.error_code = known_to(code, call.version, FENCED),
    }
    call.reply(&response)
}

async fn end(call: &Call<'_>, request: &EndRequest) -> Result<Reply, i16> {
    let broker = call.broker;
    let id = &request.member.id;
    if id.is_empty() {
        return Err(crate::coordinators::transactions::error::INVALID_REQUEST);
    }
    let host = broker.transactions.serving(id).await?;
    let fresh = match host.look(|shard| shard.end_needs_id(request)) {
        true => Some(next_id(broker).await?),
        false => None,
    };
    let answer =
        host.question(|shard, ticket, now, out| shard.end(request, fresh, ticket, now, out));
    let gone = crate::coordinators::transactions::error::NOT_COORDINATOR;
    answer.await.map_err(|_| gone)
}
