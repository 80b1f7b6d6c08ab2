//! What one seed decides before anything runs.

use std::sync::Arc;

use odradek_engine::io::strategy::read::ReadStrategy;
use odradek_engine::io::strategy::write::{Durability, WriteStrategy};
use odradek_shards::config::{Given, Settings};
pub use odradek_sim::plan::Rng;

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

/// A topic of the workload.
#[derive(Clone)]
pub struct TopicPlan {
    pub name: &'static str,
    pub partitions: i32,
    pub config: Given,
    /// Old records are removed.
    pub expires: bool,
}

/// See the module.
pub struct Plan {
    pub durable: bool,
    pub lag_ms: u64,
    pub lives: usize,
    pub topics: Vec<TopicPlan>,
    pub settings: Arc<Settings>,
    /// Whether the state file is meddled with between lives.
    pub meddling: bool,
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
        let strategy = rng.pick(WriteStrategy::NAMES);
        let (method, read) = (rng.pick(Durability::NAMES), rng.pick(ReadStrategy::NAMES));
        let set = [
            ("listeners", "PLAINTEXT://127.0.0.1:9092".to_owned()),
            ("log.dirs", "/data".to_owned()),
            ("num.partitions", "2".to_owned()),
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
            ("log.retention.check.interval.ms", "50".to_owned()),
            (
                "log.flush.offset.checkpoint.interval.ms",
                rng.pick(&[3, 20, 100]).to_string(),
            ),
        ];
        let set = set.map(|(name, value)| (name.to_owned(), value));
        let (settings, _) = Settings::load(None, &set).expect("the settings are right");
        let config = |set: &[(&str, u64)]| -> Given {
            let text = set
                .iter()
                .map(|(name, n)| (name.to_string(), n.to_string()));
            text.collect()
        };
        let interval = rng.pick(&[0, 500, 4096]);
        let small = [
            ("internal.segment.bytes", segment),
            ("index.interval.bytes", interval),
        ];
        let retention = ("retention.bytes", rng.range(1, 4) * segment);
        let short = ("retention.ms", rng.range(50, 500));
        let topic = |name, partitions, config, expires| TopicPlan {
            name,
            partitions,
            config,
            expires,
        };
        let topics = vec![
            topic("plain", 2, Given::new(), false),
            topic("small", 2, config(&small), false),
            topic("kept", 1, config(&[small[0], retention]), true),
            topic("short", 1, config(&[small[0], short]), true),
        ];
        Plan {
            durable,
            lag_ms,
            lives: rng.range(3, 5) as usize,
            topics,
            settings: Arc::new(settings),
            meddling: rng.one_in(3),
            value_bytes_max,
            rng,
        }
    }

    /// All partitions.
    pub fn partitions(&self) -> Vec<(&'static str, i32)> {
        let of = |topic: &TopicPlan| {
            let name = topic.name;
            (0..topic.partitions).map(move |index| (name, index))
        };
        self.topics.iter().flat_map(of).collect()
    }
}
