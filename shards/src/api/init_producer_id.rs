//! InitProducerId: an id for an idempotent producer.
//!
//! A producer without a transactional id always gets a fresh id with epoch 0, whatever id and
//! epoch it states: raising its epoch (KIP-360) is the client's own doing.
//! Transactional ids are refused with the one error that every client takes as final at once:
//! there are no transactions yet, and a retriable error would have it wait until its timeout.
//!
//! Source: Kafka `TransactionCoordinator.handleInitProducerId`.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal};
use crate::coordinators::producer_ids::{self, Block, NoProducerId};
use crate::runtime::LocalFuture;

pub(super) const KEY: i16 = 22;
/// Version 6 (KIP-939) is coded and not yet stable.
pub(super) const ADVERTISED: RangeInclusive<i16> = 0..=5;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const _: () = assert!(*ADVERTISED.end() <= InitProducerIdRequest::MAX_VERSION);

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: InitProducerIdRequest<'_> = call.decode()?;
    let failed = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    let response = match check(&request) {
        Err(error) => failed(error),
        Ok(()) => match call
            .broker
            .producer_ids
            .next(|| new_block(call.broker))
            .await
        {
            Ok(id) => InitProducerIdResponse {
                producer_id: id.0,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            },
            Err(error) => {
                tracing::warn!("{error}");
                // Clients try again.
                failed(ErrorCode::CoordinatorLoadInProgress)
            }
        },
    };
    call.reply(&response)
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

fn check(request: &InitProducerIdRequest<'_>) -> Result<(), ErrorCode> {
    match (request.producer_id, request.producer_epoch) {
        (-1, -1) => {}
        (-1, _) | (_, -1) => return Err(ErrorCode::InvalidRequest),
        _ => {}
    }
    match request.transactional_id {
        None => Ok(()),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::TransactionalIdAuthorizationFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_epoch_come_together_and_transactions_not_at_all() {
        let ask = |transactional_id, producer_id, producer_epoch| {
            check(&InitProducerIdRequest {
                transactional_id,
                producer_id,
                producer_epoch,
                ..InitProducerIdRequest::default()
            })
        };
        assert_eq!(ask(None, -1, -1), Ok(()));
        assert_eq!(ask(None, 4, 2), Ok(()));
        assert_eq!(ask(None, 4, -1), Err(ErrorCode::InvalidRequest));
        assert_eq!(ask(None, -1, 0), Err(ErrorCode::InvalidRequest));
        assert_eq!(ask(Some(""), -1, -1), Err(ErrorCode::InvalidRequest));
        assert_eq!(
            ask(Some("t"), -1, -1),
            Err(ErrorCode::TransactionalIdAuthorizationFailed)
        );
    }
}
