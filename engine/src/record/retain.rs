//! What compaction leaves of a batch.
//!
//! Base offset, last offset, producer and sequences stay as they were. Records that stay do so byte
//! for byte, with their deltas; only where a delete horizon is set, which takes the base timestamp's
//! place (KIP-534), are their timestamp deltas written anew. They are compressed as the topic asks,
//! by codec and level, unless the batch would become longer than it was: a segment's size is bounded
//! by that of those it is made from. Kafka keeps the batch's codec, at its default level, whatever
//! the topic asks.
//!
//! A batch may be long, and who goes over it may have others to let go on in between: records are
//! [added](Retained::add) one by one, and written [piece by piece](Writing::step). Only compressing is
//! done at once.
//!
//! Source: Kafka `MemoryRecords.filterTo`, `buildRetainedRecordsInto`,
//! `DefaultRecordBatch.writeEmptyHeader`.

use std::task::Poll;

use super::varint::{read_i32, read_i64, size_i64, take, write_i32, write_i64};
use super::{
    BatchHeader, BatchInfo, Compression, CompressionTarget, HEADER_BYTES, OpenBatch, Record,
    RecordError, TimestampType, crc32c_append,
};
use crate::types::Timestamp;

/// Bytes that are written at one stretch, about: some ten microseconds.
const PIECE_BYTES: usize = 32 << 10;

/// Records that stay, as runs of bytes of the opened batch. Can be used again.
#[derive(Clone, Debug, Default)]
pub struct Retained {
    /// From, to.
    runs: Vec<(usize, usize)>,
    /// Behind the last record that was added.
    end: usize,
    count: i32,
    latest: Option<Timestamp>,
    tombstones: bool,
    dropped: bool,
    to: Option<CompressionTarget>,
}

impl Retained {
    /// What stays is written in this codec; `None`: in its batch's own.
    pub fn recompressing(to: Option<CompressionTarget>) -> Self {
        Self {
            to,
            ..Self::default()
        }
    }

    /// Nothing of the next batch stays so far.
    pub fn clear(&mut self) {
        self.runs.clear();
        (self.end, self.count, self.latest) = (0, 0, None);
        (self.tombstones, self.dropped) = (false, false);
    }

    /// The batch's next record, of so many bytes, and whether it stays.
    #[inline]
    pub fn add(&mut self, batch: &OpenBatch<'_>, record: &Record<'_>, size: usize, stays: bool) {
        let from = self.end;
        self.end += size;
        if !stays {
            self.dropped = true;
            return;
        }
        self.count += 1;
        self.tombstones |= record.value.is_none();
        self.latest = self.latest.max(Some(batch.timestamp_of(record)));
        match self.runs.last_mut().filter(|(_, to)| *to == from) {
            Some((_, to)) => *to = self.end,
            None => self.runs.push((from, self.end)),
        }
    }

    /// The codec asked for, if that is another than the batch's, or its level may be. Markers are never
    /// compressed.
    fn codec(&self, batch: &OpenBatch<'_>) -> Option<CompressionTarget> {
        let both = [batch.info.compression, Compression::None];
        let to = self.to.filter(|_| !batch.info.is_control());
        to.filter(|to| both.iter().any(|codec| to.codec != *codec))
    }

    /// How many stay.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether any of those that stay has no value.
    pub fn tombstones(&self) -> bool {
        self.tombstones
    }

    /// Whether any was dropped.
    pub fn dropped(&self) -> bool {
        self.dropped
    }

