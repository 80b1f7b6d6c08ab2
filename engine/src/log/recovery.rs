//! Which bytes after a kill are still the log.
//!
//! A batch is accepted only if it is whole, its CRC is right, its base offset is exactly the next
//! and its leader epoch does not fall, and is the one that the partition's epoch checkpoint has for
//! that offset, if it has one. The CRC covers neither offset nor epoch, and stale but valid batches
//! may lie beyond a torn tail, so all of this is asked. An epoch is in the checkpoint, durably,
//! before the first batch of it is written.

use crate::mutant::{self, Mutant};
use crate::record::{
    BatchHeader, BatchInfo, HEADER_BYTES, RecordError, Rules, batch_end, validate, validate_header,
};
use crate::types::{Epoch, Offset};

/// The usual ends: of the data, where the file ends or was allocated ahead.
pub const END_OF_FILE: &str = "the file ends";
pub const ZEROS: &str = "zeros";

/// What stands at a position.
#[derive(Debug)]
pub enum Step {
    /// An acceptable batch.
    Batch(BatchInfo),
    /// Not decidable yet: this many bytes from here are needed, at least.
    More(usize),
    /// The log ends here; why, in words.
    End(&'static str),
}

/// Leader epochs as far as they are known before a batch is judged.
#[derive(Clone, Copy, Debug)]
pub struct EpochBound {
    /// Of the batch before it.
    pub least: Epoch,
    /// What the checkpoint has for its offset.
    pub told: Option<Epoch>,
}

/// Judges the bytes at the end of what has been accepted. `last`: no more bytes follow.
///
/// `gaps`: compaction may have taken out offsets before this one, so the base offset may be later
/// and the batch must end there at the latest. A base offset that was changed within such a gap is
/// not noticed: nothing else in the log tells it.
pub fn step(
    bytes: &[u8],
    next: Offset,
    epoch: EpochBound,
    gaps: Option<Offset>,
    last: bool,
) -> Step {
    if bytes.len() < HEADER_BYTES {
        return match last {
            true if bytes.is_empty() => Step::End(END_OF_FILE),
            true => Step::End("a batch header is cut off"),
            false => Step::More(HEADER_BYTES),
        };
    }
    if bytes[..HEADER_BYTES].iter().all(|&byte| byte == 0) {
        return Step::End(ZEROS);
    }
    let size = match batch_end(bytes) {
        Ok(Some(size)) => size,
        Ok(None) if last => return Step::End("a batch is cut off"),
        Ok(None) => {
            let length = u32::from_be_bytes(bytes[8..12].try_into().expect("four bytes"));
            return Step::More(length as usize + 12);
        }
        Err(_) => return Step::End("no batch header"),
    };
    match validate(&bytes[..size], &Rules::LOG) {
        Ok(info) if info.base_offset != next => match gaps {
            _ if info.base_offset < next => Step::End("an offset that is not the next"),
            Some(gaps) if info.next_offset() <= gaps => judge_epoch(info, epoch),
            _ => Step::End("an offset that is not the next"),
        },
        Ok(info) => judge_epoch(info, epoch),
        Err(RecordError::Crc { .. }) if mutant::is(Mutant::SkipCrc) => {
            let header = BatchHeader::view(bytes).expect("checked above");
            validate_header(header, &Rules::LOG)
                .map_or(Step::End("a batch that is damaged"), Step::Batch)
        }
        Err(_) => Step::End("a batch that is damaged"),
    }
}

fn judge_epoch(info: BatchInfo, epoch: EpochBound) -> Step {
    match info.leader_epoch {
        of if of < epoch.least => Step::End("a leader epoch that falls"),
        of if epoch.told.is_some_and(|told| told != of) => {
            Step::End("a leader epoch that is not the checkpoint's")
        }
        _ => Step::Batch(info),
    }
}
