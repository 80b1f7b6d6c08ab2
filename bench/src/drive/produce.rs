//! Produce requests, encoded once and sent again and again.
//!
//! The batch's CRC covers neither its base offset nor its leader epoch, so the same bytes are a
//! valid batch each time: the server stamps what differs.

use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use odradek_engine::record::{BatchBuilder, HEADER_BYTES};
use odradek_engine::types::Timestamp;
use odradek_wire::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use odradek_wire::{Message, Records, Writer, response_header_version};

use super::admin::{check, reply_body, request_frame};
use super::saturate::Work;

/// Requests up to this size are copied into one send with their neighbours.
const COPIED_BYTES_MAX: usize = 32 << 10;
/// Where the correlation id stands in a frame: after length, API key and version.
pub(super) const CORRELATION_AT: std::ops::Range<usize> = 8..12;

/// A record batch.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: i32,
}

impl Batch {
    /// Records without key, of `record_bytes` of value: as many as fit into `batch_bytes`, at
    /// least one. `now` in milliseconds.
    pub(crate) fn build(record_bytes: usize, batch_bytes: usize, now: i64) -> Result<Self> {
        // Neither constant nor random: text-like, compressible by 2 or so, were it compressed.
        let value: Vec<u8> = (0..record_bytes as u32)
            .map(|at| b' ' + (at.wrapping_mul(2_654_435_761) >> 26) as u8)
            .collect();
        let mut builder = BatchBuilder::new();
        let overhead_max = 32;
        loop {
            builder.append(Timestamp(now), None, Some(&value), &[])?;
            if builder.bytes() + record_bytes + overhead_max > batch_bytes {
                break;
            }
        }
        let records = builder.record_count();
        let bytes = builder.build()?;
        debug_assert!(bytes.len() > HEADER_BYTES);
        Ok(Self { bytes, records })
    }
}

/// One partition's request.
#[derive(Clone)]
struct Template {
    /// The frame, or its beginning, with a correlation id to be filled in.
    head: Vec<u8>,
    /// The rest of a large frame.
    body: Option<Rc<[u8]>>,
}

/// The requests of a run: connection `i` sends to partition `i % partitions`.
#[derive(Clone)]
pub(crate) struct Frames {
    templates: Vec<Template>,
    version: i16,
    batch_bytes: u64,
    /// Records of a request.
    pub(crate) records: i32,
    /// Replies are Kafka's (else an echo's, of which only the id is looked at).
    checked: bool,
    /// A connection sends to all partitions in turn, instead of to its own.
    in_turn: bool,
    /// Length prefix included.
    pub(crate) request_bytes: usize,
    pub(crate) reply_bytes: usize,
}

impl Frames {
    pub(crate) fn new(
        topic: &str,
        partitions: &[i32],
        batch: &Batch,
        acks: i16,
        version: i16,
    ) -> Result<Self> {
        let mut templates = Vec::new();
        for partition in partitions {
            templates.push(Template::new(
                topic,
                *partition,
                &batch.bytes,
                acks,
                version,
            )?);
        }
        let first = templates.first().context("a topic has a partition")?;
        let body_bytes = first.body.as_deref().map_or(0, <[u8]>::len);
        Ok(Self {
            version,
            batch_bytes: batch.bytes.len() as u64,
            records: batch.records,
            checked: true,
            in_turn: false,
            request_bytes: first.head.len() + body_bytes,
            reply_bytes: reply_bytes(topic, version)?,
            templates,
        })
    }

    /// The same requests; each connection sends to all partitions in turn.
    pub(crate) fn in_turn(mut self) -> Self {
        self.in_turn = true;
        self
    }

    /// Of a request's batch.
    pub(crate) fn batch_bytes(&self) -> u64 {
        self.batch_bytes
    }

    /// The same requests, for a server that only echoes ids.
    pub(crate) fn for_echo(mut self) -> Self {
        self.checked = false;
        self.templates.truncate(1);
        self
    }
}

impl Template {
    fn new(topic: &str, partition: i32, batch: &[u8], acks: i16, version: i16) -> Result<Self> {
        let request = ProduceRequest {
            transactional_id: None,
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: topic,
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Records::External(batch.len() as u32),
                }],
                ..Default::default()
            }],
        };
        let w = request_frame(&request, version, 0, Vec::new())?;
        let (mut head, gaps) = w.into_parts();
        let gap = gaps.first().context("the records are a gap")?;
        let mut body = batch.to_vec();
        body.extend_from_slice(&head[gap.at..]);
        head.truncate(gap.at);
        if head.len() + body.len() <= COPIED_BYTES_MAX {
            head.append(&mut body);
        }
        let body = (!body.is_empty()).then(|| Rc::from(body));
        Ok(Self { head, body })
    }
}

