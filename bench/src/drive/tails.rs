//! Consumers at the ends of partitions: fetches that wait for news, one at a time, each on a
//! connection of its own.

use std::rc::Rc;

use anyhow::{Result, ensure};
use odradek_wire::Message;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use super::admin::{Admin, Partition, check, reply_body, request_frame};
use super::saturate::Work;

/// The last version that names topics (later ones carry ids).
const VERSION_MAX: i16 = 12;
/// Kafka's consumers' default (`fetch.max.wait.ms`).
pub(crate) const WAIT_MS: i32 = 500;

/// See the module. Connection `i` waits at partition `i % partitions`; records that come are an
/// error, for then it is not idle.
pub(crate) struct Tails {
    topic: String,
    version: i16,
    /// Partition and end.
    ends: Vec<(i32, i64)>,
}

impl Tails {
    /// # Errors
    /// When a leader does not say where its partitions end.
    pub(crate) fn new(topic: &str, partitions: &[Partition]) -> Result<Self> {
        let (mut ends, mut version) = (Vec::new(), VERSION_MAX);
        for partition in partitions {
            let mut leader = Admin::connect(partition.leader)?;
            version = leader.version::<FetchRequest>(VERSION_MAX)?;
            let end = leader.end_offset(topic, partition.index)?;
            ends.push((partition.index, end));
        }
        Ok(Self {
            topic: topic.to_owned(),
            version,
            ends,
        })
    }
}

impl Work for Tails {
    fn request(
        &mut self,
        at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let (partition, fetch_offset) = self.ends[at % self.ends.len()];
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: 50 << 20,
            session_id: 0,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: &self.topic,
                partitions: vec![FetchPartition {
                    partition,
                    fetch_offset,
                    partition_max_bytes: 1 << 20,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        *out =
            request_frame(&request, self.version, correlation, std::mem::take(out))?.into_inner();
        Ok(None)
    }

    fn reply(&mut self, _at: usize, reply: &[u8]) -> Result<u64> {
        let mut body = reply_body(reply, FetchRequest::API_KEY, self.version)?;
        let response = FetchResponse::decode(&mut body, self.version)?;
        check("fetch", response.error_code)?;
        for partition in response.responses.iter().flat_map(|one| &one.partitions) {
            check("fetch", partition.error_code)?;
            let records = partition.records.bytes().unwrap_or_default();
            ensure!(records.is_empty(), "records came to an idle consumer");
        }
        Ok(0)
    }
}
