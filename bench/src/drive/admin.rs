//! A blocking client for what stands around a run: versions, topics, leaders, offsets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use odradek_wire::ErrorCode;
use odradek_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_wire::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use odradek_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::request_header::RequestHeader;
use odradek_wire::response_header::ResponseHeader;
use odradek_wire::{Message, Reader, Writer, request_header_version, response_header_version};

pub(super) const CLIENT_ID: &str = "odradek-bench";
const REPLY_BYTES_MAX: usize = 64 << 20;
/// A new topic's partitions have leaders within this time.
const LEADERS_WITHIN: Duration = Duration::from_secs(15);

/// Who listens answers the first request within this time, or is no broker.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A topic to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct TopicSpec {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    /// Of a topic that is created.
    pub(crate) configs: Vec<(String, String)>,
}

/// A partition and where its leader listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) leader: SocketAddr,
}

/// One connection.
pub(crate) struct Admin {
    stream: TcpStream,
    correlation: i32,
    /// Highest version of each API that the server has, and lowest.
    versions: BTreeMap<i16, (i16, i16)>,
}

/// An error unless `code` is none.
pub(crate) fn check(what: &str, code: i16) -> Result<()> {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(()),
        Some(error) => bail!("{what}: {error}"),
        None => bail!("{what}: error {code}"),
    }
}

/// A reader at the body of a reply that begins with its correlation id.
pub(crate) fn reply_body(reply: &[u8], api_key: i16, version: i16) -> Result<Reader<'_>> {
    let header = response_header_version(api_key, version).context("an unknown API")?;
    let mut reader = Reader::new(reply);
    ResponseHeader::decode(&mut reader, header)?;
    Ok(reader)
}

/// A whole frame.
pub(crate) fn request_frame<'a, R: Message<'a>>(
    request: &R,
    version: i16,
    correlation_id: i32,
    buffer: Vec<u8>,
) -> Result<Writer> {
    let mut w = Writer::new(buffer);
    let size = w.begin_size();
    let header = RequestHeader {
        request_api_key: R::API_KEY,
        request_api_version: version,
        correlation_id,
        client_id: Some(CLIENT_ID),
    };
    let header_version = request_header_version(R::API_KEY, version);
    header.encode(&mut w, header_version.context("an unknown API")?)?;
    request.encode(&mut w, version)?;
    w.end_size(size)?;
    Ok(w)
}

impl Admin {
    /// Connects to the first of `bootstrap`'s addresses (`host:port[,host:port]`) that answers.
    pub(crate) fn bootstrap(bootstrap: &str) -> Result<Self> {
        let mut tried = Vec::new();
        for name in bootstrap.split(',') {
            let addresses = name
                .trim()
                .to_socket_addrs()
                .with_context(|| format!("{name:?} is not host:port"))?;
            for address in addresses {
                match Self::connect(address) {
                    Ok(admin) => return Ok(admin),
                    Err(error) => tried.push(format!("{address}: {error:#}")),
                }
            }
        }
        bail!("no broker at {bootstrap}: {}", tried.join("; "))
    }

