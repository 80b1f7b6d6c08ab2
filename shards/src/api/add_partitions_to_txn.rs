//! AddPartitionsToTxn: partitions join a transaction before they are written to, as clients before
//! KIP-890 ask for; from version 4 on brokers ask, for several transactions, or only whether.
//!
//! Source: Kafka `KafkaApis.handleAddPartitionsToTxnRequest`.

use std::ops::RangeInclusive;

use odradek_wire::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
};
use odradek_wire::{ErrorCode, Message};

use super::transactions::{add, member, set_of};
use super::{Broker, Call, Outcome, Refusal};
use crate::coordinators::transactions::error::{self, known_to};

pub(super) const KEY: i16 = AddPartitionsToTxnRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AddPartitionsToTxnRequest::MIN_VERSION..=AddPartitionsToTxnRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version for several transactions, and for brokers only.
pub(super) const BATCHED: i16 = 4;
/// First version that knows PRODUCER_FENCED.
const FENCED: i16 = 2;

type Results<'a> = Vec<AddPartitionsToTxnTopicResult<'a>>;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AddPartitionsToTxnRequest<'_> = call.decode()?;
    let (broker, version) = (call.broker, call.version);
    let deadline = broker.transactions.load_deadline();
    if version < BATCHED {
        let member = member(
            request.v3_and_below_transactional_id,
            request.v3_and_below_producer_id,
            request.v3_and_below_producer_epoch,
        );
        let topics = &request.v3_and_below_topics;
        let results = one(broker, &member, topics, false, 0, deadline).await;
        let results = told(results, version);
        return call.reply(&AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: results,
            ..AddPartitionsToTxnResponse::default()
        });
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for asked in &request.transactions {
        let member = member(
            asked.transactional_id,
            asked.producer_id,
            asked.producer_epoch,
        );
        results.push(AddPartitionsToTxnResult {
            transactional_id: asked.transactional_id,
            topic_results: one(
                broker,
                &member,
                &asked.topics,
                asked.verify_only,
                2,
                deadline,
            )
            .await,
        });
    }
    call.reply(&AddPartitionsToTxnResponse {
        results_by_transaction: results,
        ..AddPartitionsToTxnResponse::default()
    })
}

fn told(mut results: Results<'_>, version: i16) -> Results<'_> {
    let all = results.iter_mut();
    for one in all.flat_map(|topic| &mut topic.results_by_partition) {
        one.partition_error_code = known_to(one.partition_error_code, version, FENCED);
    }
    results
}

/// All partitions join, or none.
async fn one<'a>(
    broker: &std::rc::Rc<Broker>,
    member: &crate::coordinators::transactions::Member,
    topics: &[AddPartitionsToTxnTopic<'a>],
    verify_only: bool,
    client_version: i16,
    deadline: u64,
) -> Results<'a> {
    let image = broker.image();
    let known = |topic: &str, index: i32| {
        let topic = image.topic(topic);
        topic.is_some_and(|topic| topic.entry(index).is_some())
    };
    let places: Vec<(String, i32)> = topics
        .iter()
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|index| (topic.name.to_owned(), *index))
        })
        .collect();
    let missing = places.iter().any(|(topic, index)| !known(topic, *index));
    let codes = if missing {
        let code = |(topic, index): &(String, i32)| match known(topic, *index) {
            true => ErrorCode::OperationNotAttempted.code(),
            false => ErrorCode::UnknownTopicOrPartition.code(),
        };
        places.iter().map(code).collect()
    } else {
        let transactions = &broker.transactions;
        match transactions.serving_until(&member.id, deadline).await {
            Err(_) if member.id.is_empty() => vec![error::INVALID_REQUEST; places.len()],
            Err(code) => vec![code; places.len()],
            Ok(host) if verify_only => host
                .look(|shard| shard.verify(member, &places))
                .unwrap_or_else(|code| vec![code; places.len()]),
            Ok(host) => {
                let set = set_of(places.iter().map(|(topic, index)| (&**topic, *index)));
                let code = add(&host, member.clone(), set, client_version).await;
                vec![code.unwrap_or_else(|code| code); places.len()]
            }
        }
    };
    let mut codes = codes.into_iter();
    let results = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name,
        results_by_partition: topic
            .partitions
            .iter()
            .zip(codes.by_ref())
            .map(
                |(index, partition_error_code)| AddPartitionsToTxnPartitionResult {
                    partition_index: *index,
                    partition_error_code,
                },
            )
            .collect(),
    });
    results.collect()
}
