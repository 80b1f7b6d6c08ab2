//! Snapshots of the metadata beside its log, so that a start folds no more than what came since:
//! `<end offset>-<leader epoch>.checkpoint`, in Kafka's format.
//!
//! A file is a batch that begins it, batches of the records that make the image, and a batch that
//! ends it: what has no end was not finished. The newest [`KEPT`] stay, and the log from the oldest
//! of them on, so that a damaged one costs time and nothing else.
//!
//! Source: Kafka `Snapshots`, `RecordsSnapshotWriter`, KIP-630.

use odradek_engine::record::{
    BatchBuilder, ControlType, OpenBatch, RecordError, Rules, batch_end, validate,
};
use odradek_engine::types::{Epoch, Offset, Timestamp};
use odradek_wire::data::{SnapshotFooterRecord, SnapshotHeaderRecord};
use odradek_wire::metadata_records::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord, ProducerIdsRecord,
    TopicRecord,
};
use odradek_wire::{Message, Writer};

use super::image::{
    BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, Image, TOPIC_RESOURCE, TRANSACTION_VERSION,
};
use super::records::{self, MetadataError};

/// Snapshots that are kept.
pub const KEPT: usize = 2;
/// Records of one batch.
const RECORDS_PER_BATCH: usize = 1_000;
/// Of the metadata log, always.
const EPOCH: Epoch = Epoch(1);
const ENDING: &str = ".checkpoint";

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("{0}")]
    Shape(&'static str),
}

/// The name of the one that holds everything before `end`.
pub fn name(end: Offset) -> String {
    format!("{:020}-{:010}{ENDING}", end.0, EPOCH.0)
}

/// What a file's name says; `None`: it is no snapshot.
pub fn end_of(name: &str) -> Option<Offset> {
    let (end, epoch) = name.strip_suffix(ENDING)?.split_once('-')?;
    let number = |text: &str, digits: usize| {
        let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i64>().ok()).flatten()
    };
    number(epoch, 10)?;
    number(end, 20).map(Offset)
}

/// The records that make an image.
fn records_of(image: &Image) -> Vec<MetadataRecord<'_>> {
    let mut all = Vec::new();
    if let Some(feature_level) = image.transaction_version_set() {
        all.push(MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: TRANSACTION_VERSION,
            feature_level,
        }));
    }
    for topic in image.topics() {
        all.push(MetadataRecord::Topic(TopicRecord {
            name: &topic.name,
            topic_id: topic.id,
        }));
        for (index, entry) in (0..).zip(&topic.partitions) {
            let shard = entry.shard as i32;
            all.push(MetadataRecord::Partition(PartitionRecord {
                partition_id: index,
                topic_id: topic.id,
                replicas: vec![shard],
                isr: vec![shard],
                leader: shard,
                leader_epoch: entry.leader_epoch,
                partition_epoch: entry.partition_epoch,
                directories: vec![entry.directory],
                ..PartitionRecord::default()
            }));
        }
    }
    let configs = image
        .topics()
        .map(|topic| (TOPIC_RESOURCE, &*topic.name, &topic.config));
    let brokers = image.brokers().iter();
    let brokers = brokers.map(|(id, given)| (BROKER_RESOURCE, id.as_str(), given));
    let subscriptions = image.client_metrics().iter();
    let subscriptions =
        subscriptions.map(|(name, given)| (CLIENT_METRICS_RESOURCE, name.as_str(), given));
    for (resource_type, resource_name, given) in configs.chain(brokers).chain(subscriptions) {
        all.extend(given.iter().map(|(name, value)| {
            MetadataRecord::Config(ConfigRecord {
                resource_type,
                resource_name,
                name,
                value: Some(value),
            })
        }));
    }
    all.extend(image.quotas().records());
    if image.next_producer_id > 0 {
        all.push(MetadataRecord::ProducerIds(ProducerIdsRecord {
            next_producer_id: image.next_producer_id,
            ..ProducerIdsRecord::default()
        }));
    }
    all
}

fn control<'a>(
    kind: ControlType,
    record: &impl Message<'a>,
    base: i64,
    now: Timestamp,
) -> Result<Vec<u8>, RecordError> {
    let mut writer = Writer::new(Vec::new());
    record
        .encode(&mut writer, 0)
        .expect("version 0 is all there is");
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(base))
        .leader_epoch(EPOCH)
        .control();
    builder.append(now, Some(&kind.key()), Some(&writer.into_inner()), &[])?;
    builder.build()
}

/// An image as a file. `last`: the time of the log's last record in it.
///
/// # Errors
/// A record that is longer than a batch may be.
pub fn encode(image: &Image, last: Timestamp, now: Timestamp) -> Result<Vec<u8>, RecordError> {
    let header = SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp: last.0,
    };
    let mut bytes = control(ControlType::SnapshotHeader, &header, 0, now)?;
    let mut base = 1;
    for some in records_of(image).chunks(RECORDS_PER_BATCH) {
        bytes.extend(records::encode(some, Offset(base), now)?);
        base += some.len() as i64;
    }
    let footer = SnapshotFooterRecord { version: 0 };
    bytes.extend(control(ControlType::SnapshotFooter, &footer, base, now)?);
    Ok(bytes)
}

