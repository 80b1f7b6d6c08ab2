//! Fetching from the leaders of a topic's partitions, all at once, on one thread.
//!
//! Each leader has one fetch in flight. When its answer is there, the next fetch is sent before
//! the records are handed out, so that the broker works meanwhile. Positions follow batches, not
//! records: what a batch holds below the position asked for is the caller's to skip.
//!
//! Absent on purpose: fetch sessions, read_committed, fetching from followers.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use odradek_engine::record;
use odradek_wire::ErrorCode;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use super::offsets::{self, At};
use super::{ClientError, Cluster, Connection, Deadline, Reply, check};

/// Milliseconds that a broker may wait for records.
const WAIT_MS: i32 = 500;
const WAIT_BYTES_MIN: i32 = 1;
/// Bytes of one answer, and of one partition in it; a larger batch comes all the same (KIP-74).
const ANSWER_BYTES: i32 = 8 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// From version 13 on topics go by id; their names serve here.
const VERSION_MAX: i16 = 12;

/// What to do where the position is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfRange {
    Fail,
    /// Go on with what is still there.
    Earliest,
}

/// Records of one partition, as they came.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    pub partition: i32,
    /// The position that was asked for: records below it are not wanted.
    pub from: i64,
    /// Whole batches, and perhaps a part of one at the end. Unchecked.
    pub batches: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
struct Position {
    offset: i64,
    /// None until it is known, and after it has refused.
    leader: Option<i32>,
}

/// A fetch that has been sent: the offset asked for of each partition.
type Asked = BTreeMap<i32, i64>;

/// See the [module](self).
#[derive(Debug)]
pub struct Fetcher {
    topic: String,
    out_of_range: OutOfRange,
    positions: BTreeMap<i32, Position>,
    connections: BTreeMap<i32, Connection>,
    in_flight: BTreeMap<i32, Asked>,
    /// While leaders are being looked for.
    failing: Option<Deadline>,
    /// Memory of answers.
    buffers: Vec<Vec<u8>>,
}

impl Fetcher {
    /// Fetches `topic` from these positions.
    pub fn new(topic: &str, positions: &BTreeMap<i32, i64>, out_of_range: OutOfRange) -> Self {
        let position = |(&partition, &offset): (&i32, &i64)| {
            let leader = None;
            (partition, Position { offset, leader })
        };
        Self {
            topic: topic.to_owned(),
            out_of_range,
            positions: positions.iter().map(position).collect(),
            connections: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            failing: None,
            buffers: Vec::new(),
        }
    }

    /// Waits up to `wait` for records and hands out all that have come.
    ///
    /// # Errors
    /// What the leaders refuse, time running out over leaders that move, and what `take` says.
    pub fn poll<E: From<ClientError>>(
        &mut self,
        cluster: &mut Cluster,
        wait: Duration,
        mut take: impl FnMut(Fetched<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.find_leaders(cluster)?;
        for leader in self.idle_leaders() {
            if let Err(error) = self.ask(cluster, leader) {
                self.lost(leader, error)?;
            }
        }
        for leader in self.readable(wait)? {
            let connection = self.connections.get_mut(&leader).expect("it was polled");
            let buffer = self.buffers.pop().unwrap_or_default();
            let reply = match connection.receive(buffer) {
                Ok(reply) => reply,
                Err(error) => {
                    self.lost(leader, error)?;
                    continue;
                }
            };
            let asked = self
                .in_flight
                .remove(&leader)
                .expect("an answer to a fetch");
            for (partition, records) in self.digest(cluster, &reply, &asked)? {
                take(Fetched {
                    partition,
                    from: asked[&partition],
                    batches: records,
                })?;
            }
            self.buffers.push(reply.into_buffer());
        }
        Ok(())
    }

    /// Moves the positions past what has come and asks for more, then gives the records.
    fn digest<'r>(
        &mut self,
        cluster: &mut Cluster,
        reply: &'r Reply,
        asked: &Asked,
    ) -> Result<Vec<(i32, &'r [u8])>, ClientError> {
        let response: FetchResponse<'r> = reply.read()?;
        check(response.error_code, None, || {
            format!("fetching {}", self.topic)
        })?;
        let mut fetched = Vec::new();
        let mut failed = None;
        for answer in response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
        {
            let partition = answer.partition_index;
            let Some(&from) = asked.get(&partition) else {
                continue;
            };
            let position = self
                .positions
                .get_mut(&partition)
                .expect("it was asked for");
            let what = || format!("fetching {}-{partition} from offset {from}", self.topic);
            if let Err(error) = check(answer.error_code, None, what) {
                let out_of_range = error.code() == Some(ErrorCode::OffsetOutOfRange);
                if out_of_range && self.out_of_range == OutOfRange::Earliest {
                    tracing::warn!("{error}; going on with the earliest offset");
                    let earliest = offsets::list(cluster, &self.topic, &[partition], At::Earliest)?;
                    position.offset = earliest[&partition];
                } else if error.retriable() {
                    position.leader = None;
                    failed = Some(error);
                } else {
                    return Err(error);
                }
                continue;
            }
            let Some(records) = answer.records.bytes() else {
                continue;
            };
            if let Some((_, last)) = record::headers(records).last() {
                // A last offset that is hostile stays where it was.
                position.offset = from.max(last.last_offset().0.saturating_add(1));
                fetched.push((partition, records));
            }
        }
        match failed {
            Some(error) => self.pause(error)?,
            None => self.failing = None,
        }
        for leader in self.idle_leaders() {
            if let Err(error) = self.ask(cluster, leader) {
                self.lost(leader, error)?;
            }
        }
        Ok(fetched)
    }

