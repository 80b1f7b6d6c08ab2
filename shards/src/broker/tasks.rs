//! What a shard does by itself, and how it stops.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::types::Timestamp;

use super::boot::mark_clean;
use crate::api::Broker;

/// How often the flusher looks, and the tails are trimmed.
const FLUSHER: Duration = Duration::from_millis(100);
/// A partition rests after its shard had this many quiet looks.
const REST_LOOKS: u32 = 50;

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
        if quiet == REST_LOOKS {
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

/// Serves until asked to stop, then stops.
pub async fn until_stopped(broker: Rc<Broker>) {
    let last = broker.stop_requested().await;
    stop(&broker).await;
    if last && let Err(error) = mark_clean(&broker.io, &broker.settings).await {
        tracing::error!("cannot leave the marker of a clean stop: {error}");
    }
}

/// Stops taking requests, writes everything out, leaves files that need no recovery.
async fn stop(broker: &Broker) {
    broker.holdings.begin_stop();
    broker.groups.stop();
    let open = broker.holdings.open_partitions();
    let logs = open.iter().map(|hosted| &hosted.partition);
    let metadata = broker
        .controller
        .as_ref()
        .map(|controller| controller.log());
    for partition in logs.chain(metadata) {
        if let Err(error) = partition.close().await {
            tracing::error!("closing {} failed: {error}", partition.name());
        }
    }
}
