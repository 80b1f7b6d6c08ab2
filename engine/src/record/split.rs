//! From a run of bytes to the batches in it.
//!
//! Source: Kafka `ByteBufferLogInputStream`, `ProduceRequest.validateRecords`.

use super::header::{LENGTH_EXCLUDES_BYTES, MAGIC, MAGIC_END_BYTES};
use super::{BatchHeader, RecordError};

/// Where a batch ends that starts `bytes`; `None` when the bytes end first.
///
/// # Errors
/// [`RecordError::Length`] and [`RecordError::UnknownFormat`] when no batch of any format can
/// start like this.
pub fn batch_end(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    /// The least that follows the length in format 0.
    const LENGTH_MIN: i32 = 14;

    let Some(length) = bytes.get(8..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    if length < LENGTH_MIN {
        return Err(RecordError::Length { length });
    }
    let Some(&magic) = bytes.get(MAGIC_END_BYTES - 1) else {
        return Ok(None);
    };
    let magic = magic as i8;
    if !(0..=MAGIC).contains(&magic) {
        return Err(RecordError::UnknownFormat { magic });
    }
    let end = length as usize + LENGTH_EXCLUDES_BYTES;
    Ok((end <= bytes.len()).then_some(end))
}

/// Iterates the batches in a run of bytes, unchecked but for their extent. A batch that is cut off
/// at the end is left out, as a fetch may end so; [`rest`](Batches::rest) tells.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    ended: bool,
}

impl<'a> Batches<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            ended: false,
        }
    }

    /// What has not been iterated.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<&'a [u8], RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match batch_end(self.rest) {
            Ok(Some(end)) => {
                let (batch, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Ok(batch))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

/// The one batch that a partition's records in a produce request (version 3 and later) consist of.
///
/// # Errors
/// [`RecordError::NoBatch`], [`RecordError::ManyBatches`], [`RecordError::OldFormat`], or what
/// [`batch_end`] says. A tail too short for a second batch is ignored, as Kafka does.
pub fn sole_batch(records: &[u8]) -> Result<&[u8], RecordError> {
    let mut batches = Batches::new(records);
    let batch = batches.next().ok_or(RecordError::NoBatch)??;
    let magic = batch[MAGIC_END_BYTES - 1] as i8;
    if magic != MAGIC {
        return Err(RecordError::OldFormat { magic });
    }
    match batches.next() {
        None => Ok(batch),
        Some(Ok(_)) => Err(RecordError::ManyBatches),
        Some(Err(error)) => Err(error),
    }
}

/// The headers of the batches in a run of bytes, with where each starts: for a scan that trusts
/// its bytes. Ends at the first that is cut off or not of format 2.
pub fn headers(bytes: &[u8]) -> impl Iterator<Item = (usize, &BatchHeader)> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let rest = &bytes[position..];
        let header = BatchHeader::view(rest).filter(|header| header.magic() == MAGIC)?;
        let size = header.size().ok().filter(|&size| size <= rest.len())?;
        let start = position;
        position += size;
        Some((start, header))
    })
}
