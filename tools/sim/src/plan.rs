//! What one seed decides before anything runs.

use std::sync::Arc;

use odradek_engine::io::strategy::read::ReadStrategy;
use odradek_engine::io::strategy::write::{Durability, WriteStrategy};
use odradek_shards::config::{Given, Settings};

pub use crate::rng::Rng;

/// The numbers of the producers of transactions.
pub const TRANSACTORS: std::ops::Range<u32> = 10..13;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// An orderly stop; the machine runs on.
    Stop,
    /// An orderly stop, then the power is cut.
    StopThenCut,
    Kill,
    Cut,
}

impl End {
    /// Whether the node was asked to end.
    pub fn is_stop(self) -> bool {
        matches!(self, End::Stop | End::StopThenCut)
    }

    /// Whether the machine lost its power.
    pub fn is_cut(self) -> bool {
        matches!(self, End::Cut | End::StopThenCut)
    }
}

/// A topic of the workload.
#[derive(Clone)]
pub struct TopicPlan {
    pub name: &'static str,
    pub partitions: i32,
    pub config: Given,
    /// Old records are removed.
    pub expires: bool,
    /// Of each key the last record stays.
    pub compacts: bool,
    /// Tombstones may be gone at any time.
    pub tombstones_go: bool,
    /// Written to by transactions, too.
    pub transactional: bool,
}

/// See the module.
pub struct Plan {
    pub shards: u32,
    pub durable: bool,
    pub lag_ms: u64,
    pub lives: usize,
    pub topics: Vec<TopicPlan>,
    pub settings: Arc<Settings>,
    /// Whether the state file is meddled with between lives.
    pub meddling: bool,
    /// Whether bytes at rest change between lives.
    pub corrupting: bool,
    /// The largest value of a record, bytes.
    pub value_bytes_max: u64,
    pub rng: Rng,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let durable = !rng.one_in(4);
        let lag_ms = rng.pick(&[20, 100, 1000]);
        let value_bytes_max = rng.pick(&[64, 600, 5_000, 40_000]);
        // A batch or many; not so few that thousands of files make the run slow.
        let segment = rng.range(1, 16) * rng.pick(&[1_000, 4_096, 10_000]);
        let segment = segment.max(value_bytes_max);
        let shards = rng.pick(&[1, 2, 2, 3, 4]);
        let set = settings(&mut rng, shards, durable, lag_ms);
        let (settings, _) = Settings::load(None, &set).expect("the settings are right");
        let topics = topics(&mut rng, segment, value_bytes_max);
        Plan {
            shards,
            durable,
            lag_ms,
            lives: rng.range(3, 5) as usize,
            topics,
            settings: Arc::new(settings),
            meddling: rng.one_in(3),
            corrupting: rng.one_in(5),
            value_bytes_max,
            rng,
        }
    }

    /// All partitions of such topics.
    pub fn partitions(&self, such: impl Fn(&TopicPlan) -> bool) -> Vec<(&'static str, i32)> {
        let of = |topic: &TopicPlan| {
            let name = topic.name;
            (0..topic.partitions).map(move |index| (name, index))
        };
        let topics = self.topics.iter().filter(|topic| such(topic));
        topics.flat_map(of).collect()
    }

    /// Whether a topic is neither compacted nor written to by transactions.
    pub fn is_simple(&self, name: &str) -> bool {
        let topic = self.topics.iter().find(|topic| topic.name == name);
        topic.is_some_and(|topic| !topic.compacts && !topic.transactional)
    }
}

