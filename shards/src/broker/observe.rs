//! What a shard says of itself when it is asked.
//!
//! Counters are copied at once. Partitions and groups are looked at a few at a time, each time after
//! what has completed meanwhile had its turn: ten thousand of them do not hold the shard up.

use std::rc::Rc;

use crate::api::Broker;
use crate::metrics::{
    ClientSeries, Committed, LogFigures, PartitionFigures, ShardFigures, TelemetryFigures,
};
use crate::runtime::next_pass;

/// Partitions, or committed offsets, that are looked at in one pass.
const PER_PASS: usize = 128;

/// What was counted.
pub fn figures(broker: &Broker) -> ShardFigures {
    let (meter, ground) = (&broker.meter, broker.holdings.ground());
    let settings = &broker.settings;
    ShardFigures {
        apis: meter.apis(),
        connections: meter.connections.get(),
        accepted: meter.accepted.get(),
        refused: meter.refused.get(),
        accept_waits: meter.accept_waits.get(),
        idle_closed: meter.idle_closed.get(),
        fault_closed: meter.fault_closed.get(),
        throttles: meter.throttles(),
        request_memory: (
            meter.request_memory.get() as u64,
            settings.memory_request_bytes.unsigned_abs(),
        ),
        tail_memory: (
            ground.tail_bytes.get() as u64,
            settings.memory_tail_bytes.unsigned_abs(),
        ),
        pool_lent_bytes: broker.io.pool().lent() as u64,
        pool_kept_bytes: broker.io.pool().kept() as u64,
        operations_in_flight: broker.io.flying() as u64,
        written_bytes: ground.written_bytes.get(),
        telemetry: telemetry(broker),
    }
}

fn telemetry(broker: &Broker) -> TelemetryFigures {
    let clients = broker.telemetry.borrow();
    let now = broker.io.now() / 1_000_000;
    let [taken, refused, left_out] = clients.counts;
    let series = clients.series(now).into_iter();
    TelemetryFigures {
        clients: clients.count(now) as u64,
        taken,
        refused,
        left_out,
        series: series
            .map(|one| ClientSeries {
                client_id: one.client_id,
                instance_id: one.instance_id.to_string(),
                metric: one.metric,
                attributes: one.attributes,
                value: one.value,
            })
            .collect(),
    }
}

/// Where its partitions stand, and its groups.
pub async fn logs(broker: Rc<Broker>) -> LogFigures {
    let each = broker.settings.metrics_partitions_enable;
    let mut figures = LogFigures {
        all: broker.holdings.opened().all as u64,
        ..LogFigures::default()
    };
    let mut last = None;
    loop {
        let some = broker.holdings.open_after(last, PER_PASS);
        for (key, hosted) in &some {
            last = Some(*key);
            let partition = &hosted.partition;
            let name = partition.name();
            figures.open += 1;
            figures.offline += u64::from(partition.poisoned().is_some());
            let (bytes, since) = partition.undurable();
            let age = since.map_or(0, |since| broker.io.now().saturating_sub(since));
            figures.undurable_bytes += bytes;
            figures.undurable_age_ns = figures.undurable_age_ns.max(age);
            if each {
                let standing = partition.standing();
                figures.partitions.push(PartitionFigures {
                    topic: name.topic.clone(),
                    index: name.index,
                    log_bytes: partition.with_log(|log| log.bytes()),
                    log_start: standing.log_start.0,
                    log_end: standing.next.0,
                    high_watermark: standing.visible.0,
                });
            }
        }
        if some.len() < PER_PASS {
            break;
        }
        next_pass(&broker.io).await;
    }
    if each {
        let committed = broker.groups.committed(PER_PASS).await;
        let copied = committed.into_iter().map(|it| Committed {
            group: it.group,
            topic: it.topic,
            partition: it.partition,
            offset: it.offset,
        });
        figures.committed = copied.collect();
    }
    figures
}