    /// Begins to append the batch with the records that stay, at least one, to `out`. `horizon`: the
    /// delete horizon that it gets; it has none so far. `scratch` is cleared and can be used again.
    pub fn write(
        &self,
        batch: &OpenBatch<'_>,
        horizon: Option<Timestamp>,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Writing {
        let info = &batch.info;
        scratch.clear();
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        let attributes = match horizon {
            Some(_) => info.attributes.with_delete_horizon(true),
            None => info.attributes,
        };
        let info = BatchInfo {
            attributes,
            record_count: self.count,
            base_timestamp: horizon.unwrap_or(info.base_timestamp),
            max_timestamp: match attributes.timestamp_type() {
                TimestampType::LogAppendTime => info.max_timestamp,
                TimestampType::CreateTime => self.latest.unwrap_or(info.max_timestamp),
            },
            ..*info
        };
        Writing {
            start,
            info,
            horizon,
            run: 0,
            done: 0,
            // What of the header it covers does not tell the size, which is not known yet.
            crc: BatchHeader::of(&info).crc_start(),
        }
    }
}

/// A batch that is being written; see [`Retained::write`].
#[derive(Debug)]
pub struct Writing {
    /// Of the batch in `out`.
    start: usize,
    /// As it will be, but for its size.
    info: BatchInfo,
    horizon: Option<Timestamp>,
    /// The run that is written next, and how many of its bytes were.
    run: usize,
    done: usize,
    crc: u32,
}

impl Writing {
    /// Writes on, a piece, with what [`Retained::write`] was given; gives the batch once it is whole.
    ///
    /// # Errors
    /// [`RecordError::Record`] when a timestamp is too far from the horizon.
    pub fn step(
        &mut self,
        retained: &Retained,
        batch: &OpenBatch<'_>,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Poll<BatchInfo>, RecordError> {
        let plain = batch.info.compression == Compression::None && retained.codec(batch).is_none();
        let into = if plain { &mut *out } else { &mut *scratch };
        let before = into.len();
        while let Some(&(from, to)) = retained.runs.get(self.run)
            && into.len() - before < PIECE_BYTES
        {
            let rest = &batch.records_stored()[from + self.done..to];
            let took = match self.horizon {
                None => {
                    let took = rest.len().min(PIECE_BYTES);
                    into.extend_from_slice(&rest[..took]);
                    took
                }
                Some(horizon) => rebase(rest, batch.info.base_timestamp, horizon, into)?,
            };
            self.done += took;
            if took == rest.len() {
                (self.run, self.done) = (self.run + 1, 0);
            }
        }
        if plain {
            self.crc = crc32c_append(self.crc, &out[before..]);
        }
        if self.run < retained.runs.len() {
            return Ok(Poll::Pending);
        }
        if !plain {
            let codec = close(scratch, &batch.info, retained.codec(batch), self.start, out);
            self.info.compression = codec;
            self.info.attributes = self.info.attributes.with_compression(codec);
            let records = &out[self.start + HEADER_BYTES..];
            self.crc = BatchHeader::of(&self.info).crc_start();
            self.crc = crc32c_append(self.crc, records);
        }
        self.info.size = out.len() - self.start;
        let mut header = BatchHeader::of(&self.info);
        header.set_crc(self.crc);
        out[self.start..self.start + HEADER_BYTES].copy_from_slice(header.as_bytes());
        Ok(Poll::Ready(self.info))
    }
}

/// Appends the records of a batch that begins at `start`: in the codec asked for if the batch becomes
/// no longer than it was, else in its own. Gives the codec.
fn close(
    records: &[u8],
    info: &BatchInfo,
    to: Option<CompressionTarget>,
    start: usize,
    out: &mut Vec<u8>,
) -> Compression {
    let before = out.len();
    if let Some(to) = to {
        to.codec.compress_at(to.level, records, out);
        if to.codec == info.compression || out.len() - start <= info.size {
            return to.codec;
        }
        out.truncate(before);
    }
    info.compression.compress(records, out);
    info.compression
}

/// Appends the batch without records: its last sequence, or its offsets, are still of use.
pub fn write_emptied(info: &BatchInfo, out: &mut Vec<u8>) -> BatchInfo {
    let info = BatchInfo {
        size: HEADER_BYTES,
        attributes: info
            .attributes
            .with_compression(Compression::None)
            .with_delete_horizon(false),
        compression: Compression::None,
        record_count: 0,
        base_timestamp: Timestamp::NONE,
        ..*info
    };
    let mut header = BatchHeader::of(&info);
    header.set_crc(header.crc_start());
    out.extend_from_slice(header.as_bytes());
    info
}

/// Appends records with their timestamps relative to another base, a piece of them. Gives how many
/// bytes they took.
fn rebase(
    records: &[u8],
    from: Timestamp,
    to: Timestamp,
    out: &mut Vec<u8>,
) -> Result<usize, RecordError> {
    let shift = from.checked_since(to);
    let (mut rest, before) = (records, out.len());
    while !rest.is_empty() && out.len() - before < PIECE_BYTES {
        let moved = shift.and_then(|shift| rebase_one(&mut rest, shift, out));
        moved.ok_or(RecordError::Record {
            index: 0,
            what: "its timestamp is out of range of the delete horizon",
        })?;
    }
    Ok(records.len() - rest.len())
}

fn rebase_one(run: &mut &[u8], shift: i64, out: &mut Vec<u8>) -> Option<()> {
    let length = usize::try_from(read_i32(run)?).ok()?;
    let mut body = take(run, length)?;
    let attributes = take(&mut body, 1)?[0];
    let delta = read_i64(&mut body)?.checked_add(shift)?;
    let length = 1 + size_i64(delta) + body.len();
    write_i32(out, i32::try_from(length).ok()?);
    out.push(attributes);
    write_i64(out, delta);
    out.extend_from_slice(body);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Rules, validate};
    use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence};

    fn batch(codec: Compression, append_time: Option<Timestamp>) -> Vec<u8> {
        let builder = BatchBuilder::new().compression(codec);
        let builder = builder.base_offset(Offset(1_000)).producer(
            ProducerId(5),
            ProducerEpoch(1),
            Sequence(7),
        );
        let mut builder = match append_time {
            Some(time) => builder.append_time(time),
            None => builder,
        };
        for n in 0..10u8 {
            let value = [n; 40];
            let value = (n != 4).then_some(&value[..]);
            let headers: [(&[u8], Option<&[u8]>); 1] = [(b"h", Some(&[n]))];
            let time = Timestamp(500 + i64::from(n * 7 % 10));
            builder
                .append(time, Some(&[n]), value, &headers)
                .expect("a record that fits");
        }
        builder.build().expect("a batch")
    }

    /// Offset, time, key and value of a record, as a consumer sees it.
    type Seen = (i64, i64, Vec<u8>, Option<Vec<u8>>);

    fn seen(bytes: &[u8]) -> Vec<Seen> {
        let info = validate(bytes, &Rules::LOG).expect("valid in a log");
        assert_eq!(info.size, bytes.len());
        let mut scratch = Vec::new();
        let open = OpenBatch::open(bytes, info, &mut scratch).expect("opens");
        open.check(&Rules::LOG, true)
            .expect("its records are right");
        let records = open.records().map(|record| {
            let record = record.expect("a record");
            (
                open.offset_of(&record).0,
                open.timestamp_of(&record).0,
                record.key.expect("a key").to_vec(),
                record.value.map(<[u8]>::to_vec),
            )
        });
        records.collect()
    }

    fn select(retained: &mut Retained, open: &OpenBatch<'_>, keep: impl Fn(&Record<'_>) -> bool) {
        retained.clear();
        let mut records = open.records();
        while let Some(next) = records.next_with_size() {
            let (record, size) = next.expect("well-formed");
            retained.add(open, &record, size, keep(&record));
        }
    }

    fn written(
        retained: &Retained,
        open: &OpenBatch<'_>,
        horizon: Option<Timestamp>,
        kept: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> BatchInfo {
        let mut writing = retained.write(open, horizon, kept, out);
        loop {
            let step = writing.step(retained, open, kept, out);
            if let Poll::Ready(new) = step.expect("written") {
                return new;
            }
        }
    }

    #[test]
    fn what_stays_is_as_it_was() {
        for codec in Compression::ALL {
            for append_time in [None, Some(Timestamp(9_000))] {
                for horizon in [None, Some(Timestamp(70_000_000_000))] {
                    let bytes = batch(codec, append_time);
                    let info = validate(&bytes, &Rules::LOG).expect("valid");
                    let (mut scratch, mut out) = (Vec::new(), vec![1, 2, 3]);
                    let open = OpenBatch::open(&bytes, info, &mut scratch).expect("opens");
                    let mut retained = Retained::default();
                    select(&mut retained, &open, |record| record.offset_delta % 3 != 1);
                    assert!(retained.dropped() && !retained.tombstones());
                    let mut kept = Vec::new();
                    let new = written(&retained, &open, horizon, &mut kept, &mut out);
                    assert_eq!(validate(&out[3..], &Rules::LOG), Ok(new));
                    let mut expected = seen(&bytes);
                    expected.retain(|(offset, ..)| (offset - 1_000) % 3 != 1);
                    assert_eq!(seen(&out[3..]), expected, "{codec:?}");
                    let latest = expected.iter().map(|(_, time, ..)| *time).max();
                    assert_eq!(Some(new.max_timestamp.0), latest);
                    assert_eq!(new.last_sequence(), info.last_sequence());
                    assert_eq!(new.next_offset(), info.next_offset());
                    let set = new.attributes.has_delete_horizon();
                    assert_eq!(set.then_some(new.base_timestamp), horizon);
                }
            }
        }
    }

    /// A batch of these values, and what becomes of its first `keep` records in the codec asked for.
    fn kept_in(
        own: Compression,
        to: Option<CompressionTarget>,
        values: &[Vec<u8>],
        keep: i32,
    ) -> (BatchInfo, BatchInfo) {
        let mut builder = BatchBuilder::new().compression(own);
        for value in values {
            builder
                .append(Timestamp(1), Some(b"k"), Some(value), &[])
                .expect("a record that fits");
        }
        let bytes = builder.build().expect("a batch");
        let info = validate(&bytes, &Rules::LOG).expect("valid");
        let (mut scratch, mut kept, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let open = OpenBatch::open(&bytes, info, &mut scratch).expect("opens");
        let mut retained = Retained::recompressing(to);
        let first = |record: &Record<'_>| record.offset_delta < keep;
        select(&mut retained, &open, first);
        let new = written(&retained, &open, None, &mut kept, &mut out);
        assert_eq!(validate(&out, &Rules::LOG), Ok(new));
        let mut expected = seen(&bytes);
        expected.truncate(usize::try_from(keep).expect("some"));
        assert_eq!(seen(&out), expected, "{own:?} to {to:?}");
        (info, new)
    }

    #[test]
    fn what_stays_is_compressed_as_the_topic_asks() {
        // Letters at random, twice: each codec makes something else of them.
        let mut seed = 7u32;
        let mut letters = |bits: u32, count: usize| -> Vec<u8> {
            let bytes = (0..count).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> (32 - bits)) as u8
            });
            bytes.collect()
        };
        let mut values: Vec<Vec<u8>> = (0..10).map(|_| letters(3, 4000).repeat(2)).collect();
        let mut outcomes = [0; 2];
        for own in Compression::ALL {
            assert_eq!(kept_in(own, None, &values, 5).1.compression, own);
            for codec in Compression::ALL {
                let to = CompressionTarget { codec, level: None };
                let (old, new) = kept_in(own, Some(to), &values, 9);
                let fits = codec == own || kept_in(codec, None, &values, 9).1.size <= old.size;
                assert_eq!(new.compression, if fits { codec } else { own });
                assert!(new.size <= old.size, "{own:?} to {codec:?}");
                outcomes[usize::from(fits)] += 1;
            }
        }
        assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}");
        let squares: Vec<Vec<u8>> = (0..10u32)
            .map(|value| {
                let all = value * 6_000..(value + 1) * 6_000;
                all.flat_map(|n| (n * n / 7).to_le_bytes()).collect()
            })
            .collect();
        for codec in [Compression::Gzip, Compression::Zstd] {
            let [low, high] = [1, 9].map(|level| {
                let level = Some(level);
                let to = CompressionTarget { codec, level };
                kept_in(codec, Some(to), &squares, 8).1.size
            });
            assert!(high < low, "{codec:?}: {high}, {low}");
        }
        // What is opened may stay so where enough has gone.
        values.push(letters(8, 100_000));
        let codec = Compression::None;
        let to = CompressionTarget { codec, level: None };
        let (_, new) = kept_in(Compression::Zstd, Some(to), &values, 10);
        assert_eq!(new.compression, codec);
    }

    #[test]
    fn an_emptied_batch_keeps_its_offsets_and_sequences() {
        let bytes = batch(Compression::Gzip, None);
        let info = validate(&bytes, &Rules::LOG).expect("valid");
        let mut out = Vec::new();
        let new = write_emptied(&info, &mut out);
        assert_eq!(validate(&out, &Rules::LOG), Ok(new));
        assert_eq!(seen(&out), []);
        assert_eq!(new.next_offset(), info.next_offset());
        assert_eq!(new.last_sequence(), info.last_sequence());
        assert_eq!(new.max_timestamp, info.max_timestamp);
    }
}
