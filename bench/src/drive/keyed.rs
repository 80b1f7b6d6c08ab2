//! Fills a partition with keyed records: each of so many keys in turn, in an order that looks
//! random.

use std::rc::Rc;

use anyhow::{Context, Result};
use odradek_engine::record::BatchBuilder;
use odradek_engine::types::Timestamp;
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{Message, Records};

use super::admin::{Admin, Partition, check, reply_body, request_frame};
use super::load::now_ms;
use super::pipeline::Pipeline;
use super::saturate::Work;

const VERSION_MAX: i16 = 12;
const BATCH_BYTES: usize = 1 << 20;
/// Of a record, beside its value: key and lengths.
const OVERHEAD_MAX: usize = 32;
/// Requests between two looks at whether to go on.
const AT_ONCE: usize = 64;

/// See the module.
pub(crate) struct Keyed {
    topic: String,
    partition: i32,
    keys: u64,
    value: Vec<u8>,
    /// Of the next record, from 0.
    next: u64,
    version: i16,
}

impl Keyed {
    /// Records of `value_bytes` with `keys` keys of 8 bytes.
    pub(crate) fn new(topic: &str, keys: u64, value_bytes: usize) -> Self {
        Self {
            topic: topic.to_owned(),
            partition: 0,
            keys: keys.max(1),
            value: vec![b'v'; value_bytes],
            next: 0,
            version: 0,
        }
    }

    /// Appends at least `bytes`, durable, as long as `go_on` has nothing against it. Returns the
    /// number of records.
    ///
    /// # Errors
    /// The server's, and that of `go_on`.
    pub(crate) fn fill(
        &mut self,
        partition: Partition,
        bytes: u64,
        go_on: impl Fn() -> Result<()>,
    ) -> Result<u64> {
        let leader = Admin::connect(partition.leader)?;
        self.version = leader.version::<ProduceRequest>(VERSION_MAX)?;
        self.partition = partition.index;
        let mut pipeline = Pipeline::open(partition.leader)?;
        let (mut written, before) = (0, self.next);
        while written < bytes {
            go_on()?;
            let left = (bytes - written).div_ceil(BATCH_BYTES as u64) as usize;
            written += pipeline.run(self, left.min(AT_ONCE))?;
        }
        Ok(self.next - before)
    }

    fn batch(&mut self) -> Result<Vec<u8>> {
        // Odd: no two numbers have the same product.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let (mut builder, now) = (BatchBuilder::new(), Timestamp(now_ms()));
        while builder.bytes() + self.value.len() + OVERHEAD_MAX <= BATCH_BYTES {
            let key = (self.next % self.keys).wrapping_mul(SPREAD).to_be_bytes();
            builder.append(now, Some(&key), Some(&self.value), &[])?;
            self.next += 1;
        }
        Ok(builder.build()?)
    }
}

impl Work for Keyed {
    fn request(
        &mut self,
        _at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let batch = self.batch()?;
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: &self.topic,
                partition_data: vec![PartitionProduceData {
                    index: self.partition,
                    records: Records::Bytes(&batch),
                }],
                ..Default::default()
            }],
        };
        let w = request_frame(&request, self.version, correlation, std::mem::take(out))?;
        *out = w.into_inner();
        Ok(None)
    }

    fn reply(&mut self, _at: usize, reply: &[u8]) -> Result<u64> {
        let mut body = reply_body(reply, ProduceRequest::API_KEY, self.version)?;
        let response = ProduceResponse::decode(&mut body, self.version)?;
        let answers = response.responses.iter();
        let mut answers = answers.flat_map(|topic| &topic.partition_responses);
        let answer = answers.next().context("a reply without a partition")?;
        check("produce", answer.error_code)?;
        Ok(BATCH_BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use odradek_engine::record::{OpenBatch, Rules, validate};

    use super::*;

    #[test]
    fn every_key_comes_in_turn() {
        let mut keyed = Keyed::new("t", 5000, 1000);
        let (mut keys, mut scratch) = (Vec::new(), Vec::new());
        while keys.len() < 5000 {
            let batch = keyed.batch().unwrap();
            assert!(batch.len() <= BATCH_BYTES && batch.len() > BATCH_BYTES - 2000);
            let info = validate(&batch, &Rules::NODE).unwrap();
            let open = OpenBatch::open(&batch, info, &mut scratch).unwrap();
            let of_batch = open.records().map(|one| one.unwrap().key.unwrap().to_vec());
            keys.extend(of_batch);
        }
        assert_eq!(keys.len() as u64, keyed.next);
        let first: BTreeSet<&Vec<u8>> = keys[..5000].iter().collect();
        assert_eq!(first.len(), 5000);
        assert!(
            keys[5000..]
                .iter()
                .zip(&keys)
                .all(|(later, first)| later == first)
        );
    }
}
