//! What a shard does by itself, and how it stops.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::limits::{PARTITIONS_AT_ONCE, POOL_KEPT_BYTES_MAX, POOL_QUIET_BYTES_MAX};
use odradek_engine::task::yield_now;
use odradek_engine::types::Timestamp;

use super::boot::mark_clean;
use crate::api::Broker;
use crate::catalog::controller::SnapshotRules;
use crate::partition::Partition;
use crate::runtime::{abreast, next_pass};

/// How often the flusher looks, and the tails are trimmed.
const FLUSHER: Duration = Duration::from_millis(100);
/// The same while nothing needs it.
const FLUSHER_QUIET: Duration = Duration::from_millis(500);
/// How often it is asked which memory is not needed.
const IDLE_MEMORY: Duration = Duration::from_secs(1);
/// A shard that has not taken a buffer for so long keeps few.
const SHED_AFTER: Duration = Duration::from_secs(5);

/// Bytes written by a shard after which its state file is due before the interval's end: recovery
/// reads about as much.
const CHECKPOINT_BYTES: u64 = 256 << 20;
/// How often the shard looks whether it is due: the shortest time between two.
const CHECKPOINT_LOOK: Duration = Duration::from_secs(1);
/// How often it is asked whether a snapshot of the metadata is due.
const SNAPSHOT_LOOK: Duration = Duration::from_secs(1);

/// Bytes become durable within the lag, whether or not anybody waits, and memory that is not used
/// goes back.
///
/// It looks at partitions that are written to: an idle shard sleeps for long.
pub(super) async fn flush_forever(broker: Rc<Broker>) {
    let (io, ground) = (&broker.io, broker.holdings.ground());
    let (mut taken, mut taken_at, mut shed_at) = (0, io.now(), io.now());
    let mut lively = false;
    loop {
        let pause = match lively {
            true => FLUSHER,
            false => FLUSHER_QUIET,
        };
        io.sleep(pause).await;
        ground.trim();
        broker.lender.reclaim();
        broker.holdings.follow_directories();
        lively = ground.look();
        let (pool, now) = (io.pool(), io.now());
        if pool.taken() != taken {
            (taken, taken_at) = (pool.taken(), now);
        }
        if now.saturating_sub(taken_at) >= SHED_AFTER.as_nanos() as u64 {
            pool.shed(POOL_QUIET_BYTES_MAX);
        } else if now.saturating_sub(shed_at) >= IDLE_MEMORY.as_nanos() as u64 {
            shed_at = now;
            pool.shed_idle(POOL_KEPT_BYTES_MAX);
        }
    }
}

/// Partitions that were not used since the start are opened so many at a time: nobody waits for it,
/// and clients should not notice.
const OPENED_AT_ONCE: usize = 4;

/// Opens those of the shard's partitions that nobody has used yet: what retention and compaction
/// promise holds for them, too.
async fn open_rest(broker: &Rc<Broker>) {
    let holdings = &broker.holdings;
    let image = holdings.image();
    let mut rest = Vec::new();
    for topic in image.topics() {
        for (index, entry) in (0..).zip(&topic.partitions) {
            if entry.shard == broker.shard && !holdings.is_open(topic.id, index) {
                rest.push((topic.clone(), index));
            }
        }
    }
    let broker = broker.clone();
    let spawner = broker.spawner.clone();
    let opening = rest.into_iter().map(move |(topic, index)| {
        let broker = broker.clone();
        async move {
            // A failure is logged there, and told to whoever asks for the partition.
            let _ = broker.holdings.hosted(&topic, index).await;
            next_pass(&broker.io).await;
        }
    });
    abreast(&spawner, OPENED_AT_ONCE, opening).await;
}

/// Retention by time and size, and forgotten producers.
pub(super) async fn retain_forever(broker: Rc<Broker>) {
    let pause =
        Duration::from_millis(broker.settings.log_retention_check_interval_ms.max(1) as u64);
    loop {
        broker.io.sleep(pause).await;
        open_rest(&broker).await;
        let now = Timestamp(broker.io.wall_clock());
        let producers_ms = i64::from(broker.holdings.settings().producer_id_expiration_ms);
        let open = broker.holdings.open_partitions();
        for some in open.chunks(PARTITIONS_AT_ONCE) {
            for hosted in some {
                if let Err(error) = hosted.partition.expire(now, producers_ms).await {
                    let name = hosted.partition.name();
                    tracing::error!("retention of {name} failed: {error}");
                }
            }
            yield_now().await;
        }
    }
}

