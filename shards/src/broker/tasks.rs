//! What a shard does by itself, and how it stops.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::limits::PARTITIONS_AT_ONCE;
use odradek_engine::types::Timestamp;

use super::boot::mark_clean;
use crate::api::Broker;
use crate::partition::Partition;
use crate::runtime::abreast;

/// How often the flusher looks, and the tails are trimmed.
const FLUSHER: Duration = Duration::from_millis(100);
/// Partitions rest whenever their shard had this many more quiet looks.
const REST_LOOKS: u32 = 50;

/// Bytes written by a shard after which its state file is due before the interval's end: recovery
/// reads about as much.
const CHECKPOINT_BYTES: u64 = 256 << 20;
/// How often the shard looks whether it is due: the shortest time between two.
const CHECKPOINT_LOOK: Duration = Duration::from_secs(1);

/// Bytes become durable within the lag, whether or not anybody waits.
///
/// It looks only while something may be lagging: an idle shard sleeps for long.
pub(super) async fn flush_forever(broker: Rc<Broker>) {
    let (mut quiet, mut last) = (0, 0);
    loop {
        let pause = if quiet > REST_LOOKS {
            FLUSHER * 5
        } else {
            FLUSHER
        };
        broker.io.sleep(pause).await;
        broker.holdings.ground().trim();
        broker.lender.reclaim();
        let mut end = 0;
        for hosted in broker.holdings.open_partitions() {
            hosted.partition.flush_if_due();
            end += hosted.partition.standing().next.0;
        }
        if let Some(controller) = &broker.controller {
            controller.log().flush_if_due();
        }
        quiet = if end == last { quiet + 1 } else { 0 };
        last = end;
        if quiet > 0 && quiet.is_multiple_of(REST_LOOKS) {
            for hosted in broker.holdings.open_partitions() {
                hosted.partition.rest();
            }
        }
    }
}

/// Retention by time and size, and forgotten producers.
pub(super) async fn retain_forever(broker: Rc<Broker>) {
    let pause =
        Duration::from_millis(broker.settings.log_retention_check_interval_ms.max(1) as u64);
    loop {
        broker.io.sleep(pause).await;
        let now = Timestamp(broker.io.wall_clock());
        let producers_ms = i64::from(broker.settings.producer_id_expiration_ms);
        for hosted in broker.holdings.open_partitions() {
            if let Err(error) = hosted.partition.expire(now, producers_ms).await {
                let name = hosted.partition.name();
                tracing::error!("retention of {name} failed: {error}");
            }
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

/// Serves until asked to stop, then stops.
pub async fn until_stopped(broker: Rc<Broker>) {
    let last = broker.stop_requested().await;
    stop(&broker).await;
    if last && broker.unclean.get() {
        return tracing::warn!(
            "stopped in the middle of a move: the next start recovers what was moving"
        );
    }
    if last && let Err(error) = mark_clean(&broker.io, &broker.settings).await {
        tracing::error!("cannot leave the marker of a clean stop: {error}");
    }
}

async fn close(partition: &Partition) {
    if let Err(error) = partition.close().await {
        tracing::error!("closing {} failed: {error}", partition.name());
    }
}

/// Stops taking requests, writes everything out, leaves files that need no recovery.
async fn stop(broker: &Rc<Broker>) {
    broker.holdings.begin_stop();
    broker.groups.stop();
    let moving = broker.holdings.moving() > 0;
    let open = broker.holdings.open_partitions().into_iter();
    let closing = open.map(|hosted| async move { close(&hosted.partition).await });
    abreast(&broker.spawner, PARTITIONS_AT_ONCE, closing).await;
    if let Some(controller) = &broker.controller {
        close(controller.log()).await;
    }
    // All is durable now; the next life may be killed. What was taken earlier is not the end.
    broker.holdings.keep_checkpoints().await;
    broker.holdings.take_checkpoints().await;
    broker.holdings.keep_checkpoints().await;
    broker.holdings.write_checkpoints().await;
    if moving {
        // It stops last.
        let told = move |first: Rc<Broker>| Box::pin(async move { first.unclean.set(true) }) as _;
        let _ = broker.mail.call(&broker.io, 0, told).await;
    }
}
