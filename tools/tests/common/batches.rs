//! Record batches for tests.

use odradek_engine::record::{BatchBuilder, BatchHeader, OpenBatch, Rules, headers, validate};
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_millis() as i64
}

/// A batch of these values, stamped with the present time.
pub fn batch(values: &[&[u8]]) -> Vec<u8> {
    batch_at(now_ms(), values)
}

/// A batch of these values, all at one time.
pub fn batch_at(time: i64, values: &[&[u8]]) -> Vec<u8> {
    build(BatchBuilder::new(), time, values)
}

/// A batch of an idempotent producer.
pub fn batch_by(producer: i64, epoch: i16, sequence: i32, values: &[&[u8]]) -> Vec<u8> {
    let builder = BatchBuilder::new().producer(
        ProducerId(producer),
        ProducerEpoch(epoch),
        Sequence(sequence),
    );
    build(builder, now_ms(), values)
}

/// A batch by a prepared builder.
pub fn build(mut builder: BatchBuilder, time: i64, values: &[&[u8]]) -> Vec<u8> {
    for value in values {
        builder
            .append(Timestamp(time), None, Some(value), &[])
            .expect("a record that fits");
    }
    builder.build().expect("a batch")
}

/// Corrects the CRC after a test has changed the batch.
pub fn reseal(batch: &mut [u8]) {
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// CRC32C (Castagnoli), bit by bit: nothing shared with the node.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// One record as fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub time: i64,
    pub epoch: i32,
    pub value: Vec<u8>,
}

/// The records of whole batches; a batch that is cut off at the end is left out, as clients do.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut all = Vec::new();
    for (pos, header) in headers(bytes) {
        let Some(one) = whole(bytes, pos, header) else {
            break;
        };
        let info = validate(one, &Rules::LOG).expect("a fetched batch is whole and valid");
        let mut scratch = Vec::new();
        let open = OpenBatch::open(one, info, &mut scratch).expect("records that can be read");
        for record in open.records() {
            let record = record.expect("a readable record");
            all.push(Record {
                offset: open.offset_of(&record).0,
                time: open.timestamp_of(&record).0,
                epoch: info.leader_epoch.0,
                value: record.value.unwrap_or_default().to_vec(),
            });
        }
    }
    all
}

fn whole<'a>(bytes: &'a [u8], pos: usize, header: &BatchHeader) -> Option<&'a [u8]> {
    bytes.get(pos..pos + header.size().ok()?)
}

/// Ends of the whole batches in a segment file, in order: position and next offset.
pub fn batch_ends(bytes: &[u8]) -> Vec<(u64, i64)> {
    headers(bytes)
        .filter_map(|(pos, header)| {
            let one = whole(bytes, pos, header)?;
            validate(one, &Rules::LOG).ok()?;
            Some(((pos + one.len()) as u64, header.last_offset().0 + 1))
        })
        .collect()
}
