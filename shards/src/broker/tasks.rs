//! What a shard does by itself, and how it stops.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::types::Timestamp;

use super::Broker;

/// How often the flusher looks, and the tails are trimmed.
const FLUSHER: Duration = Duration::from_millis(100);
/// A partition rests after its shard had this many quiet looks.
const REST_LOOKS: u32 = 50;

impl Broker {
    /// Bytes become durable within the lag, whether or not anybody waits.
    ///
    /// It looks only while something may be lagging: an idle shard sleeps for long.
    pub(super) async fn flush_forever(self: Rc<Self>) {
        let (mut quiet, mut last) = (0, 0);
        loop {
            let pause = if quiet > REST_LOOKS {
                FLUSHER * 5
            } else {
                FLUSHER
            };
            self.io.sleep(pause).await;
            self.ground.trim();
            let mut end = 0;
            for hosted in self.open_partitions() {
                hosted.partition.flush_if_due();
                end += hosted.partition.standing().next.0;
            }
            if let Some(controller) = self.controller.get() {
                controller.log().flush_if_due();
            }
            quiet = if end == last { quiet + 1 } else { 0 };
            last = end;
            if quiet == REST_LOOKS {
                for hosted in self.open_partitions() {
                    hosted.partition.rest();
                }
            }
        }
    }

    /// Retention by time and size, and forgotten producers.
    pub(super) async fn retain_forever(self: Rc<Self>) {
        let pause =
            Duration::from_millis(self.settings.log_retention_check_interval_ms.max(1) as u64);
        loop {
            self.io.sleep(pause).await;
            let now = Timestamp(self.io.wall_clock());
            let producers_ms = i64::from(self.settings.producer_id_expiration_ms);
            for hosted in self.open_partitions() {
                if let Err(error) = hosted.partition.expire(now, producers_ms).await {
                    let name = hosted.partition.name();
                    tracing::error!("retention of {name} failed: {error}");
                }
            }
        }
    }

    /// Asks this shard to stop; the last one leaves the marker of a clean stop.
    pub fn request_stop(&self, last: bool) {
        self.last.set(last);
        self.stop.raise();
    }

    /// Serves until asked to stop, then stops.
    pub async fn until_stopped(self: Rc<Self>) {
        self.stop.raised().await;
        self.clone().stop().await;
        if self.last.get()
            && let Err(error) = self.mark_clean().await
        {
            tracing::error!("cannot leave the marker of a clean stop: {error}");
        }
    }

    /// Stops taking requests, writes everything out, leaves files that need no recovery.
    pub async fn stop(self: Rc<Self>) {
        self.stopping.set(true);
        self.groups.stop();
        let open = self.open_partitions();
        let logs = open.iter().map(|hosted| &hosted.partition);
        let metadata = self.controller.get().map(|controller| controller.log());
        for partition in logs.chain(metadata) {
            if let Err(error) = partition.close().await {
                tracing::error!("closing {} failed: {error}", partition.name());
            }
        }
        self.checkpoint_last().await;
    }
}