/// What kind a control batch's record is.
fn kind(batch: &[u8]) -> Result<Option<ControlType>, RecordError> {
    let info = validate(batch, &Rules::LOG)?;
    if !info.is_control() {
        return Ok(None);
    }
    let mut scratch = Vec::new();
    let open = OpenBatch::open(batch, info, &mut scratch)?;
    match open.records().next() {
        Some(record) => ControlType::of(&record?, 0),
        None => Ok(None),
    }
}

/// The image of a file.
///
/// # Errors
/// [`SnapshotError`]: it is damaged, or was not finished.
pub fn decode(bytes: &[u8]) -> Result<Image, SnapshotError> {
    let mut image = Image::default();
    let (mut begun, mut ended, mut at) = (false, false, 0);
    while at < bytes.len() {
        let size = batch_end(&bytes[at..])
            .map_err(MetadataError::from)?
            .ok_or(SnapshotError::Shape("its last batch is cut off"))?;
        let batch = &bytes[at..at + size];
        at += size;
        if ended {
            return Err(SnapshotError::Shape("something follows its end"));
        }
        match kind(batch).map_err(MetadataError::from)? {
            Some(ControlType::SnapshotHeader) => begun = true,
            Some(ControlType::SnapshotFooter) => ended = true,
            _ if !begun => return Err(SnapshotError::Shape("it has no beginning")),
            _ => records::fold(&mut image, batch)?,
        }
    }
    match ended {
        true => Ok(image),
        false => Err(SnapshotError::Shape("it has no end")),
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::Uuid;
    use odradek_wire::metadata_records::ClientQuotaRecord;
    use odradek_wire::metadata_records::client_quota_record::EntityData;

    use super::*;

    fn image() -> Image {
        let mut image = Image::default();
        for number in 0..700u16 {
            let name = format!("topic-{number}");
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            id[15] = 1;
            let topic_id = Uuid(id);
            let name = name.as_str();
            image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
            for index in 0..3 {
                let shard = i32::from(number % 4);
                image.apply(&MetadataRecord::Partition(PartitionRecord {
                    partition_id: index,
                    topic_id,
                    replicas: vec![shard],
                    isr: vec![shard],
                    leader: shard,
                    leader_epoch: 0,
                    partition_epoch: 0,
                    ..PartitionRecord::default()
                }));
            }
            image.apply(&records::new_owner(topic_id, 1, 2));
            image.apply(&MetadataRecord::Config(ConfigRecord {
                resource_type: TOPIC_RESOURCE,
                resource_name: name,
                name: "retention.ms",
                value: Some("1000"),
            }));
        }
        image.apply(&MetadataRecord::Config(ConfigRecord {
            resource_type: BROKER_RESOURCE,
            resource_name: "",
            name: "log.retention.ms",
            value: Some("5000"),
        }));
        image.apply(&MetadataRecord::Config(ConfigRecord {
            resource_type: CLIENT_METRICS_RESOURCE,
            resource_name: "all",
            name: "metrics",
            value: Some("*"),
        }));
        image.apply(&MetadataRecord::ClientQuota(ClientQuotaRecord {
            entity: vec![EntityData {
                entity_type: "user",
                entity_name: None,
            }],
            key: "producer_byte_rate",
            value: 1e6,
            remove: false,
        }));
        image.apply(&MetadataRecord::ProducerIds(ProducerIdsRecord {
            next_producer_id: 3000,
            ..ProducerIdsRecord::default()
        }));
        image.apply(&MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: TRANSACTION_VERSION,
            feature_level: 1,
        }));
        image
    }

    #[test]
    fn an_image_is_read_as_it_was_written() {
        let before = image();
        let bytes = encode(&before, Timestamp(5), Timestamp(6)).unwrap();
        let after = decode(&bytes).unwrap();
        assert_eq!(records_of(&after), records_of(&before));
        assert_eq!(after.topic_count(), 700);
        assert_eq!(after.client_metrics(), before.client_metrics());
        assert_eq!(after.client_metrics().len(), 1);
        assert_eq!(
            (after.quotas(), after.quotas().all().count()),
            (before.quotas(), 1)
        );
        let entry = after.topic("topic-9").unwrap().entry(1).unwrap().clone();
        assert_eq!((entry.shard, entry.leader_epoch), (2, 1));
    }

    #[test]
    fn what_is_damaged_or_not_whole_is_not_believed() {
        let bytes = encode(&image(), Timestamp(5), Timestamp(6)).unwrap();
        assert!(decode(&[]).is_err());
        for cut in [1, 60, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let first = batch_end(&bytes).unwrap().unwrap();
        assert!(decode(&bytes[first..]).is_err(), "without its beginning");
        let mut twice = bytes.clone();
        twice.extend_from_slice(&bytes);
        assert!(decode(&twice).is_err());
        for at in (first..bytes.len()).step_by(997) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            // The CRC covers neither offsets nor epochs, which mean nothing here.
            if let Ok(image) = decode(&flipped) {
                assert_eq!(image.topic_count(), 700);
            }
        }
    }

    #[test]
    fn names_are_kafkas() {
        assert_eq!(
            name(Offset(1234)),
            "00000000000000001234-0000000001.checkpoint"
        );
        assert_eq!(end_of(&name(Offset(1234))), Some(Offset(1234)));
        for other in [
            "leader-epoch-checkpoint",
            "00000000000000001234.log",
            "00000000000000001234-0000000001.checkpoint.deleted",
            "1234-1.checkpoint",
            "0000000000000000-234-0000000001.checkpoint",
        ] {
            assert_eq!(end_of(other), None, "{other}");
        }
    }
}
