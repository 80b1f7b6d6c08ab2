//! What an append writes into a batch.

use super::{BatchHeader, BatchInfo, RecordError, TimestampType};
use crate::types::{Epoch, Offset, Timestamp};

/// The log's own marks on a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub base_offset: Offset,
    pub leader_epoch: Epoch,
    /// The time of the append where the topic's `message.timestamp.type` is `LogAppendTime`.
    pub append_time: Option<Timestamp>,
}

/// Stamps a checked batch's header in place; gives the batch as it is then. The records are not
/// touched: see [`BatchHeader::set_max_timestamp`].
///
/// # Errors
/// [`RecordError::Length`], when the header is not the one that was checked; then nothing is
/// changed.
pub fn stamp(
    header: &mut BatchHeader,
    info: &BatchInfo,
    stamp: Stamp,
) -> Result<BatchInfo, RecordError> {
    let (timestamp_type, max_timestamp) = match stamp.append_time {
        Some(time) => (TimestampType::LogAppendTime, time),
        None => (info.attributes.timestamp_type(), info.max_timestamp),
    };
    header.set_max_timestamp(timestamp_type, max_timestamp)?;
    header.set_base_offset(stamp.base_offset);
    header.set_partition_leader_epoch(stamp.leader_epoch);
    Ok(BatchInfo {
        base_offset: stamp.base_offset,
        leader_epoch: stamp.leader_epoch,
        attributes: header.attributes(),
        max_timestamp,
        ..*info
    })
}
