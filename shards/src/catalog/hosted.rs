//! An open partition with its topic's settings, and what they mean to its log.

use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::log::LogRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::record::{
    Compression, CompressionTarget, Depth, Origin, Rules, TimestampRule, TimestampType,
};
use odradek_engine::types::{MapSeed, Timestamp};

use crate::config::{TopicConfig, choice};
use crate::partition::{Habits, Partition, PartitionName};

/// A partition of this shard, with its topic's settings.
pub struct Hosted {
    pub partition: Rc<Partition>,
    pub config: Arc<TopicConfig>,
}

impl Hosted {
    /// A partition that was opened under these settings.
    pub(super) fn new(partition: Rc<Partition>, config: Arc<TopicConfig>) -> Rc<Hosted> {
        partition.set_habits(habits(&config));
        Rc::new(Hosted { partition, config })
    }

    /// The same partition under other settings, which its log follows from now on.
    pub(super) fn configured(&self, config: &Arc<TopicConfig>) -> Rc<Hosted> {
        let rules = log_rules(config, self.partition.name());
        self.partition.set_rules(rules);
        Hosted::new(self.partition.clone(), config.clone())
    }

    /// What a produced batch must satisfy, and whether it is stamped with the append's time.
    pub fn rules(&self, now: Timestamp) -> (Rules, Option<Timestamp>) {
        let config = &self.config;
        let append_time = matches!(
            config.message_timestamp_type,
            choice::TimestampType::LogAppendTime
        );
        let rules = Rules {
            origin: Origin::Client,
            batch_bytes_max: config.max_message_bytes.max(0) as usize,
            timestamps: TimestampRule {
                timestamp_type: match append_time {
                    true => TimestampType::LogAppendTime,
                    false => TimestampType::CreateTime,
                },
                now,
                before_max_ms: config.message_timestamp_before_max_ms,
                after_max_ms: config.message_timestamp_after_max_ms,
            },
            zstd_allowed: true,
        };
        (rules, append_time.then_some(now))
    }

    /// The codec that produced batches are stored in, if it is not their producer's choice.
    #[inline]
    pub fn codec(&self) -> Option<CompressionTarget> {
        use choice::CompressionType::{Gzip, Lz4, Producer, Snappy, Uncompressed, Zstd};
        let config = &self.config;
        let (codec, level) = match config.compression_type {
            Producer => return None,
            Uncompressed => (Compression::None, None),
            // -1 is the codec's own.
            Gzip => (Compression::Gzip, Some(config.compression_gzip_level)),
            Snappy => (Compression::Snappy, None),
            Lz4 => (Compression::Lz4, None),
            Zstd => (Compression::Zstd, Some(config.compression_zstd_level)),
        };
        Some(CompressionTarget { codec, level })
    }

    /// How deep a produced batch is checked.
    pub fn depth(&self, validation: choice::RecordValidation) -> Depth {
        let keys_required = self.config.compacts();
        match validation {
            choice::RecordValidation::Header if !keys_required => Depth::Header,
            _ => Depth::Records { keys_required },
        }
    }
}

/// The log's rules by a topic's settings.
pub(super) fn log_rules(config: &TopicConfig, name: &PartitionName) -> LogRules {
    LogRules {
        segment_bytes: config.segment_size().max(1) as u64,
        roll_ms: roll_ms(config, name),
        index: IndexRules {
            interval_bytes: config.index_interval_bytes.max(0) as u64,
            index_bytes_max: config.segment_index_bytes.max(0) as usize,
        },
        retention_bytes: if config.deletes() {
            config.retention_bytes
        } else {
            -1
        },
        retention_ms: if config.deletes() {
            config.retention_ms
        } else {
            -1
        },
    }
}

/// How the partition's files are written.
fn habits(config: &TopicConfig) -> Habits {
    Habits {
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        preallocate: config.preallocate,
    }
}

/// How old the active segment's first record may become: less by the log's own share of
/// `segment.jitter.ms`, so that logs of one age do not roll at one time. (Kafka draws it anew for each
/// segment.) What is compacted within `max.compaction.lag.ms` must be closed by then.
fn roll_ms(config: &TopicConfig, name: &PartitionName) -> i64 {
    let jitter = match config.segment_jitter_ms.min(config.segment_ms) {
        0 => 0,
        most => {
            let spread = MapSeed::default().hash_one((&name.topic, name.index));
            (spread % most.unsigned_abs()) as i64
        }
    };
    let most = match config.compacts() {
        true => config.segment_ms.min(config.max_compaction_lag_ms),
        false => config.segment_ms,
    };
    (most - jitter).max(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{Given, Settings};

    fn config(given: &[(&str, &str)]) -> TopicConfig {
        let (settings, _) = Settings::load(None, &[]).expect("the defaults");
        let given = given
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()));
        TopicConfig::resolve(&settings, &given.collect::<Given>()).expect("allowed")
    }

    fn name(index: i32) -> PartitionName {
        PartitionName {
            topic: "t".into(),
            index,
        }
    }

    #[test]
    fn logs_roll_at_times_of_their_own() {
        let config = config(&[("segment.ms", "1000"), ("segment.jitter.ms", "400")]);
        let all: BTreeSet<i64> = (0..50)
            .map(|index| roll_ms(&config, &name(index)))
            .collect();
        assert!(all.len() > 20, "{all:?}");
        assert!(all.iter().all(|ms| (601..=1000).contains(ms)), "{all:?}");
        assert_eq!(roll_ms(&config, &name(7)), roll_ms(&config, &name(7)));
    }

    #[test]
    fn what_must_be_compacted_soon_is_closed_soon() {
        let lag = ("max.compaction.lag.ms", "60");
        let compacted = config(&[("cleanup.policy", "compact"), ("segment.ms", "1000"), lag]);
        assert_eq!(roll_ms(&compacted, &name(0)), 60);
        assert_eq!(
            roll_ms(&config(&[("segment.ms", "1000"), lag]), &name(0)),
            1000
        );
        let jitter = config(&[("segment.ms", "10"), ("segment.jitter.ms", "100")]);
        assert!((0..=10).contains(&roll_ms(&jitter, &name(3))));
    }
}