/// Keeps the state file, from which recovery learns what it need not read: a pass every
/// `log.flush.offset.checkpoint.interval.ms` while something is written, and sooner after
/// [`CHECKPOINT_BYTES`].
pub(super) async fn checkpoint_forever(broker: Rc<Broker>) {
    let (io, holdings) = (&broker.io, &broker.holdings);
    let interval = match broker.settings.log_flush_offset_checkpoint_interval_ms {
        0 => CHECKPOINT_LOOK,
        ms => Duration::from_millis(u64::from(ms.unsigned_abs())),
    };
    let look = CHECKPOINT_LOOK.min(interval);
    // How often a pass looks for what is not durable yet.
    let lag_ms = holdings.ground().durable_lag_ms.min(60_000);
    let looks = 2 + lag_ms / look.as_millis().max(1) as u64;
    let (mut last, mut written, mut waits) = (io.now(), 0, 0);
    let mut again = false;
    loop {
        io.sleep(look).await;
        let now = holdings.ground().written_bytes.get();
        let over = io.now().saturating_sub(last) >= interval.as_nanos() as u64;
        if (now > written || again) && over || now - written >= CHECKPOINT_BYTES {
            (last, written, waits) = (io.now(), now, looks);
            again = holdings.take_checkpoints().await;
        }
        if waits > 0 {
            waits -= 1;
            let waiting = holdings.keep_checkpoints().await;
            if !waiting || waits == 0 {
                waits = 0;
                holdings.write_checkpoints().await;
            }
        }
    }
}

/// Snapshots of the metadata, on shard 0.
pub(super) async fn keep_snapshots_forever(broker: Rc<Broker>) {
    let settings = &broker.settings;
    let every = settings.metadata_log_max_snapshot_interval_ms;
    let rules = SnapshotRules {
        bytes: settings
            .metadata_log_max_record_bytes_between_snapshots
            .max(1) as u64,
        every: (every > 0).then(|| Duration::from_millis(every as u64)),
    };
    loop {
        broker.io.sleep(SNAPSHOT_LOOK).await;
        if broker.stopping() {
            return;
        }
        if let Err(error) = broker.controller().keep_snapshot(rules).await {
            tracing::error!("{error}; it is tried again after the next change");
        }
    }
}

/// The first step of a stop, on shard 0: the change of metadata that is under way is finished, later
/// ones are refused. So no shard stops in the middle of a move.
pub async fn end_changes(broker: Rc<Broker>) {
    let controller = broker.controller();
    let last = controller.begin().await;
    if !close(&controller.log()).await {
        broker.unclean.set(true);
    }
    drop(last);
}

/// Serves until asked to stop, then stops.
pub async fn until_stopped(broker: Rc<Broker>) {
    let last = broker.stop_requested().await;
    stop(&broker).await;
    if last && broker.unclean.get() {
        return tracing::warn!(
            "not everything could be closed: the next start recovers it, and begins new leader epochs"
        );
    }
    if last && let Err(error) = mark_clean(&broker.io, &broker.settings).await {
        tracing::error!("cannot leave the marker of a clean stop: {error}");
    }
}

/// Whether it did not fail.
async fn close(partition: &Partition) -> bool {
    if let Err(error) = partition.close().await {
        tracing::error!("closing {} failed: {error}", partition.name());
        return false;
    }
    true
}

/// Stops taking requests, writes everything out, leaves files that need no recovery.
async fn stop(broker: &Rc<Broker>) {
    broker.holdings.begin_stop();
    broker.passed_on.answered(&broker.io).await;
    broker.groups.stop();
    broker.transactions.stop();
    let doubtful = || broker.holdings.moving() > 0 || !broker.holdings.failed().is_empty();
    let unclean = Rc::new(Cell::new(doubtful()));
    let open = broker.holdings.open_partitions().into_iter();
    let told = unclean.clone();
    let closing = open.map(move |hosted| {
        let told = told.clone();
        async move {
            if !close(&hosted.partition).await {
                told.set(true);
            }
        }
    });
    abreast(&broker.spawner, PARTITIONS_AT_ONCE, closing).await;
    let poisoned = |partition: &Partition| partition.poisoned().is_some();
    let open = broker.holdings.open_partitions();
    // A move may have begun meanwhile, where the stop did not wait for changes to end.
    if doubtful() || open.iter().any(|hosted| poisoned(&hosted.partition)) {
        unclean.set(true);
    }
    if let Some(controller) = &broker.controller {
        let log = controller.log();
        if !log.closed() && !close(&log).await || poisoned(&log) {
            unclean.set(true);
        }
    }
    for journal in &broker.holdings.ground().journals {
        if let Err(error) = journal.end().await {
            tracing::error!("the journal cannot be removed: {error}; the next start does it");
        }
    }
    // All is durable now; the next life may be killed. What was taken earlier is not the end.
    broker.holdings.keep_checkpoints().await;
    broker.holdings.take_checkpoints().await;
    broker.holdings.keep_checkpoints().await;
    broker.holdings.write_checkpoints().await;
    if unclean.get() {
        // What is recovered begins a new leader epoch. The first shard stops last.
        let told = move |first: Rc<Broker>| Box::pin(async move { first.unclean.set(true) }) as _;
        let _ = broker.mail.call(&broker.io, 0, told).await;
    }
}
