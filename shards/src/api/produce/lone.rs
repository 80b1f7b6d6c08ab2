//! A produce request for one partition, as high rates of small batches bring: checked and appended
//! in one go, its answer written straight into the connection's outgoing bytes. Nothing is
//! allocated for it.
//!
//! Whatever is unusual about a request (several partitions, a topic unknown here, a partition that
//! is not open, tagged fields, a transaction, a malformed body) is left to [`super::handle`],
//! before anything was done about it. A test compares the bytes written here with those of the
//! generated encoder.

use std::rc::Rc;

use odradek_engine::bytes::PAGE;
use odradek_engine::log::tail::ADOPTED_BYTES_MIN;
use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::{EncodeError, ErrorCode, Reader, Uuid, Writer};

use super::open::Membership;
use super::{ACCEPTED, BY_ID, KEY, Stored, append, deadline};
use crate::api::{Broker, Outcome};
use crate::catalog::{Target, TopicKey};
use crate::net::Pledge;
use crate::partition::{Failed, Mark};

/// First version whose fields are compact and tagged.
const FLEXIBLE: i16 = 9;

/// What comes before the records.
struct Opening<'a> {
    transactional: bool,
    acks: i16,
    timeout_ms: i32,
    topic: TopicKey<'a>,
    index: i32,
}

/// The request.
struct Lone<'a> {
    opening: Opening<'a>,
    records: &'a [u8],
}

/// A batch that was appended; its answer waits for a mark.
pub struct Produced {
    target: Rc<Target>,
    mark: Mark,
    end: Offset,
    /// How long the mark is waited for.
    deadline: u64,
    version: i16,
    correlation_id: i32,
    base_offset: i64,
    append_time: i64,
    log_start: i64,
    /// How long the client is to wait.
    pub(in crate::api) throttle_ms: u32,
}

/// Takes a request if there is nothing unusual about it. If not, nothing has happened.
pub(in crate::api) fn take(broker: &Broker, request: &[u8]) -> Option<Outcome> {
    let (version, correlation_id, body) = header(request)?;
    let Lone {
        opening: request,
        records,
    } = parse(body, version)?;
    let target = broker.holdings.target(request.topic, request.index)?;
    let partition = &target.hosted.partition;
    let now = Timestamp(broker.io.wall_clock());
    // A batch that is refused goes the other way, where it is refused again with its reason.
    let Stored {
        base_offset,
        append_time,
        end,
    } = append(
        broker,
        &target.hosted,
        records.into(),
        Membership::None,
        now,
    )
    .ok()?;
    let mark = match request.acks {
        0 => return Some(Outcome::Silent),
        1 => Mark::Written,
        _ => Mark::Visible,
    };
    partition.want(mark, end);
    Some(Outcome::Pledged(Produced {
        deadline: deadline(broker.io.now(), request.acks, request.timeout_ms),
        mark,
        end,
        version,
        correlation_id,
        base_offset,
        append_time,
        log_start: partition.log_start().0,
        throttle_ms: 0,
        target,
    }))
}

/// Where in a page a request should be received, seen its first bytes: where its first batch will
/// lie in its page of the file if nothing else is appended before it. What is appended by others
/// meanwhile, or a roll, make it a wrong guess.
pub fn place(broker: &Broker, head: &[u8]) -> Option<usize> {
    let (version, _, body) = header(head)?;
    let found = records_at(body, version).filter(|found| found.length >= ADOPTED_BYTES_MIN)?;
    let Opening { topic, index, .. } = found.opening;
    let target = broker.holdings.target(topic, index)?;
    let position = target.hosted.partition.append_position() as usize % PAGE;
    let before = (head.len() - body.len() + found.at) % PAGE;
    Some((position + PAGE - before) % PAGE)
}

/// Records whose beginning is here.
struct RecordsAt<'a> {
    opening: Opening<'a>,
    /// Where in the body.
    at: usize,
    /// Their bytes, or one more.
    length: usize,
}

fn records_at(body: &[u8], version: i16) -> Option<RecordsAt<'_>> {
    let mut reader = Reader::new(body);
    let opening = opening(&mut reader, version)?;
    let length = match version >= FLEXIBLE {
        true => reader.uvarint().ok()? as usize,
        false => usize::try_from(reader.i32().ok()?).ok()?,
    };
    Some(RecordsAt {
        opening,
        at: reader.position(),
        length,
    })
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

/// Reads a body that names one partition, up to its records.
fn opening<'a>(reader: &mut Reader<'a>, version: i16) -> Option<Opening<'a>> {
    let flexible = version >= FLEXIBLE;
    let one = |reader: &mut Reader<'_>| match flexible {
        true => reader.uvarint().ok() == Some(2),
        false => reader.i32().ok() == Some(1),
    };
    let transactional = reader.str_opt(flexible, "").ok()?.is_some();
    let acks = reader.i16().ok().filter(|acks| (-1..=1).contains(acks))?;
    let timeout_ms = reader.i32().ok()?;
    if !one(reader) {
        return None;
    }
    let topic = match version >= BY_ID {
        true => TopicKey::Id(reader.uuid().ok()?),
        false => TopicKey::Name(reader.str(flexible, "").ok()?),
    };
    if !one(reader) {
        return None;
    }
    let index = reader.i32().ok()?;
    Some(Opening {
        transactional,
        acks,
        timeout_ms,
        topic,
        index,
    })
}

