//! DescribeTransactions: no transactional id is known.
//!
//! Source: Kafka `TransactionCoordinator.handleDescribeTransactions`, KIP-664.

use std::ops::RangeInclusive;

use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = 65;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeTransactionsRequest::MIN_VERSION..=DescribeTransactionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeTransactionsRequest<'_> = call.decode()?;
    let ids = request.transactional_ids.iter();
    let unknown = ids.map(|id| TransactionState {
        error_code: ErrorCode::TransactionalIdNotFound.code(),
        transactional_id: id,
        ..TransactionState::default()
    });
    call.reply(&DescribeTransactionsResponse {
        throttle_time_ms: 0,
        transaction_states: unknown.collect(),
    })
}
