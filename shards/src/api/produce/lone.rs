//! A produce request for one partition, as high rates of small batches bring: checked and appended
//! in one go, its answer written straight into the connection's outgoing bytes. Nothing is
//! allocated for it.
//!
//! Whatever is unusual about a request (several partitions, a topic unknown here, a partition that
//! is not open, tagged fields, a transaction, a malformed body) is left to [`super::handle`],
//! before anything was done about it. A test compares the bytes written here with those of the
//! generated encoder.

use std::rc::Rc;

use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::{ErrorCode, Reader, Uuid};

use super::{ACCEPTED, KEY, Stored, append};
use crate::api::{Broker, Outcome};
use crate::catalog::{Target, TopicKey};
use crate::net::Pledge;
use crate::partition::{Failed, Mark};

/// First version whose fields are compact and tagged.
const FLEXIBLE: i16 = 9;
/// First version that names topics by id.
const BY_ID: i16 = 13;

/// The request.
struct Lone<'a> {
    acks: i16,
    topic: TopicKey<'a>,
    index: i32,
    records: &'a [u8],
}

/// A batch that was appended; its answer waits for a mark.
pub struct Produced {
    target: Rc<Target>,
    mark: Mark,
    end: Offset,
    version: i16,
    correlation_id: i32,
    base_offset: i64,
    append_time: i64,
    log_start: i64,
}

/// Takes a request if there is nothing unusual about it. If not, nothing has happened.
pub(super) fn take(broker: &Broker, request: &[u8]) -> Option<Outcome> {
    let (version, correlation_id, body) = header(request)?;
    let request = parse(body, version)?;
    let target = broker.holdings.target(request.topic, request.index)?;
    let partition = &target.hosted.partition;
    let now = Timestamp(broker.io.wall_clock());
    // A batch that is refused goes the other way, where it is refused again with its reason.
    let Stored {
        base_offset,
        append_time,
        end,
    } = append(broker, &target.hosted, request.records, now).ok()?;
    let mark = match request.acks {
        0 => return Some(Outcome::Silent),
        1 => Mark::Written,
        _ => Mark::Visible,
    };
    partition.want(mark, end);
    Some(Outcome::Pledged(Produced {
        mark,
        end,
        version,
        correlation_id,
        base_offset,
        append_time,
        log_start: partition.log_start().0,
        target,
    }))
}

/// A request's version, correlation id and body.
fn header(request: &[u8]) -> Option<(i16, i32, &[u8])> {
    let mut reader = Reader::new(request);
    if reader.i16().ok()? != KEY {
        return None;
    }
    let version = reader.i16().ok().filter(|it| ACCEPTED.contains(it))?;
    let correlation_id = reader.i32().ok()?;
    let client_id = reader.i16().ok()?;
    let client_id = usize::try_from(client_id).unwrap_or(0);
    reader.take(client_id, "client id").ok()?;
    if version >= FLEXIBLE && reader.uvarint().ok()? != 0 {
        return None;
    }
    Some((version, correlation_id, reader.rest()))
}

fn parse(body: &[u8], version: i16) -> Option<Lone<'_>> {
    let flexible = version >= FLEXIBLE;
    let mut reader = Reader::new(body);
    let one = |reader: &mut Reader<'_>| match flexible {
        true => reader.uvarint().ok() == Some(2),
        false => reader.i32().ok() == Some(1),
    };
    let untagged = |reader: &mut Reader<'_>| !flexible || reader.uvarint().ok() == Some(0);
    if reader.str_opt(flexible, "").ok()?.is_some() {
        return None;
    }
    let acks = reader.i16().ok().filter(|acks| (-1..=1).contains(acks))?;
    reader.i32().ok()?;
    if !one(&mut reader) {
        return None;
    }
    let topic = match version >= BY_ID {
        true => TopicKey::Id(reader.uuid().ok()?),
        false => TopicKey::Name(reader.str(flexible, "").ok()?),
    };
    if !one(&mut reader) {
        return None;
    }
    let index = reader.i32().ok()?;
    let records = reader.records_opt(flexible, "").ok()?.bytes()?;
    let ends = (0..3).all(|_| untagged(&mut reader));
    (ends && reader.remaining() == 0).then_some(Lone {
        acks,
        topic,
        index,
        records,
    })
}

/// What the client is told.
struct Answer<'a> {
    version: i16,
    correlation_id: i32,
    topic: &'a str,
    id: Uuid,
    index: i32,
    error: ErrorCode,
    base_offset: i64,
    append_time: i64,
    log_start: i64,
}

impl Pledge for Produced {
    fn redeem(&self, out: &mut Vec<u8>) -> bool {
        let Some(outcome) = self.target.hosted.partition.settled(self.mark, self.end) else {
            return false;
        };
        let (error, base_offset) = match outcome {
            Ok(()) => (ErrorCode::None, self.base_offset),
            Err(Failed) => (ErrorCode::KafkaStorageError, -1),
        };
        let topic = &self.target.topic;
        let answer = Answer {
            version: self.version,
            correlation_id: self.correlation_id,
            topic: &topic.name,
            id: topic.id,
            index: self.target.index,
            error,
            base_offset,
            append_time: self.append_time,
            log_start: self.log_start,
        };
        answer.write(out);
        true
    }