    /// # Errors
    /// When nobody listens there, or who listens does not speak Kafka's protocol.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(FIRST_ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(Duration::from_secs(40)))?;
        let mut admin = Self {
            stream,
            correlation: 0,
            versions: BTreeMap::new(),
        };
        admin.ask_versions().with_context(|| {
            format!("{address} does not answer as a Kafka broker (plaintext) does")
        })?;
        admin
            .stream
            .set_read_timeout(Some(Duration::from_secs(40)))?;
        Ok(admin)
    }

    /// Asks which APIs the server has, as a connection's first request does.
    ///
    /// # Errors
    /// When it does not answer, or not as a broker does.
    pub(crate) fn ask_versions(&mut self) -> Result<()> {
        let reply = self.call(&ApiVersionsRequest::default(), 0)?;
        ensure!(
            reply.get(..4) == Some(&self.correlation.to_be_bytes()),
            "an answer with another correlation id"
        );
        let mut body = reply_body(&reply, ApiVersionsRequest::API_KEY, 0)?;
        let response = ApiVersionsResponse::decode(&mut body, 0)?;
        check("ApiVersions", response.error_code)?;
        let rows = response.api_keys.iter();
        self.versions = rows
            .map(|row| (row.api_key, (row.max_version, row.min_version)))
            .collect();
        Ok(())
    }

    /// The highest version that the server has, at most `ceiling`.
    pub(crate) fn version<'a, R: Message<'a>>(&self, ceiling: i16) -> Result<i16> {
        let (max, min) = self.versions.get(&R::API_KEY).with_context(|| {
            let name = R::NAME;
            format!("the server has no {name}")
        })?;
        ensure!(
            *min <= ceiling,
            "the server has {} only from {min} on",
            R::NAME
        );
        Ok(ceiling.min(*max))
    }

    /// Sends a request; the reply from its correlation id on.
    pub(crate) fn call<'a, R: Message<'a>>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<Vec<u8>> {
        self.correlation += 1;
        let frame = request_frame(request, version, self.correlation, Vec::new())?;
        self.send(frame.written())?;
        self.reply()
            .with_context(|| format!("{} version {version}", R::NAME))
    }

    pub(super) fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.stream.write_all(frame).context("send")
    }

    pub(super) fn reply(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        ensure!(length <= REPLY_BYTES_MAX, "a reply of {length} bytes");
        let mut reply = vec![0; length];
        self.stream.read_exact(&mut reply)?;
        Ok(reply)
    }

    /// The topic's partitions, once all have leaders that answer for them; the topic is created if it is missing.
    pub(crate) fn topic(&mut self, spec: &TopicSpec) -> Result<Vec<Partition>> {
        // A server without CreateTopics may create a topic when it is asked about it.
        let creates = self.versions.contains_key(&CreateTopicsRequest::API_KEY);
        if creates {
            self.create(spec)?;
        }
        let deadline = Instant::now() + LEADERS_WITHIN;
        loop {
            let led = match self.partitions(spec, !creates)? {
                None => Err(anyhow::anyhow!("a partition without a leader")),
                Some(partitions) => all_led(&spec.name, &partitions).map(|()| partitions),
            };
            match led {
                Ok(partitions) => return Ok(partitions),
                Err(why) if Instant::now() > deadline => {
                    let name = &spec.name;
                    return Err(why).with_context(|| {
                        format!("topic {name} is not served after {LEADERS_WITHIN:?}")
                    });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn create(&mut self, spec: &TopicSpec) -> Result<()> {
        let version = self.version::<CreateTopicsRequest>(7)?;
        let configs = spec.configs.iter();
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: &spec.name,
                num_partitions: spec.partitions,
                replication_factor: 1,
                assignments: Vec::new(),
                configs: configs
                    .map(|(name, value)| CreatableTopicConfig {
                        name,
                        value: Some(value),
                    })
                    .collect(),
            }],
            timeout_ms: 10_000,
            validate_only: false,
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, CreateTopicsRequest::API_KEY, version)?;
        let response = CreateTopicsResponse::decode(&mut body, version)?;
        let topic = response.topics.first().context("an empty reply")?;
        if topic.error_code == ErrorCode::TopicAlreadyExists.code() {
            return Ok(());
        }
        check("CreateTopics", topic.error_code)
            .with_context(|| topic.error_message.unwrap_or_default().to_owned())
    }

    /// Sets one of a topic's settings.
    pub(crate) fn set_topic_config(&mut self, topic: &str, name: &str, value: &str) -> Result<()> {
        const TOPIC: i8 = 2;
        const SET: i8 = 0;
        let version = self.version::<IncrementalAlterConfigsRequest>(1)?;
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: topic,
                configs: vec![AlterableConfig {
                    name,
                    config_operation: SET,
                    value: Some(value),
                }],
            }],
            validate_only: false,
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, IncrementalAlterConfigsRequest::API_KEY, version)?;
        let response = IncrementalAlterConfigsResponse::decode(&mut body, version)?;
        let answer = response.responses.first().context("an empty reply")?;
        check("IncrementalAlterConfigs", answer.error_code)
            .with_context(|| answer.error_message.unwrap_or_default().to_owned())
    }

    /// None while a partition has no leader.
    fn partitions(&mut self, spec: &TopicSpec, create: bool) -> Result<Option<Vec<Partition>>> {
        let version = self.version::<MetadataRequest>(12)?;
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(&spec.name),
                ..Default::default()
            }]),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, MetadataRequest::API_KEY, version)?;
        let response = MetadataResponse::decode(&mut body, version)?;
        let topic = response.topics.first().context("an empty reply")?;
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            let broker = response
                .brokers
                .iter()
                .find(|broker| broker.node_id == partition.leader_id);
            let Some(broker) = broker.filter(|_| partition.error_code == 0) else {
                return Ok(None);
            };
            let name = (broker.host, u16::try_from(broker.port)?);
            let leader = name
                .to_socket_addrs()?
                .next()
                .context("a leader's address")?;
            partitions.push(Partition {
                index: partition.partition_index,
                leader,
            });
        }
        partitions.sort_by_key(|partition| partition.index);
        Ok((topic.error_code == 0 && !partitions.is_empty()).then_some(partitions))
    }

    /// The first offset of a partition and its end, asked of its leader.
    pub(crate) fn offsets(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        const EARLIEST: i64 = -2;
        let first = self.all_offsets(topic, &[partition], EARLIEST)?;
        let end = self.end_offset(topic, partition)?;
        Ok((first[0], end))
    }

    /// Where a partition ends now, asked of its leader.
    pub(crate) fn end_offset(&mut self, topic: &str, partition: i32) -> Result<i64> {
        Ok(self.end_offsets(topic, &[partition])?[0])
    }

    /// Where partitions end now, asked of their leader.
    pub(crate) fn end_offsets(&mut self, topic: &str, partitions: &[i32]) -> Result<Vec<i64>> {
        const LATEST: i64 = -1;
        self.all_offsets(topic, partitions, LATEST)
    }

    fn all_offsets(&mut self, topic: &str, partitions: &[i32], timestamp: i64) -> Result<Vec<i64>> {
        let version = self.version::<ListOffsetsRequest>(7)?;
        let asked = partitions.iter().map(|index| ListOffsetsPartition {
            partition_index: *index,
            timestamp,
            ..Default::default()
        });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic,
                partitions: asked.collect(),
            }],
            ..Default::default()
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, ListOffsetsRequest::API_KEY, version)?;
        let response = ListOffsetsResponse::decode(&mut body, version)?;
        let mut found = BTreeMap::new();
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            check("ListOffsets", answer.error_code)
                .with_context(|| format!("partition {}", answer.partition_index))?;
            found.insert(answer.partition_index, answer.offset);
        }
        let offsets = partitions.iter().map(|index| {
            let offset = found.get(index).copied();
            offset.with_context(|| format!("no answer for partition {index}"))
        });
        offsets.collect()
    }
}

/// # Errors
/// When a leader does not answer for its partition (yet).
fn all_led(topic: &str, partitions: &[Partition]) -> Result<()> {
    let mut by_leader: BTreeMap<SocketAddr, Vec<(String, i32)>> = BTreeMap::new();
    for partition in partitions {
        let of = by_leader.entry(partition.leader).or_default();
        of.push((topic.to_owned(), partition.index));
    }
    for (leader, partitions) in &by_leader {
        super::leads::leads(&mut Admin::connect(*leader)?, partitions)?;
    }
    Ok(())
}
