//! A producer to one partition: plain, idempotent or transactional, the same records each time.
//!
//! Its batches differ in their sequences only. What that does to their checksum is worked out, not
//! summed again, and the records are sent from where they lie: three kinds of producer cost the
//! driver the same.

use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use odradek_engine::record::{BatchHeader, BatchInfo, HEADER_BYTES, Rules, shift_crc, validate};
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{Message, Records};

use super::admin::{check, reply_body, request_frame};
use super::produce::{Batch, CORRELATION_AT};
use super::saturate::Work;

/// Who produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity<'a> {
    /// Nobody in particular.
    Plain,
    /// A producer's id and epoch.
    Idempotent((i64, i16)),
    /// The same, and its transactional id.
    Transactional((i64, i16), &'a str),
}

/// See the module.
pub(crate) struct Producer {
    /// Of a frame, up to the batch.
    front: Vec<u8>,
    info: BatchInfo,
    /// Records, and what follows them in the frame.
    rest: Rc<[u8]>,
    records_bytes: usize,
    records_crc: u32,
    version: i16,
    /// Answers, other than none, that are no failure.
    allowed: &'static [i16],
    /// Of the last answer.
    pub(crate) error: i16,
}

impl Producer {
    /// Sends `batch` to a partition, by produce requests of `version`.
    ///
    /// # Errors
    /// When the batch is none.
    pub(crate) fn new(
        (topic, partition): (&str, i32),
        batch: &Batch,
        identity: Identity,
        acks: i16,
        version: i16,
    ) -> Result<Self> {
        let mut info = validate(&batch.bytes, &Rules::NODE).context("a batch")?;
        let transactional_id = match identity {
            Identity::Transactional(_, id) => Some(id),
            _ => None,
        };
        if let Identity::Idempotent((id, epoch)) | Identity::Transactional((id, epoch), _) =
            identity
        {
            info.producer_id = ProducerId(id);
            info.producer_epoch = ProducerEpoch(epoch);
            info.base_sequence = Sequence(0);
            let transactional = transactional_id.is_some();
            info.attributes = info.attributes.with_transactional(transactional);
        }
        let request = ProduceRequest {
            transactional_id,
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: topic,
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Records::External(batch.bytes.len() as u32),
                }],
                ..Default::default()
            }],
        };
        let w = request_frame(&request, version, 0, Vec::new())?;
        let (mut front, gaps) = w.into_parts();
        let gap = gaps.first().context("the records are a gap")?;
        let records = &batch.bytes[HEADER_BYTES..];
        let mut rest = records.to_vec();
        rest.extend_from_slice(&front[gap.at..]);
        front.truncate(gap.at);
        Ok(Self {
            front,
            info,
            records_bytes: records.len(),
            records_crc: crc32c::crc32c(records),
            rest: rest.into(),
            version,
            allowed: &[],
            error: 0,
        })
    }

    /// From now on these errors of an answer are taken as they are: [`Self::error`] has them.
    pub(crate) fn allow(&mut self, errors: &'static [i16]) {
        self.allowed = errors;
    }

    /// A transaction later: the epoch may have gone up, and sequences begin anew then.
    pub(crate) fn goes_on_as(&mut self, (id, epoch): (i64, i16)) {
        let is = (self.info.producer_id, self.info.producer_epoch);
        if is != (ProducerId(id), ProducerEpoch(epoch)) {
            self.info.producer_id = ProducerId(id);
            self.info.producer_epoch = ProducerEpoch(epoch);
            self.info.base_sequence = Sequence(0);
        }
    }

    /// Sends the last batch again: it was not appended.
    pub(crate) fn step_back(&mut self) {
        if self.info.base_sequence != Sequence::NONE {
            self.info.base_sequence = self.info.base_sequence.decrement(self.info.record_count);
        }
    }
}

impl Work for Producer {
    fn request(
        &mut self,
        _at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let start = out.len();
        out.extend_from_slice(&self.front);
        out[start..][CORRELATION_AT].copy_from_slice(&correlation.to_be_bytes());
        let mut header = BatchHeader::of(&self.info);
        header.set_crc(shift_crc(header.crc_start(), self.records_bytes) ^ self.records_crc);
        out.extend_from_slice(header.as_bytes());
        if self.info.base_sequence != Sequence::NONE {
            self.info.base_sequence = self.info.base_sequence.increment(self.info.record_count);
        }
        Ok(Some(self.rest.clone()))
    }

    fn reply(&mut self, _at: usize, reply: &[u8]) -> Result<u64> {
        let mut body = reply_body(reply, ProduceRequest::API_KEY, self.version)?;
        let response = ProduceResponse::decode(&mut body, self.version)?;
        let answers = response.responses.iter();
        let mut answers = answers.flat_map(|topic| &topic.partition_responses);
        let answer = answers.next().context("a reply without a partition")?;
        self.error = answer.error_code;
        if self.allowed.contains(&self.error) {
            return Ok(0);
        }
        check("produce", self.error)?;
        ensure!(answer.base_offset >= 0, "no base offset in a reply");
        Ok(self.info.size as u64)
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::Reader;
    use odradek_wire::request_header::RequestHeader;

    use super::*;

    #[test]
    fn batches_are_sound_and_their_sequences_go_on() {
        let batch = Batch::build(100, 2000, 1_700_000_000_000).unwrap();
        let identities = [
            Identity::Plain,
            Identity::Idempotent((7, 3)),
            Identity::Transactional((7, 3), "t"),
        ];
        for identity in identities {
            let mut producer = Producer::new(("topic", 2), &batch, identity, -1, 11).unwrap();
            for turn in 0..3 {
                if turn == 2 {
                    producer.goes_on_as((7, 4));
                }
                let mut frame = Vec::new();
                let rest = producer.request(0, 9, &mut frame).unwrap().unwrap();
                frame.extend_from_slice(&rest);
                assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
                let mut r = Reader::new(&frame[4..]);
                let header = RequestHeader::decode(&mut r, 2).unwrap();
                assert_eq!(header.correlation_id, 9);
                let request = ProduceRequest::decode(&mut r, 11).unwrap();
                r.finish().unwrap();
                let records = request.topic_data[0].partition_data[0].records;
                let info = validate(records.bytes().unwrap(), &Rules::NODE).unwrap();
                let expected = match (identity, turn) {
                    (Identity::Plain, 0 | 1) => (-1, -1, -1),
                    // Nobody asks that of a plain one.
                    (Identity::Plain, _) => continue,
                    (_, 2) => (7, 4, 0),
                    (_, turn) => (7, 3, turn * batch.records),
                };
                let is = (
                    info.producer_id.0,
                    info.producer_epoch.0,
                    info.base_sequence.0,
                );
                assert_eq!(is, expected, "{identity:?}");
                let transactional = matches!(identity, Identity::Transactional(..));
                assert_eq!(info.is_transactional(), transactional);
                assert_eq!(request.transactional_id.is_some(), transactional);
            }
        }
    }
}