fn parse(body: &[u8], version: i16) -> Option<Lone<'_>> {
    let flexible = version >= FLEXIBLE;
    let mut reader = Reader::new(body);
    let untagged = |reader: &mut Reader<'_>| !flexible || reader.uvarint().ok() == Some(0);
    let opening = opening(&mut reader, version).filter(|opening| !opening.transactional)?;
    let records = reader.records_opt(flexible, "").ok()?.bytes()?;
    let ends = (0..3).all(|_| untagged(&mut reader));
    (ends && reader.remaining() == 0).then_some(Lone { opening, records })
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
    throttle_ms: u32,
}

impl Pledge for Produced {
    fn redeem(&self, out: &mut Vec<u8>) -> bool {
        let partition = &self.target.hosted.partition;
        let (error, base_offset) = match partition.settled(self.mark, self.end) {
            Some(Ok(())) => (ErrorCode::None, self.base_offset),
            Some(Err(Failed)) => (ErrorCode::KafkaStorageError, -1),
            None if partition.io().now() >= self.deadline => {
                (ErrorCode::RequestTimedOut, self.base_offset)
            }
            None => return false,
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
            throttle_ms: self.throttle_ms,
        };
        let mut writer = Writer::new(std::mem::take(out));
        let written = answer.write(&mut writer);
        *out = writer.into_inner();
        written.expect("a topic's name fits");
        true
    }

    async fn wait(&self) {
        // How it ended is asked again when it is written.
        let partition = &self.target.hosted.partition;
        let wait = partition.wait(self.mark, self.end);
        let _ = wait.done_by(partition.io(), self.deadline).await;
    }
}

impl Answer<'_> {
    /// Source: `ProduceResponse.json`, versions 3 to 13.
    ///
    /// # Errors
    /// A name or a reply that no topic can have.
    fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        let version = self.version;
        let flexible = version >= FLEXIBLE;
        let untagged = |w: &mut Writer| {
            if flexible {
                w.uvarint(0);
            }
        };
        let size = w.begin_size();
        w.i32(self.correlation_id);
        untagged(w);
        w.len(flexible, 1, "topics")?;
        match version {
            BY_ID.. => w.uuid(self.id),
            _ => w.str(flexible, self.topic, "topic")?,
        }
        w.len(flexible, 1, "partitions")?;
        w.i32(self.index);
        w.i16(self.error.code());
        w.i64(self.base_offset);
        w.i64(self.append_time);
        if version >= 5 {
            w.i64(self.log_start);
        }
        if version >= 8 {
            w.len(flexible, 0, "record errors")?;
            w.str_opt(flexible, None, true, "error message")?;
        }
        // Of the partition, of the topic.
        untagged(w);
        untagged(w);
        w.i32(i32::try_from(self.throttle_ms).unwrap_or(i32::MAX));
        untagged(w);
        w.end_size(size)
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::Message;
    use odradek_wire::Records;
    use odradek_wire::produce::{
        PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
        TopicProduceData, TopicProduceResponse,
    };

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
                    throttle_ms: 9,
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
                    throttle_time_ms: 9,
                    ..ProduceResponse::default()
                };
                let (expected, _) = encode_reply(0, version, 0x0102_0304, &response).unwrap();
                let mut writer = Writer::new(vec![9, 9]);
                answer.write(&mut writer).unwrap();
                assert_eq!(writer.into_inner()[2..], expected, "version {version}");
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
    fn the_records_of_a_request_that_has_just_begun_are_found() {
        let records = [7; 300];
        for version in 3..=13 {
            for transaction in [None, Some("transaction")] {
                let mut request = request(1, 1, transaction);
                request.topic_data[0].partition_data[0].records = Records::Bytes(&records);
                let body = encoded(&request, version);
                let at = body.windows(300).position(|bytes| bytes == records);
                let at = at.expect("the records");
                for here in at..body.len() {
                    let found = records_at(&body[..here], version).expect("all before them");
                    assert_eq!((found.at, found.opening.index), (at, 3));
                    assert!((300..=301).contains(&found.length));
                }
                for here in 0..at {
                    assert!(
                        records_at(&body[..here], version).is_none(),
                        "cut at {here}"
                    );
                }
            }
        }
    }

    #[test]
    fn requests_for_one_partition_are_read_and_others_left() {
        for version in 3..=13 {
            let body = encoded(&request(1, 1, None), version);
            let read = parse(&body, version).expect("one partition");
            assert_eq!(read.records, b"records");
            let read = read.opening;
            assert_eq!((read.acks, read.timeout_ms, read.index), (1, 30_000, 3));
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
