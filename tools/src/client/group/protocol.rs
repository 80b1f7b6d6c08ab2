//! What consumers tell each other through JoinGroup and SyncGroup: subscriptions, assignments.
//!
//! Source: Kafka `ConsumerProtocol`: a version, 16 bits, then the message in that version; a
//! version that is not known yet is read as the last one known.

use odradek_wire::data::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use odradek_wire::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use odradek_wire::{DecodeError, EncodeError, Message, Reader, Writer};

/// Version 0 says all there is to say.
const VERSION: i16 = 0;

/// `protocol_type` of consumers.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// The name of the one assignor spoken here.
pub(super) const RANGE: &str = "range";

pub(super) fn subscription(topics: &[&str]) -> Result<Vec<u8>, EncodeError> {
    written(&ConsumerProtocolSubscription {
        topics: topics.to_vec(),
        ..ConsumerProtocolSubscription::default()
    })
}

pub(super) fn read_subscription(bytes: &[u8]) -> Result<Vec<String>, DecodeError> {
    let subscription: ConsumerProtocolSubscription<'_> = read(bytes)?;
    Ok(subscription.topics.iter().map(|&t| t.to_owned()).collect())
}

pub(super) fn assignment(partitions: &[(String, i32)]) -> Result<Vec<u8>, EncodeError> {
    let mut assigned: Vec<TopicPartition<'_>> = Vec::new();
    for (topic, partition) in partitions {
        match assigned.last_mut() {
            Some(last) if last.topic == topic => last.partitions.push(*partition),
            _ => assigned.push(TopicPartition {
                topic,
                partitions: vec![*partition],
            }),
        }
    }
    written(&ConsumerProtocolAssignment {
        assigned_partitions: assigned,
        user_data: None,
    })
}

/// Nothing is assigned by no bytes.
pub(super) fn read_assignment(bytes: &[u8]) -> Result<Vec<(String, i32)>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assignment: ConsumerProtocolAssignment<'_> = read(bytes)?;
    let mut partitions = Vec::new();
    for topic in &assignment.assigned_partitions {
        partitions.extend(
            topic
                .partitions
                .iter()
                .map(|&p| (topic.topic.to_owned(), p)),
        );
    }
    Ok(partitions)
}

fn written<'a>(message: &impl Message<'a>) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::default();
    writer.i16(VERSION);
    message.encode(&mut writer, VERSION)?;
    Ok(writer.into_inner())
}

fn read<'a, M: Message<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    M::decode(&mut reader, version.min(M::MAX_VERSION))
}
