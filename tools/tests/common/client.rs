//! A blocking Kafka client of one connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use odradek_wire::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use odradek_wire::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::request_header::RequestHeader;
use odradek_wire::{ErrorCode, Message, Reader, Records, Request, Writer};

use super::PATIENCE;

/// Versions that carry topics by name.
pub const PRODUCE: i16 = 9;
pub const FETCH: i16 = 12;
pub const LIST_OFFSETS: i16 = 7;
pub const METADATA: i16 = 12;
pub const CREATE_TOPICS: i16 = 7;
pub const DELETE_TOPICS: i16 = 6;

pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;
pub const MAX_TIMESTAMP: i64 = -3;

/// See the module.
pub struct Client {
    pub stream: TcpStream,
    next: i32,
}

/// A frame of a request, from its length on.
pub fn frame<'a, Q: Message<'a>>(correlation: i32, version: i16, request: &Q) -> Vec<u8> {
    let header_version = odradek_wire::request_header_version(Q::API_KEY, version);
    let mut writer = Writer::new(Vec::new());
    let size = writer.begin_size();
    RequestHeader {
        request_api_key: Q::API_KEY,
        request_api_version: version,
        correlation_id: correlation,
        client_id: Some("test"),
    }
    .encode(&mut writer, header_version.expect("a known API"))
    .expect("a header that can be encoded");
    request
        .encode(&mut writer, version)
        .expect("a request that can be encoded");
    writer.end_size(size).expect("a size that fits");
    writer.into_inner()
}

/// A frame of these very bytes: length, then what is given.
pub fn raw_frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// What a produce request for one partition was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    pub error: ErrorCode,
    pub offset: i64,
    pub log_start: i64,
    pub why: Option<String>,
}

/// What a fetch of one partition was answered.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub log_start: i64,
    pub bytes: Vec<u8>,
}

/// What ListOffsets answered for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub error: ErrorCode,
    pub time: i64,
    pub offset: i64,
    pub epoch: i32,
}

