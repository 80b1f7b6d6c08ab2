//! A produce request for one partition, as high rates of small batches bring: checked and appended
//! in one go, its answer written straight into the connection's outgoing bytes. Nothing is
//! allocated for it.
//!
//! Whatever is unusual about a request (several partitions, a topic unknown here, a partition that
//! is not open, tagged fields, a transaction, a malformed body) is left to [`super::handle`],
//! before anything was done about it. A test compares the bytes written here with those of the
//! generated encoder.

use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::{ErrorCode, Reader, Uuid};

use super::{Stored, append, deadline};
use crate::api::Call;
use crate::catalog::Topic;
use crate::net::Pledge;
use crate::partition::{Failed, Mark, Partition};

/// First version whose fields are compact and tagged.
const FLEXIBLE: i16 = 9;
/// First version that names topics by id.
const BY_ID: i16 = 13;

/// The request.
struct Lone<'a> {
    acks: i16,
    timeout_ms: i32,
    name: &'a str,
    id: Uuid,
    index: i32,
    records: &'a [u8],
}

/// A batch that was appended; its answer waits for a mark.
pub struct Produced {
    partition: Rc<Partition>,
    mark: Mark,
    end: Offset,
    /// How long the mark is waited for.
    deadline: u64,
    answer: Answer,
}

/// What the client is told.
struct Answer {
    version: i16,
    correlation_id: i32,
    topic: Arc<Topic>,
    index: i32,
    base_offset: i64,
    append_time: i64,
    log_start: i64,
}

/// What became of a request for one partition.
pub enum Taken {
    Produced(Produced),
    /// `acks=0`: no answer.
    Silent,
}

/// Takes a request if there is nothing unusual about it. If not, nothing has happened.
pub fn take(call: &Call<'_>) -> Option<Taken> {
    let request = parse(call.body, call.version)?;
    let broker = call.broker;
    let topic = broker.holdings.with_image(|image| {
        match call.version >= BY_ID {
            true => image.topic_by_id(request.id),
            false => image.topic(request.name),
        }
        .filter(|topic| !topic.is_internal())
        .cloned()
    })?;
    let hosted = broker.open_now(&topic, request.index)?;
    let now = Timestamp(broker.io.wall_clock());
    // A batch that is refused goes the other way, where it is refused again with its reason.
    let Stored {
        base_offset,
        append_time,
        end,
    } = append(broker, &hosted, request.records, now).ok()?;
    let mark = match request.acks {
        0 => return Some(Taken::Silent),
        1 => Mark::Written,
        _ => Mark::Visible,
    };
    let partition = hosted.partition.clone();
    partition.want(mark, end);
    Some(Taken::Produced(Produced {
        answer: Answer {
            version: call.version,
            correlation_id: call.correlation_id,
            topic,
            index: request.index,
            base_offset,
            append_time,
            log_start: partition.log_start().0,
        },
        deadline: deadline(broker.io.now(), request.acks, request.timeout_ms),
        partition,
        mark,
        end,
    }))
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
    let timeout_ms = reader.i32().ok()?;
    if !one(&mut reader) {
        return None;
    }
    let (name, id) = match version >= BY_ID {
        true => ("", reader.uuid().ok()?),
        false => (reader.str(flexible, "").ok()?, Uuid::ZERO),
    };
    if !one(&mut reader) {
        return None;
    }
    let index = reader.i32().ok()?;
    let records = reader.records_opt(flexible, "").ok()?.bytes()?;
    let ends = (0..3).all(|_| untagged(&mut reader));
    (ends && reader.remaining() == 0).then_some(Lone {
        acks,
        timeout_ms,
        name,
        id,
        index,
        records,
    })
}

impl Pledge for Produced {
    fn due(&self) -> bool {
        self.settled().is_some() || self.partition.io().now() >= self.deadline
    }

    async fn wait(&self) {
        // How it ended is asked again when it is written.
        let wait = self.partition.wait(self.mark, self.end);
        let _ = wait.done_by(self.partition.io(), self.deadline).await;
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.settled() {
            Some(Ok(())) => self
                .answer
                .write(ErrorCode::None, self.answer.base_offset, out),
            Some(Err(Failed)) => self.answer.write(ErrorCode::KafkaStorageError, -1, out),
            // It is due, so the time is over.
            None => {
                let base_offset = self.answer.base_offset;
                self.answer
                    .write(ErrorCode::RequestTimedOut, base_offset, out);
            }
        }
    }
}

impl Produced {
    fn settled(&self) -> Option<Result<(), Failed>> {
        self.partition.settled(self.mark, self.end)
    }
}

impl Answer {
    /// Source: `ProduceResponse.json`, versions 3 to 13.
    fn write(&self, error: ErrorCode, base_offset: i64, out: &mut Vec<u8>) {
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
            BY_ID.. => out.extend_from_slice(&self.topic.id.0),
            _ => {
                let name = self.topic.name.as_bytes();
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
        out.extend_from_slice(&error.code().to_be_bytes());
        out.extend_from_slice(&base_offset.to_be_bytes());
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

    fn topic(name: &str) -> Arc<Topic> {
        Arc::new(Topic {
            name: name.into(),
            id: Uuid([7; 16]),
            config: Default::default(),
            partitions: Default::default(),
        })
    }

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
                    topic: topic(name),
                    index: 5,
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
                answer.write(error, 6, &mut written);
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
            assert_eq!((read.acks, read.timeout_ms, read.index), (1, 30_000, 3));
            assert_eq!(read.records, b"records");
            match version >= BY_ID {
                true => assert_eq!(read.id, Uuid([7; 16])),
                false => assert_eq!(read.name, "orders"),
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