/// Bytes of a successful reply, length prefix included.
fn reply_bytes(topic: &str, version: i16) -> Result<usize> {
    let response = ProduceResponse {
        responses: vec![TopicProduceResponse {
            name: topic,
            partition_responses: vec![PartitionProduceResponse::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut w = Writer::new(Vec::new());
    response.encode(&mut w, version)?;
    let header_version = response_header_version(ProduceRequest::API_KEY, version);
    let header_bytes = 4 + usize::from(header_version == Some(1));
    Ok(4 + header_bytes + w.total_len())
}

impl Work for Frames {
    fn request(
        &mut self,
        at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let at = match self.in_turn {
            true => at + correlation as usize,
            false => at,
        };
        let template = &self.templates[at % self.templates.len()];
        let start = out.len();
        out.extend_from_slice(&template.head);
        out[start..][CORRELATION_AT].copy_from_slice(&correlation.to_be_bytes());
        Ok(template.body.clone())
    }

    fn reply(&mut self, _at: usize, reply: &[u8]) -> Result<u64> {
        if self.checked {
            let mut body = reply_body(reply, ProduceRequest::API_KEY, self.version)?;
            let response = ProduceResponse::decode(&mut body, self.version)?;
            let mut partitions = response
                .responses
                .iter()
                .flat_map(|topic| &topic.partition_responses);
            let partition = partitions.next().context("a reply without a partition")?;
            check("produce", partition.error_code)?;
            ensure!(partition.base_offset >= 0, "no base offset in a reply");
        }
        Ok(self.batch_bytes)
    }
}

#[cfg(test)]
mod tests {
    use odradek_engine::record::{Rules, validate};
    use odradek_wire::Reader;
    use odradek_wire::request_header::RequestHeader;

    use super::*;

    /// The frame of a request, put together as it is sent.
    fn frame(frames: &mut Frames, at: usize, correlation: i32) -> Vec<u8> {
        let mut frame = Vec::new();
        let body = frames.request(at, correlation, &mut frame).unwrap();
        frame.extend_from_slice(body.as_deref().unwrap_or_default());
        frame
    }

    #[test]
    fn frames_are_produce_requests() {
        for (record_bytes, batch_bytes, acks) in [(1024, 1 << 20, -1), (64, 0, 1)] {
            let batch = Batch::build(record_bytes, batch_bytes, 1_700_000_000_000).unwrap();
            assert!(batch.bytes.len() <= batch_bytes.max(61 + record_bytes + 32));
            assert_eq!(batch.records == 1, batch_bytes == 0);
            for version in 3..=12 {
                let mut frames = Frames::new("t", &[4, 7], &batch, acks, version).unwrap();
                let frame = frame(&mut frames, 3, 0x0102_0304);
                assert_eq!(frame.len(), frames.request_bytes);
                assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
                let mut r = Reader::new(&frame[4..]);
                let header_version = if version >= 9 { 2 } else { 1 };
                let header = RequestHeader::decode(&mut r, header_version).unwrap();
                assert_eq!(header.correlation_id, 0x0102_0304);
                let request = ProduceRequest::decode(&mut r, version).unwrap();
                r.finish().unwrap();
                assert_eq!(request.acks, acks);
                let partition = &request.topic_data[0].partition_data[0];
                assert_eq!(partition.index, 7);
                let records = partition.records.bytes().unwrap();
                let info = validate(records, &Rules::NODE).unwrap();
                assert_eq!(info.record_count, batch.records);
                assert_eq!(info.size, batch.bytes.len());
            }
        }
    }

    #[test]
    fn an_error_in_a_reply_ends_the_run() {
        let batch = Batch::build(64, 0, 0).unwrap();
        let mut frames = Frames::new("t", &[0], &batch, 1, 9).unwrap();
        for (error_code, fine) in [(0, true), (6, false)] {
            let response = ProduceResponse {
                responses: vec![TopicProduceResponse {
                    name: "t",
                    partition_responses: vec![PartitionProduceResponse {
                        error_code,
                        base_offset: 5,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            };
            // Correlation id and no tagged fields: response header version 1.
            let mut w = Writer::new(vec![0; 5]);
            response.encode(&mut w, 9).unwrap();
            let reply = w.into_inner();
            assert_eq!(reply.len() + 4, frames.reply_bytes);
            assert_eq!(frames.reply(0, &reply).is_ok(), fine);
        }
    }
}
