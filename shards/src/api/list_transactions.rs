//! ListTransactions: the transactional ids that this shard coordinates; clients ask every broker.
//!
//! Source: Kafka `TransactionStateManager.listTransactionStates`, KIP-664, KIP-994, KIP-1152.

use std::ops::RangeInclusive;

use odradek_wire::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState,
};
use odradek_wire::{ErrorCode, Message};
use regex::RegexBuilder;

use super::{Call, Outcome, Refusal};
use crate::coordinators::transactions::{Filter, State};

pub(super) const KEY: i16 = 66;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ListTransactionsRequest::MIN_VERSION..=ListTransactionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Bytes that a client's pattern may take when it is compiled.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ListTransactionsRequest<'_> = call.decode()?;
    let pattern = request
        .transactional_id_pattern
        .filter(|pattern| !pattern.is_empty());
    let pattern = pattern.map(|pattern| {
        RegexBuilder::new(&format!("^(?:{pattern})$"))
            .size_limit(PATTERN_BYTES_MAX)
            .build()
    });
    let Ok(pattern) = pattern.transpose() else {
        return call.reply(&ListTransactionsResponse {
            error_code: ErrorCode::InvalidRegularExpression.code(),
            ..ListTransactionsResponse::default()
        });
    };
    let duration_ms = match call.version {
        0 => -1,
        _ => request.duration_filter,
    };
    let filter = Filter {
        states: &request.state_filters,
        producer_ids: &request.producer_id_filters,
        duration_ms,
        id: &|id: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(id)),
    };
    let now = call.broker.io.wall_clock();
    let mut listed = Vec::new();
    let error_code = match call.broker.transactions.listed().await {
        Err(code) => code,
        Ok(_) if call.broker.stopping() => ErrorCode::CoordinatorNotAvailable.code(),
        Ok(hosts) => {
            for host in hosts {
                listed.extend(host.look(|shard| shard.list(&filter, now)));
            }
            ErrorCode::None.code()
        }
    };
    let unknown = request.state_filters.iter().copied();
    let states = listed.iter().map(|one| TransactionState {
        transactional_id: &one.id,
        producer_id: one.producer_id.0,
        transaction_state: one.state.name(),
    });
    call.reply(&ListTransactionsResponse {
        error_code,
        unknown_state_filters: unknown.filter(|name| !State::is_name(name)).collect(),
        transaction_states: states.collect(),
        ..ListTransactionsResponse::default()
    })
}