/// A produce request for one partition.
pub fn produce_request<'a>(
    topic: &'a str,
    index: i32,
    acks: i16,
    records: &'a [u8],
) -> ProduceRequest<'a> {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic,
            partition_data: vec![PartitionProduceData {
                index,
                records: Records::Bytes(records),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

/// A fetch request for one partition, answered at once.
pub fn fetch_request(topic: &str, index: i32, offset: i64, bytes_max: i32) -> FetchRequest<'_> {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: bytes_max,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic,
            partitions: vec![FetchPartition {
                partition: index,
                fetch_offset: offset,
                partition_max_bytes: bytes_max,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or_else(|| panic!("no such error code: {code}"))
}

impl Client {
    pub fn connect(address: &str) -> Client {
        Client::try_connect(address).expect("the node listens")
    }

    /// The same for a node that may be gone.
    pub fn try_connect(address: &str) -> io::Result<Client> {
        Ok(Client::over(TcpStream::connect(address)?))
    }

    /// On a connection that is there.
    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, next: 1 }
    }

    /// A second handle to the same connection, to write by while the first one reads.
    pub fn twin(&self) -> Client {
        let stream = self.stream.try_clone().expect("a second handle");
        Client { stream, next: 1 }
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one response: what follows its length.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Whether the node has closed this connection; waits for it to answer or to close.
    pub fn closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(n) => n == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends a request; gives its correlation id.
    pub fn send<'a, Q: Request<'a>>(&mut self, version: i16, request: &Q) -> io::Result<i32> {
        let correlation = self.next;
        self.next += 1;
        self.write(&frame(correlation, version, request))?;
        Ok(correlation)
    }

    /// Reads the response of a request: its body.
    pub fn receive<'a, Q: Request<'a>>(
        &mut self,
        version: i16,
        correlation: i32,
    ) -> io::Result<Vec<u8>> {
        let mut body = self.read()?;
        let mut header = 4;
        assert_eq!(body[..4], correlation.to_be_bytes(), "answers keep order");
        if odradek_wire::response_header_version(Q::API_KEY, version) == Some(1) {
            assert_eq!(body[4], 0, "no tagged fields in the header");
            header += 1;
        }
        body.drain(..header);
        Ok(body)
    }

    /// Asks and waits for the answer's body.
    pub fn call<'a, Q: Request<'a>>(&mut self, version: i16, request: &Q) -> io::Result<Vec<u8>> {
        let correlation = self.send(version, request)?;
        self.receive::<Q>(version, correlation)
    }

    pub fn produce(&mut self, topic: &str, index: i32, acks: i16, records: &[u8]) -> Produced {
        self.try_produce(topic, index, acks, records)
            .expect("an answer to a produce request")
    }

    pub fn try_produce(
        &mut self,
        topic: &str,
        index: i32,
        acks: i16,
        records: &[u8],
    ) -> io::Result<Produced> {
        let request = produce_request(topic, index, acks, records);
        Ok(produced(&self.call(PRODUCE, &request)?))
    }

    /// Produces one batch with acks=all and gives its offset.
    pub fn store(&mut self, topic: &str, index: i32, records: &[u8]) -> i64 {
        let produced = self.produce(topic, index, -1, records);
        assert_eq!(produced.error, ErrorCode::None, "{produced:?}");
        produced.offset
    }

    pub fn fetch(&mut self, topic: &str, index: i32, offset: i64, bytes_max: i32) -> Fetched {
        let request = fetch_request(topic, index, offset, bytes_max);
        let body = self.call(FETCH, &request).expect("an answer to a fetch");
        fetched(&body)
    }

    pub fn list_offsets(&mut self, topic: &str, index: i32, timestamp: i64) -> Listed {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic,
                partitions: vec![ListOffsetsPartition {
                    partition_index: index,
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let body = self.call(LIST_OFFSETS, &request).expect("offsets");
        let response =
            ListOffsetsResponse::decode(&mut Reader::new(&body), LIST_OFFSETS).expect("readable");
        let one = &response.topics[0].partitions[0];
        Listed {
            error: code(one.error_code),
            time: one.timestamp,
            offset: one.offset,
            epoch: one.leader_epoch,
        }
    }

    /// Every record from `offset` to the high watermark, and the bytes they came in.
    pub fn consume(&mut self, topic: &str, index: i32, from: i64) -> Vec<super::Record> {
        let mut all: Vec<super::Record> = Vec::new();
        let mut next = from;
        loop {
            let fetched = self.fetch(topic, index, next, 8 << 20);
            assert_eq!(fetched.error, ErrorCode::None, "fetch at {next}");
            let got = super::records(&fetched.bytes);
            all.extend(got.into_iter().filter(|record| record.offset >= next));
            // Of a compacted log a batch may be empty.
            let ends = super::batch_ends(&fetched.bytes);
            let reached = ends.last().map_or(next, |(_, end)| *end);
            if reached >= fetched.high_watermark {
                return all;
            }
            assert!(reached > next, "no progress at {next}");
            next = reached;
        }
    }

    /// Topic, partition by partition: leader and leader epoch. Creates the topic if allowed.
    pub fn metadata(&mut self, topic: &str, create: bool) -> (ErrorCode, Vec<(i32, i32)>) {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: create,
            ..MetadataRequest::default()
        };
        let body = self.call(METADATA, &request).expect("metadata");
        let response =
            MetadataResponse::decode(&mut Reader::new(&body), METADATA).expect("readable");
        let topic = &response.topics[0];
        let partitions = topic.partitions.iter();
        let leaders = partitions.map(|one| (one.leader_id, one.leader_epoch));
        (code(topic.error_code), leaders.collect())
    }
}

impl Client {
    /// Makes a topic with settings of its own.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> ErrorCode {
        let configs = settings.iter().map(|(name, value)| CreatableTopicConfig {
            name,
            value: Some(value),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name,
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        let body = self.call(CREATE_TOPICS, &request).expect("an answer");
        let mut reader = Reader::new(&body);
        let response = CreateTopicsResponse::decode(&mut reader, CREATE_TOPICS).expect("readable");
        code(response.topics[0].error_code)
    }

    pub fn delete_topic(&mut self, name: &str) -> ErrorCode {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name),
                ..DeleteTopicState::default()
            }],
            timeout_ms: 30_000,
            ..DeleteTopicsRequest::default()
        };
        let body = self.call(DELETE_TOPICS, &request).expect("an answer");
        let mut reader = Reader::new(&body);
        let response = DeleteTopicsResponse::decode(&mut reader, DELETE_TOPICS).expect("readable");
        code(response.responses[0].error_code)
    }
}

/// Reads a produce response's only partition.
pub fn produced(body: &[u8]) -> Produced {
    let response = ProduceResponse::decode(&mut Reader::new(body), PRODUCE).expect("readable");
    let one = &response.responses[0].partition_responses[0];
    Produced {
        error: code(one.error_code),
        offset: one.base_offset,
        log_start: one.log_start_offset,
        why: one.error_message.map(str::to_owned),
    }
}

/// Reads a fetch response's only partition.
pub fn fetched(body: &[u8]) -> Fetched {
    let response = FetchResponse::decode(&mut Reader::new(body), FETCH).expect("readable");
    assert_eq!(response.error_code, 0);
    let one = &response.responses[0].partitions[0];
    Fetched {
        error: code(one.error_code),
        high_watermark: one.high_watermark,
        log_start: one.log_start_offset,
        bytes: one.records.bytes().unwrap_or_default().to_vec(),
    }
}