    fn find_leaders(&mut self, cluster: &mut Cluster) -> Result<(), ClientError> {
        if self.positions.values().all(|at| at.leader.is_some()) {
            return Ok(());
        }
        match cluster.refresh(&self.topic) {
            Ok(topic) => {
                for partition in topic.partitions.iter().filter(|p| p.leader >= 0) {
                    if let Some(position) = self.positions.get_mut(&partition.index) {
                        position.leader.get_or_insert(partition.leader);
                    }
                }
                Ok(())
            }
            Err(error) => self.pause(error),
        }
    }

    /// Leaders of partitions that have no fetch in flight.
    fn idle_leaders(&self) -> Vec<i32> {
        let mut leaders: Vec<i32> = self.positions.values().filter_map(|at| at.leader).collect();
        leaders.sort_unstable();
        leaders.dedup();
        leaders.retain(|leader| !self.in_flight.contains_key(leader));
        leaders
    }

    fn ask(&mut self, cluster: &Cluster, leader: i32) -> Result<(), ClientError> {
        let connection = match self.connections.entry(leader) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(cluster.own_connection(leader)?)
            }
        };
        let asked: Asked = self
            .positions
            .iter()
            .filter(|(_, at)| at.leader == Some(leader))
            .map(|(&partition, at)| (partition, at.offset))
            .collect();
        let wanted = |(&partition, &fetch_offset): (&i32, &i64)| FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: PARTITION_BYTES,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: WAIT_BYTES_MIN,
            max_bytes: ANSWER_BYTES,
            topics: vec![FetchTopic {
                topic: &self.topic,
                partitions: asked.iter().map(wanted).collect(),
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let version = connection.version::<FetchRequest<'_>>(VERSION_MAX)?;
        connection.send(&request, version, &[], true)?;
        self.in_flight.insert(leader, asked);
        Ok(())
    }

    /// Leaders whose answers have begun to arrive.
    fn readable(&self, wait: Duration) -> Result<Vec<i32>, ClientError> {
        let leaders: Vec<i32> = self.in_flight.keys().copied().collect();
        let mut polled: Vec<PollFd<'_>> = leaders
            .iter()
            .map(|leader| PollFd::new(self.connections[leader].as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                return Err(ClientError::Io {
                    address: self.topic.clone(),
                    doing: "waiting for its leaders",
                    reason: error.into(),
                });
            }
        }
        let ready = |(leader, polled): (&i32, &PollFd<'_>)| {
            polled.any().unwrap_or(false).then_some(*leader)
        };
        Ok(leaders.iter().zip(&polled).filter_map(ready).collect())
    }

    /// The connection to a leader is gone, and perhaps the leader with it.
    fn lost(&mut self, leader: i32, error: ClientError) -> Result<(), ClientError> {
        self.connections.remove(&leader);
        self.in_flight.remove(&leader);
        for position in self.positions.values_mut() {
            position.leader = position.leader.filter(|&known| known != leader);
        }
        self.pause(error)
    }

    fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        const PATIENCE: Duration = Duration::from_secs(60);
        self.failing
            .get_or_insert_with(|| Deadline::after(PATIENCE))
            .pause_or_give_up(&format!("fetching {}", self.topic), error)
    }
}