    async fn wait(&self) {
        // How it ended is asked again when it is written.
        let _ = self
            .target
            .hosted
            .partition
            .wait(self.mark, self.end)
            .done()
            .await;
    }
}

impl Answer<'_> {
    /// Source: `ProduceResponse.json`, versions 3 to 13.
    fn write(&self, out: &mut Vec<u8>) {
        let version = self.version;
        let flexible = version >= FLEXIBLE;
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.correlation_id.to_be_bytes());
        let one: &[u8] = if flexible { &[2] } else { &[0, 0, 0, 1] };
        let tags: &[u8] = if flexible { &[0] } else { &[] };
        out.extend_from_slice(tags);
        out.extend_from_slice(one);
        match version {
            BY_ID.. => out.extend_from_slice(&self.id.0),
            _ => {
                let name = self.topic.as_bytes();
                // A topic's name has at most 249 bytes.
                match flexible {
                    true => put_uvarint(name.len() as u32 + 1, out),
                    false => out.extend_from_slice(&(name.len() as u16).to_be_bytes()),
                }
                out.extend_from_slice(name);
            }
        }
        out.extend_from_slice(one);
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.error.code().to_be_bytes());
        out.extend_from_slice(&self.base_offset.to_be_bytes());
        out.extend_from_slice(&self.append_time.to_be_bytes());
        if version >= 5 {
            out.extend_from_slice(&self.log_start.to_be_bytes());
        }
        match version {
            // No record errors, no message.
            FLEXIBLE.. => out.extend_from_slice(&[1, 0]),
            8 => out.extend_from_slice(&[0, 0, 0, 0, 0xff, 0xff]),
            _ => {}
        }
        // Of the partition, of the topic.
        out.extend_from_slice(tags);
        out.extend_from_slice(tags);
        // Throttle time.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(tags);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn put_uvarint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use odradek_wire::Message;
    use odradek_wire::produce::{
        PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
        TopicProduceData, TopicProduceResponse,
    };
    use odradek_wire::{Records, Writer};

    use super::*;
    use crate::api::encode_reply;

    #[test]
    fn answers_equal_those_of_the_generated_encoder() {
        let long = "x".repeat(249);
        for version in 3..=13 {
            for (name, error) in [
                ("orders", ErrorCode::None),
                (&long, ErrorCode::KafkaStorageError),
            ] {
                let answer = Answer {
                    version,
                    correlation_id: 0x0102_0304,
                    topic: name,
                    id: Uuid([7; 16]),
                    index: 5,
                    error,
                    base_offset: 6,
                    append_time: 7,
                    log_start: if version >= 5 { 8 } else { -1 },
                };
                let response = ProduceResponse {
                    responses: vec![TopicProduceResponse {
                        name,
                        topic_id: Uuid([7; 16]),
                        partition_responses: vec![PartitionProduceResponse {
                            index: 5,
                            error_code: error.code(),
                            base_offset: 6,
                            log_append_time_ms: 7,
                            log_start_offset: answer.log_start,
                            ..PartitionProduceResponse::default()
                        }],
                    }],
                    ..ProduceResponse::default()
                };
                let (expected, _) = encode_reply(0, version, 0x0102_0304, &response).unwrap();
                let mut written = vec![9, 9];
                answer.write(&mut written);
                assert_eq!(written[2..], expected, "version {version}");
            }
        }
    }

    fn request(acks: i16, partitions: usize, transactional_id: Option<&str>) -> ProduceRequest<'_> {
        let one = PartitionProduceData {
            index: 3,
            records: Records::Bytes(b"records"),
        };
        ProduceRequest {
            transactional_id,
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: "orders",
                topic_id: Uuid([7; 16]),
                partition_data: vec![one; partitions],
            }],
        }
    }

    fn encoded(request: &ProduceRequest<'_>, version: i16) -> Vec<u8> {
        let mut request = request.clone();
        for topic in &mut request.topic_data {
            match version >= BY_ID {
                true => topic.name = "",
                false => topic.topic_id = Uuid::ZERO,
            }
        }
        let mut writer = Writer::new(Vec::new());
        Message::encode(&request, &mut writer, version).unwrap();
        writer.into_parts().0
    }

    #[test]
    fn requests_for_one_partition_are_read_and_others_left() {
        for version in 3..=13 {
            let body = encoded(&request(1, 1, None), version);
            let read = parse(&body, version).expect("one partition");
            assert_eq!((read.acks, read.index), (1, 3));
            assert_eq!(read.records, b"records");
            match read.topic {
                TopicKey::Id(id) => assert!(version >= BY_ID && id == Uuid([7; 16])),
                TopicKey::Name(name) => assert!(version < BY_ID && name == "orders"),
            }
            for other in [
                request(1, 2, None),
                request(1, 0, None),
                request(2, 1, None),
                request(1, 1, Some("transaction")),
            ] {
                assert!(parse(&encoded(&other, version), version).is_none());
            }
            for cut in 0..body.len() {
                assert!(parse(&body[..cut], version).is_none(), "cut at {cut}");
            }
            let longer = [&body[..], &[0]].concat();
            assert!(parse(&longer, version).is_none());
        }
    }
}