fn settings(rng: &mut Rng, shards: u32, durable: bool, lag_ms: u64) -> Vec<(String, String)> {
    let internal = rng.pick(&[3_000, 20_000, 104_857_600]);
    let strategy = rng.pick(WriteStrategy::NAMES);
    let (method, read) = (rng.pick(Durability::NAMES), rng.pick(ReadStrategy::NAMES));
    let set = [
        ("listeners", "PLAINTEXT://127.0.0.1:9092".to_owned()),
        ("log.dirs", "/data".to_owned()),
        ("shards", shards.to_string()),
        (
            "shards.advertise",
            rng.pick(&["core", "core", "node"]).to_owned(),
        ),
        ("num.partitions", "2".to_owned()),
        ("offsets.topic.num.partitions", "2".to_owned()),
        ("offsets.topic.segment.bytes", internal.to_string()),
        // Members come and go faster than a life ends.
        ("group.min.session.timeout.ms", "1".to_owned()),
        (
            "group.initial.rebalance.delay.ms",
            rng.pick(&[0, 10]).to_string(),
        ),
        ("transaction.state.log.num.partitions", "2".to_owned()),
        ("transaction.state.log.segment.bytes", internal.to_string()),
        (
            "log.cleaner.backoff.ms",
            rng.pick(&[10, 30, 1_000]).to_string(),
        ),
        (
            "log.cleaner.min.cleanable.ratio",
            rng.pick(&["0", "0.1", "0.5"]).to_owned(),
        ),
        ("memory.tail.bytes", "1048576".to_owned()),
        ("log.write.strategy", strategy.to_owned()),
        ("log.durable.method", method.to_owned()),
        // Once or many times around.
        (
            "log.journal.bytes",
            rng.pick(&[1 << 20, 4 << 20]).to_string(),
        ),
        ("log.read.strategy", read.to_owned()),
        ("log.write.depth", rng.pick(&[1, 2, 8]).to_string()),
        ("durable.acks.all", durable.to_string()),
        ("durable.lag.max.ms", lag_ms.to_string()),
        // Clocks jump, and what was sent before that is sent again.
        (
            "log.message.timestamp.after.max.ms",
            "1000000000".to_owned(),
        ),
        // Over a jump, producers would be forgotten, and what they sent stored twice.
        ("producer.id.expiration.ms", "1000000000".to_owned()),
        ("log.retention.check.interval.ms", "50".to_owned()),
        (
            "log.flush.offset.checkpoint.interval.ms",
            rng.pick(&[3, 20, 100]).to_string(),
        ),
    ];
    set.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// `least`: bytes of the smallest segment.
fn topics(rng: &mut Rng, segment: u64, least: u64) -> Vec<TopicPlan> {
    let config = |set: &[(&str, u64)]| -> Given {
        let text = set
            .iter()
            .map(|(name, n)| (name.to_string(), n.to_string()));
        text.collect()
    };
    let small = [
        ("internal.segment.bytes", segment),
        ("index.interval.bytes", rng.pick(&[0, 500, 4096])),
    ];
    let retention = ("retention.bytes", rng.range(1, 4) * segment);
    let short = ("retention.ms", rng.range(50, 500));
    let topic = |name, partitions, config| TopicPlan {
        name,
        partitions,
        config,
        expires: false,
        compacts: false,
        tombstones_go: false,
        transactional: false,
    };
    let expiring = |topic| TopicPlan {
        expires: true,
        ..topic
    };
    let transactional = |topic| TopicPlan {
        transactional: true,
        ..topic
    };
    // No clock jumps as far as a month.
    const MONTH_MS: u64 = 2_592_000_000;
    let (tombstones_go, horizon) = rng.pick(&[(true, 20), (false, MONTH_MS)]);
    let stay = ("delete.retention.ms", MONTH_MS);
    let tiny = ("internal.segment.bytes", segment.min(4_000).max(least));
    let horizon = ("delete.retention.ms", horizon);
    let compacted = |topic: TopicPlan, policy: &str| {
        let mut topic = topic;
        let policy = ("cleanup.policy".to_owned(), policy.to_owned());
        topic.config.extend([policy]);
        TopicPlan {
            compacts: true,
            tombstones_go,
            ..topic
        }
    };
    vec![
        topic("plain", 2, Given::new()),
        topic("small", 2, config(&small)),
        expiring(topic("kept", 1, config(&[small[0], retention]))),
        expiring(topic("short", 1, config(&[small[0], short]))),
        // DeleteRecords raises its start.
        expiring(topic("cut", 2, config(&small))),
        transactional(topic("debits", 2, config(&small))),
        transactional(topic("credits", 2, Given::new())),
        TopicPlan {
            tombstones_go: false,
            ..compacted(
                transactional(topic("balances", 1, config(&[tiny, stay]))),
                "compact",
            )
        },
        compacted(topic("latest", 1, config(&[tiny, horizon])), "compact"),
        expiring(compacted(
            topic("recent", 1, config(&[tiny, horizon, retention])),
            "compact,delete",
        )),
    ]
}
