//! An open partition with its topic's settings, and what they mean to its log.

use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::log::LogRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::record::{
    Compression, CompressionTarget, Depth, Origin, Rules, TimestampRule, TimestampType,
};
use odradek_engine::types::Timestamp;

use crate::config::{TopicConfig, choice};
use crate::partition::Partition;

/// A partition of this shard, with its topic's settings.
pub struct Hosted {
    pub partition: Rc<Partition>,
    pub config: Arc<TopicConfig>,
}

impl Hosted {
    /// The same partition under other settings, which its log follows from now on.
    pub(super) fn configured(&self, config: &Arc<TopicConfig>) -> Rc<Hosted> {
        self.partition.set_rules(log_rules(config));
        Rc::new(Hosted {
            partition: self.partition.clone(),
            config: config.clone(),
        })
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
pub(super) fn log_rules(config: &TopicConfig) -> LogRules {
    LogRules {
        segment_bytes: config.segment_size().max(1) as u64,
        roll_ms: config.segment_ms,
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
