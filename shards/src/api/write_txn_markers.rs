//! WriteTxnMarkers: ends of transactions from a coordinator elsewhere, or from whoever aborts a
//! hanging one (KIP-664).
//!
//! Source: Kafka `KafkaApis.handleWriteTxnMarkersRequest`.

use std::ops::RangeInclusive;

use odradek_engine::types::{Epoch, ProducerEpoch, ProducerId, TransactionEnd};
use odradek_wire::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::transactions::markers;
use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = WriteTxnMarkersRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    WriteTxnMarkersRequest::MIN_VERSION..=WriteTxnMarkersRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: WriteTxnMarkersRequest<'_> = call.decode()?;
    let mut results = Vec::with_capacity(request.markers.len());
    for marker in &request.markers {
        results.push(one(&call, marker).await);
    }
    call.reply(&WriteTxnMarkersResponse { markers: results })
}

async fn one<'a>(call: &Call<'_>, marker: &WritableTxnMarker<'a>) -> WritableTxnMarkerResult<'a> {
    let broker = call.broker;
    let end = TransactionEnd {
        producer_id: ProducerId(marker.producer_id),
        producer_epoch: ProducerEpoch(marker.producer_epoch),
        coordinator_epoch: Epoch(marker.coordinator_epoch),
        commit: marker.transaction_result,
        version: marker.transaction_version,
    };
    let mut topics = Vec::with_capacity(marker.topics.len());
    for topic in &marker.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            let image = broker.image();
            let entry = image
                .topic(topic.name)
                .and_then(|found| found.entry(*index));
            let code = match entry {
                None => ErrorCode::UnknownTopicOrPartition,
                Some(entry) if entry.shard != broker.shard && !broker.one_address() => {
                    ErrorCode::NotLeaderOrFollower
                }
                Some(_) if end.producer_id.0 < 0 || end.producer_epoch.0 < 0 => {
                    ErrorCode::InvalidRequest
                }
                Some(entry) => {
                    let place = vec![(topic.name.to_owned(), *index)];
                    let written = markers::write_at(broker, entry.shard, end, place).await;
                    written.first().map_or(ErrorCode::None, |(_, code)| *code)
                }
            };
            partitions.push(WritableTxnMarkerPartitionResult {
                partition_index: *index,
                error_code: code.code(),
            });
        }
        topics.push(WritableTxnMarkerTopicResult {
            name: topic.name,
            partitions,
        });
    }
    WritableTxnMarkerResult {
        producer_id: marker.producer_id,
        topics,
    }
}
