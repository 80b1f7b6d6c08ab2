//! A shard's cleaner: of the logs that are due the dirtiest goes first, one at a time.
//!
//! Source: Kafka `LogCleaner.CleanerThread`, `LogCleanerManager.grabFilthiestCompactedLog`.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::log::compaction::{Candidate, CompactionRules};
use odradek_engine::types::Timestamp;

use crate::api::Broker;
use crate::catalog::Hosted;
use crate::config::Settings;
use crate::partition::{CleanError, Cleaned, Means, Pace, Share};
use crate::runtime::next_pass;

/// Partitions that are looked at in one pass.
const PER_PASS: usize = 128;
/// A shard that has had something to clean for so long, without a pause, does not keep up; nanoseconds.
const PATIENCE: u64 = 300_000_000_000;
/// Between two looks at the least, whatever is set: a look costs, too.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// A shard's part of the keys' memory, at least, bytes: as Kafka asks for each of its threads.
const MAP_BYTES_MIN: usize = 1 << 20;

/// Cleans what is due, looks again after `log.cleaner.backoff.ms`.
pub(super) async fn compact_forever(broker: Rc<Broker>) {
    let pace = Pace::new();
    loop {
        let backoff = broker.holdings.settings().log_cleaner_backoff_ms;
        let backoff = Duration::from_millis(backoff.unsigned_abs());
        broker.io.sleep(backoff.max(BACKOFF_MIN)).await;
        let began = broker.io.now();
        while let Some((hosted, found)) = dirtiest(&broker).await {
            let settings = broker.holdings.settings();
            let share = share(&found, broker.io.now() - began);
            if !clean(&broker, &settings, &hosted, found, &pace, share).await {
                break;
            }
        }
    }
}

/// What a cleaning may take from clients: more if it is overdue, or if it would not keep up with what is
/// written, because there has been something to clean for so long, nanoseconds.
fn share(found: &Candidate, cleaned_for: u64) -> Share {
    match found.overdue_ms > 0 || cleaned_for > PATIENCE {
        true => Share::Half,
        false => Share::Small,
    }
}

/// A topic's rules.
fn rules(hosted: &Hosted) -> CompactionRules {
    let config = &hosted.config;
    CompactionRules {
        min_dirty_ratio: config.min_cleanable_dirty_ratio,
        min_lag_ms: config.min_compaction_lag_ms,
        max_lag_ms: config.max_compaction_lag_ms,
        delete_retention_ms: config.delete_retention_ms,
        codec: hosted.codec(),
    }
}

/// The partition that is due and has the largest dirty share.
async fn dirtiest(broker: &Rc<Broker>) -> Option<(Rc<Hosted>, Candidate)> {
    let holdings = &broker.holdings;
    if !holdings.settings().log_cleaner_enable {
        return None;
    }
    let now = Timestamp(broker.io.wall_clock());
    let mut dirtiest: Option<(Rc<Hosted>, Candidate)> = None;
    let mut last = None;
    loop {
        if holdings.stopping() {
            return None;
        }
        let some = holdings.open_after(last, PER_PASS);
        for (key, hosted) in &some {
            last = Some(*key);
            if !hosted.config.compacts() {
                continue;
            }
            let rules = rules(hosted);
            let found = match hosted.partition.cleanable(&rules, now).await {
                Ok(found) => found.filter(|found| found.is_due(&rules)),
                Err(error) => {
                    let name = hosted.partition.name();
                    holdings.ground().troubles.log(&broker.io, || {
                        tracing::error!("{name}: what was compacted of it cannot be read: {error}");
                    });
                    None
                }
            };
            let Some(found) = found else {
                continue;
            };
            let best = dirtiest.as_ref().map_or(-1.0, |(_, best)| best.ratio());
            if found.ratio() > best {
                dirtiest = Some((hosted.clone(), found));
            }
        }
        if some.len() < PER_PASS {
            return dirtiest;
        }
        next_pass(&broker.io).await;
    }
}

/// Whether another may be cleaned at once.
async fn clean(
    broker: &Rc<Broker>,
    settings: &Settings,
    hosted: &Hosted,
    found: Candidate,
    pace: &Pace,
    share: Share,
) -> bool {
    let shards = broker.mail.shards().max(1);
    let memory = settings.log_cleaner_dedupe_buffer_size.max(0) as usize / shards as usize;
    pace.limit(settings.log_cleaner_io_max_bytes_per_second / f64::from(shards));
    let means = Means {
        map_bytes: memory.max(MAP_BYTES_MIN),
        map_load: settings.log_cleaner_io_buffer_load_factor,
        // Kafka's buffer is for reading and for writing.
        chunk_bytes: settings.log_cleaner_io_buffer_size.max(0) as usize / 2,
        pace,
        share,
    };
    let (partition, began) = (&hosted.partition, broker.io.now());
    let now = Timestamp(broker.io.wall_clock());
    let cleaned = partition.compact(found, &rules(hosted), now, &means).await;
    let name = partition.name();
    match &cleaned {
        Ok(cleaned) => tell(&name.to_string(), cleaned, broker.io.now() - began),
        Err(CleanError::Stopped) => {}
        Err(error @ CleanError::Io(_)) => {
            let troubles = &broker.holdings.ground().troubles;
            troubles.log(&broker.io, || {
                tracing::error!("compacting {name} failed and is tried again: {error}");
            });
        }
        Err(error) => {
            tracing::error!("{name} is not compacted any more until it is opened again: {error}")
        }
    }
    if cleaned.is_ok() && hosted.config.deletes() {
        let producers_ms = i64::from(broker.holdings.settings().producer_id_expiration_ms);
        if let Err(error) = partition.expire(now, producers_ms).await {
            tracing::error!("retention of {name} failed: {error}");
        }
    }
    !matches!(cleaned, Err(CleanError::Io(_) | CleanError::Stopped))
}

fn tell(name: &str, cleaned: &Cleaned, took_ns: u64) {
    let stats = &cleaned.stats;
    tracing::info!(
        keys = cleaned.keys,
        map_bytes = cleaned.map_bytes,
        records = stats.records_read,
        kept = stats.records_written,
        bytes = stats.bytes_read,
        kept_bytes = stats.bytes_written,
        indexed_bytes = cleaned.indexed_bytes,
        took_ms = took_ns / 1_000_000,
        "compacted {name} up to offset {}: {} segments became {}",
        cleaned.to.0,
        cleaned.segments.0,
        cleaned.segments.1
    );
    if stats.keyless > 0 {
        tracing::warn!(
            "{name}: {} records without a key were dropped",
            stats.keyless
        );
    }
}
