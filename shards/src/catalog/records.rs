//! Metadata records as they stand in `__cluster_metadata-0`: Kafka's types, framing and epochs.

use odradek_engine::record::{BatchBuilder, OpenBatch, RecordError, Rules, validate};
use odradek_engine::types::{Epoch, Offset, Timestamp};
use odradek_wire::metadata_records::{MetadataRecord, PartitionChangeRecord};
use odradek_wire::{DecodeError, Reader, Uuid, Writer};

use super::image::Image;

/// Why a batch of metadata cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error(transparent)]
    Batch(#[from] RecordError),
    #[error("record at offset {offset}: {error}")]
    Record { offset: i64, error: DecodeError },
    #[error("record at offset {offset} has no value")]
    Empty { offset: i64 },
}

/// The record by which a shard comes to own a partition, or goes on owning it; its leader epoch
/// rises.
pub fn new_owner(topic_id: Uuid, index: i32, shard: u32) -> MetadataRecord<'static> {
    let replicas = Some(vec![shard as i32]);
    MetadataRecord::PartitionChange(PartitionChangeRecord {
        partition_id: index,
        topic_id,
        isr: replicas.clone(),
        replicas,
        leader: shard as i32,
        ..PartitionChangeRecord::default()
    })
}

/// The record by which a partition is in another log directory than before.
pub fn new_directory(topic_id: Uuid, index: i32, directory: Uuid) -> MetadataRecord<'static> {
    MetadataRecord::PartitionChange(PartitionChangeRecord {
        partition_id: index,
        topic_id,
        directories: Some(vec![directory]),
        ..PartitionChangeRecord::default()
    })
}

/// One batch of records, from this offset on.
pub fn encode(
    records: &[MetadataRecord<'_>],
    base: Offset,
    now: Timestamp,
) -> Result<Vec<u8>, RecordError> {
    let mut builder = BatchBuilder::new().base_offset(base).leader_epoch(Epoch(1));
    for record in records {
        let mut writer = Writer::new(Vec::new());
        record
            .encode(&mut writer, record.max_version())
            .expect("records of this node's own making fit their schema");
        builder.append(now, None, Some(&writer.into_inner()), &[])?;
    }
    builder.build()
}

/// Folds one batch into an image.
pub fn fold(image: &mut Image, batch: &[u8]) -> Result<(), MetadataError> {
    let info = validate(batch, &Rules::LOG)?;
    if info.is_control() {
        return Ok(());
    }
    let mut scratch = Vec::new();
    let open = OpenBatch::open(batch, info, &mut scratch)?;
    for record in open.records() {
        let record = record?;
        let offset = open.offset_of(&record).0;
        let value = record.value.ok_or(MetadataError::Empty { offset })?;
        let (decoded, _) = MetadataRecord::decode(&mut Reader::new(value))
            .map_err(|error| MetadataError::Record { offset, error })?;
        image.apply(&decoded);
    }
    Ok(())
}
