//! DescribeTransactions: what is open under a transactional id.
//!
//! Source: Kafka `TransactionCoordinator.handleDescribeTransactions`, KIP-664.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};

use super::{Call, Outcome, Refusal};
use crate::coordinators::transactions::Described;

pub(super) const KEY: i16 = 65;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeTransactionsRequest::MIN_VERSION..=DescribeTransactionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeTransactionsRequest<'_> = call.decode()?;
    let mut found = Vec::with_capacity(request.transactional_ids.len());
    let transactions = &call.broker.transactions;
    let deadline = transactions.load_deadline();
    for id in &request.transactional_ids {
        let described = match transactions.serving_until(id, deadline).await {
            Ok(host) => host.look(|shard| shard.describe(id)),
            Err(code) => Err(code),
        };
        found.push((*id, described));
    }
    let states = found.iter().map(|(id, described)| match described {
        Ok(described) => state(id, described),
        Err(code) => TransactionState {
            error_code: *code,
            transactional_id: id,
            ..TransactionState::default()
        },
    });
    call.reply(&DescribeTransactionsResponse {
        throttle_time_ms: 0,
        transaction_states: states.collect(),
    })
}

fn state<'a>(id: &'a str, described: &'a Described) -> TransactionState<'a> {
    let topics = described.partitions.iter();
    TransactionState {
        error_code: 0,
        transactional_id: id,
        transaction_state: described.state.name(),
        transaction_timeout_ms: described.timeout_ms,
        transaction_start_time_ms: described.start_ms,
        producer_id: described.producer_id.0,
        producer_epoch: described.epoch.0,
        topics: topics
            .map(|(topic, partitions)| TopicData {
                topic,
                partitions: partitions.iter().copied().collect(),
            })
            .collect(),
    }
}
