//! ListTransactions: there are none.
//!
//! Source: Kafka `TransactionStateManager.listTransactionStates`, KIP-664.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = 66;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ListTransactionsRequest::MIN_VERSION..=ListTransactionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// `TransactionState`.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ListTransactionsRequest<'_> = call.decode()?;
    let unknown = request.state_filters.iter().copied();
    call.reply(&ListTransactionsResponse {
        unknown_state_filters: unknown.filter(|state| !STATES.contains(state)).collect(),
        ..ListTransactionsResponse::default()
    })
}
