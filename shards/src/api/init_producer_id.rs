//! InitProducerId: an id for an idempotent producer, and the next epoch of a transactional one.
//!
//! A producer without a transactional id always gets a fresh id with epoch 0, whatever id and
//! epoch it states: raising its epoch (KIP-360) is the client's own doing.
//!
//! Source: Kafka `TransactionCoordinator.handleInitProducerId`.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_engine::types::{ProducerEpoch, ProducerId};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal};
use crate::coordinators::producer_ids::{self, Block, NoProducerId};
use crate::coordinators::transactions::error::known_to;
use crate::coordinators::transactions::{self as coordinator, InitRequest};
use crate::runtime::LocalFuture;

pub(super) const KEY: i16 = 22;
/// Version 6 (KIP-939) is coded and not yet stable.
pub(super) const ADVERTISED: RangeInclusive<i16> = 0..=5;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const _: () = assert!(*ADVERTISED.end() <= InitProducerIdRequest::MAX_VERSION);

/// First version that knows PRODUCER_FENCED.
const FENCED: i16 = 4;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: InitProducerIdRequest<'_> = call.decode()?;
    let begun = match (check(&request), request.transactional_id) {
        (Err(error), _) => Err(error.code()),
        (Ok(_), None) => next_id(call.broker).await.map(|id| (id, ProducerEpoch(0))),
        (Ok(expected), Some(id)) => {
            let request = InitRequest {
                id: id.to_owned(),
                timeout_ms: request.transaction_timeout_ms,
                expected,
            };
            transactional(call.broker, request).await
        }
    };
    let response = match begun {
        Ok((id, epoch)) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: epoch.0,
            ..InitProducerIdResponse::default()
        },
        Err(code) => InitProducerIdResponse {
            error_code: known_to(code, call.version, FENCED),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    };
    call.reply(&response)
}

/// A producer begins under its transactional id.
async fn transactional(
    broker: &Rc<Broker>,
    request: InitRequest,
) -> Result<(ProducerId, ProducerEpoch), i16> {
    let host = broker.transactions.serving(&request.id).await?;
    let fresh = match host.look(|shard| shard.init_needs_id(&request)) {
        true => Some(next_id(broker).await?),
        false => None,
    };
    let answer =
        host.question(|shard, ticket, now, out| shard.init(request, fresh, ticket, now, out));
    match answer.await {
        Ok(coordinator::Reply::Producer(begun)) => begun,
        _ => Err(coordinator::error::NOT_COORDINATOR),
    }
}

/// A producer id that nobody has.
pub(super) async fn next_id(broker: &Rc<Broker>) -> Result<ProducerId, i16> {
    let next = broker.producer_ids.next(|| new_block(broker)).await;
    next.map_err(|error| {
        broker
            .unchanged
            .log(&broker.io, || tracing::warn!("{error}"));
        // Clients try again.
        ErrorCode::CoordinatorLoadInProgress.code()
    })
}

/// Asks the controller for a block of ids.
async fn new_block(broker: &Rc<Broker>) -> Result<Block, NoProducerId> {
    let id = broker.id();
    let task = move |there: Rc<Broker>| {
        let block = async move {
            let publish = |image| there.publish(image);
            producer_ids::new_block(there.controller(), id, publish).await
        };
        Box::pin(block) as LocalFuture<Result<Block, NoProducerId>>
    };
    let answer = broker.mail.call(&broker.io, 0, task).await;
    answer.map_err(|_| NoProducerId::Stopping)?
}

/// Who the producer was until now, if it says so.
type Expected = Option<(ProducerId, ProducerEpoch)>;

fn check(request: &InitProducerIdRequest<'_>) -> Result<Expected, ErrorCode> {
    let expected = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => return Err(ErrorCode::InvalidRequest),
        (id, epoch) => Some((ProducerId(id), ProducerEpoch(epoch))),
    };
    match request.transactional_id {
        Some("") => Err(ErrorCode::InvalidRequest),
        _ => Ok(expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_epoch_come_together() {
        let ask = |transactional_id, producer_id, producer_epoch| {
            check(&InitProducerIdRequest {
                transactional_id,
                producer_id,
                producer_epoch,
                ..InitProducerIdRequest::default()
            })
        };
        let was = Some((ProducerId(4), ProducerEpoch(2)));
        assert_eq!(ask(None, -1, -1), Ok(None));
        assert_eq!(ask(None, 4, 2), Ok(was));
        assert_eq!(ask(Some("t"), 4, 2), Ok(was));
        assert_eq!(ask(None, 4, -1), Err(ErrorCode::InvalidRequest));
        assert_eq!(ask(None, -1, 0), Err(ErrorCode::InvalidRequest));
        assert_eq!(ask(Some(""), -1, -1), Err(ErrorCode::InvalidRequest));
    }
}
