//! Records of `__transaction_state`: Kafka's own keys and values, in the versions that Kafka 4.3.1
//! writes, readable in all it reads.
//!
//! Source: Kafka `TransactionLog`, schemas `TransactionLogKey`, `TransactionLogValue`.

use odradek_engine::types::{ProducerEpoch, ProducerId};
use odradek_wire::transaction_records::transaction_log::PartitionsSchema;
use odradek_wire::transaction_records::{
    TransactionLogKey, TransactionLogValue, TransactionRecordKey, TransactionRecordValue,
};
use odradek_wire::{DecodeError, EncodeError, Reader, Writer};

use super::super::groups::codec::EncodedRecord;
use super::state::State;
use super::transaction::{Partitions, Record, Transaction};

/// The first version with tagged fields: what transaction version 1 brought.
const FLEXIBLE: i16 = 1;

/// Fails where a name is too long for the format (the bounds keep such out).
pub fn encode_record(record: &Record) -> Result<EncodedRecord, EncodeError> {
    let mut key = Writer::new(Vec::new());
    TransactionRecordKey::TransactionLog(TransactionLogKey {
        transactional_id: &record.id,
    })
    .encode(&mut key)?;
    let value = match &record.state {
        None => None,
        Some(state) => {
            let version = record.version.clamp(0, FLEXIBLE);
            let mut writer = Writer::new(Vec::new());
            TransactionRecordValue::TransactionLog(value(state, version))
                .encode(&mut writer, version)?;
            Some(writer.into_inner())
        }
    };
    Ok(EncodedRecord {
        key: key.into_inner(),
        value,
    })
}

fn value(state: &Transaction, version: i16) -> TransactionLogValue<'_> {
    let partitions = state
        .partitions
        .iter()
        .map(|(topic, partitions)| PartitionsSchema {
            topic,
            partition_ids: partitions.iter().copied().collect(),
        });
    let mut value = TransactionLogValue {
        producer_id: state.producer_id.0,
        producer_epoch: state.epoch.0,
        transaction_timeout_ms: state.timeout_ms,
        transaction_status: state.state.id(),
        transaction_partitions: match state.state {
            State::Empty => None,
            _ => Some(partitions.collect()),
        },
        transaction_last_update_timestamp_ms: state.update_ms,
        transaction_start_timestamp_ms: state.start_ms,
        ..TransactionLogValue::default()
    };
    if version >= FLEXIBLE {
        value.previous_producer_id = state.previous_id.0;
        value.next_producer_id = state.next_id.0;
        value.client_transaction_version = state.client_version;
    }
    value
}

/// `Ok(None)`: a record of a kind, or of a state, from the future.
pub fn decode_record(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, DecodeError> {
    let key = match TransactionRecordKey::decode(&mut Reader::new(key)) {
        Ok(key) => key,
        Err(DecodeError::RecordType { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let record_type = key.record_type();
    let TransactionRecordKey::TransactionLog(key) = key;
    let id = key.transactional_id.to_owned();
    let Some(bytes) = value else {
        return Ok(Some(Record {
            id,
            state: None,
            version: 0,
        }));
    };
    let (value, version) = TransactionRecordValue::decode(record_type, &mut Reader::new(bytes))?;
    let TransactionRecordValue::TransactionLog(value) = value;
    let Some(state) = State::of_id(value.transaction_status) else {
        return Ok(None);
    };
    let partitions: Partitions = value
        .transaction_partitions
        .iter()
        .flatten()
        .map(|one| {
            let ids = one.partition_ids.iter().copied();
            (one.topic.to_owned(), ids.collect())
        })
        .collect();
    Ok(Some(Record {
        id,
        state: Some(Transaction {
            producer_id: ProducerId(value.producer_id),
            previous_id: ProducerId(value.previous_producer_id),
            next_id: ProducerId(value.next_producer_id),
            epoch: ProducerEpoch(value.producer_epoch),
            last_epoch: ProducerEpoch::NONE,
            timeout_ms: value.transaction_timeout_ms,
            state,
            partitions,
            start_ms: value.transaction_start_timestamp_ms,
            update_ms: value.transaction_last_update_timestamp_ms,
            client_version: value.client_transaction_version,
        }),
        version,
    }))
}
