//! The page that Prometheus reads, made of what the shards answered.
//!
//! A shard that did not answer in time is down on it, and its series are missing: a number that is
//! not known is not invented.

use std::collections::BTreeMap;

use super::figures::{DiskFigures, LogFigures, ProcessFigures, ShardFigures};
use super::meter::QUOTAS;
use super::text::{Kind, Text};
use Kind::{Counter, Gauge, Histogram};

/// What is known of one shard.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    /// `None`: no answer.
    pub figures: Option<ShardFigures>,
    /// `None`: no answer yet.
    pub logs: Option<LogFigures>,
    /// Seconds its thread ran on a CPU since it started.
    pub cpu_seconds: Option<f64>,
    /// Seconds its thread was ready to run and did not.
    pub starved_seconds: Option<f64>,
}

type Plain<T> = (Kind, &'static str, &'static str, fn(&T) -> u64);

const SHARD: &[Plain<ShardFigures>] = &[
    (
        Gauge,
        "odradek_connections",
        "Connections of clients now.",
        |f| f.connections,
    ),
    (
        Counter,
        "odradek_connections_accepted_total",
        "Connections accepted.",
        |f| f.accepted,
    ),
    (
        Counter,
        "odradek_connections_refused_total",
        "Connections closed at once: max.connections.per.ip and its overrides.",
        |f| f.refused,
    ),
    (
        Counter,
        "odradek_accept_waits_total",
        "Times at which accepting had to wait: max.connections, max.connection.creation.rate, or no \
         file descriptor.",
        |f| f.accept_waits,
    ),
    (
        Counter,
        "odradek_connections_idle_closed_total",
        "Connections closed after connections.max.idle.ms.",
        |f| f.idle_closed,
    ),
    (
        Counter,
        "odradek_connections_fault_closed_total",
        "Connections closed for what they sent.",
        |f| f.fault_closed,
    ),
    (
        Gauge,
        "odradek_request_memory_bytes",
        "Bytes of requests that are held; those read whole from the socket's buffers excluded.",
        |f| f.request_memory.0,
    ),
    (
        Gauge,
        "odradek_request_memory_max_bytes",
        "memory.request.bytes.",
        |f| f.request_memory.1,
    ),
    (
        Gauge,
        "odradek_tail_memory_bytes",
        "Bytes of recently written records kept in memory.",
        |f| f.tail_memory.0,
    ),
    (
        Gauge,
        "odradek_tail_memory_max_bytes",
        "memory.tail.bytes.",
        |f| f.tail_memory.1,
    ),
    (
        Gauge,
        "odradek_pool_lent_bytes",
        "Bytes of the buffer pool in use.",
        |f| f.pool_lent_bytes,
    ),
    (
        Gauge,
        "odradek_pool_kept_bytes",
        "Bytes of the buffer pool kept for reuse.",
        |f| f.pool_kept_bytes,
    ),
    (
        Gauge,
        "odradek_operations_in_flight",
        "I/O operations in flight, idle receives included.",
        |f| f.operations_in_flight,
    ),
    (
        Counter,
        "odradek_written_bytes_total",
        "Bytes of records written to segments.",
        |f| f.written_bytes,
    ),
    (
        Gauge,
        "odradek_client_telemetry_clients",
        "Clients that have asked for what metrics they are to push, and are not silent.",
        |f| f.telemetry.clients,
    ),
    (
        Counter,
        "odradek_client_telemetry_pushes_total",
        "Pushes of clients' metrics that were taken.",
        |f| f.telemetry.taken,
    ),
    (
        Counter,
        "odradek_client_telemetry_refused_total",
        "Pushes of clients' metrics that were refused, or could not be read.",
        |f| f.telemetry.refused,
    ),
    (
        Counter,
        "odradek_client_telemetry_left_out_total",
        "Values that clients have pushed and that are not shown: no gauge and no sum, or too many.",
        |f| f.telemetry.left_out,
    ),
];

const LOGS: &[Plain<LogFigures>] = &[
    (
        Gauge,
        "odradek_partitions",
        "Partitions. After a start those that are not open yet are opened, and after a kill \
         recovered, when they are first used.",
        |f| f.all,
    ),
    (
        Gauge,
        "odradek_partitions_open",
        "Partitions that were used since the start.",
        |f| f.open,
    ),
    (
        Gauge,
        "odradek_partitions_offline",
        "Partitions whose storage failed; see the log.",
        |f| f.offline,
    ),
    (
        Gauge,
        "odradek_undurable_bytes",
        "Bytes written and not yet durable: what acks=1 acknowledged and a loss of power takes.",
        |f| f.undurable_bytes,
    ),
];

/// The page. `shards`: by number.
pub fn page(version: &str, shards: &[Shard], process: &ProcessFigures) -> String {
    let mut text = Text::default();
    text.family(Gauge, "odradek_build_info", "The version that runs.");
    text.sample(&[("version", version)], 1u64);
    write_process(&mut text, process);
    let numbers: Vec<String> = (0..shards.len()).map(|shard| shard.to_string()).collect();
    let each = || numbers.iter().map(String::as_str).zip(shards);
    text.family(Gauge, "odradek_shard_up", "Whether the shard answered.");
    for (shard, known) in each() {
        text.sample(&[("shard", shard)], u64::from(known.figures.is_some()));
    }
    text.family(
        Counter,
        "odradek_shard_cpu_seconds_total",
        "Seconds that the shard's thread ran on a CPU. Its busy fraction: \
         rate(odradek_shard_cpu_seconds_total[1m]).",
    );
    for (shard, known) in each() {
        if let Some(seconds) = known.cpu_seconds {
            text.sample(&[("shard", shard)], seconds);
        }
    }
    text.family(
        Counter,
        "odradek_shard_starved_seconds_total",
        "Time the shard's thread was ready to run while others had its CPU.",
    );
    for (shard, known) in each() {
        if let Some(seconds) = known.starved_seconds {
            text.sample(&[("shard", shard)], seconds);
        }
    }
    let figures = each().filter_map(|(shard, known)| Some((shard, known.figures.as_ref()?)));
    let figures: Vec<(&str, &ShardFigures)> = figures.collect();
    for (kind, name, help, read) in SHARD {
        text.family(*kind, name, help);
        for (shard, figures) in &figures {
            text.sample(&[("shard", shard)], read(figures));
        }
    }
    write_clients(&mut text, &figures);
    write_quotas(&mut text, &figures);
    write_apis(&mut text, &figures);
    let logs = each().filter_map(|(shard, known)| Some((shard, known.logs.as_ref()?)));
    let logs: Vec<(&str, &LogFigures)> = logs.collect();
    for (kind, name, help, read) in LOGS {
        text.family(*kind, name, help);
        for (shard, figures) in &logs {
            text.sample(&[("shard", shard)], read(figures));
        }
    }
    text.family(
        Gauge,
        "odradek_undurable_age_seconds",
        "Age of the oldest of odradek_undurable_bytes; durable.lag.max.ms bounds it.",
    );
    for (shard, figures) in &logs {
        let seconds = figures.undurable_age_ns as f64 / 1e9;
        text.sample(&[("shard", shard)], seconds);
    }
    write_partitions(&mut text, &logs);
    write_groups(&mut text, &logs);
    text.into_string()
}

fn write_process(text: &mut Text, process: &ProcessFigures) {
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory.",
            process.resident_bytes,
        ),
        (
            "process_open_fds",
            "Open file descriptors.",
            process.open_files,
        ),
        (
            "process_max_fds",
            "Most file descriptors that may be open.",
            process.open_files_max,
        ),
    ] {
        if let Some(value) = value {
            text.family(Gauge, name, help);
            text.sample(&[], value);
        }
    }
    write_disks(text, &process.disks);
    if let Some(seconds) = process.cpu_seconds {
        let name = "process_cpu_seconds_total";
        text.family(Counter, name, "User and system time of all threads.");
        text.sample(&[], seconds);
    }
}

fn write_clients(text: &mut Text, shards: &[(&str, &ShardFigures)]) {
    text.family(
        Gauge,
        "odradek_client_metric",
        "Last values of metrics that clients push (KIP-714), as kafka-configs --entity-type \
         client-metrics asks them to.",
    );
    for (shard, figures) in shards {
        for series in &figures.telemetry.series {
            let labels = [
                ("client_id", &*series.client_id),
                ("client_instance_id", series.instance_id.as_str()),
                ("metric", &*series.metric),
                ("attributes", &*series.attributes),
                // A client may have come to another shard meanwhile.
                ("shard", *shard),
            ];
            text.sample(&labels, series.value);
        }
    }
}

/// A log directory is named where there are several.
fn write_disks(text: &mut Text, disks: &[DiskFigures]) {
    let several = disks.len() > 1;
    type Reading = (&'static str, &'static str, fn(&DiskFigures) -> Option<u64>);
    let readings: [Reading; 3] = [
        (
            "odradek_disk_free_bytes",
            "Free on the log directory's file system.",
            |disk| Some(disk.bytes?.0),
        ),
        (
            "odradek_disk_total_bytes",
            "Size of the log directory's file system.",
            |disk| Some(disk.bytes?.1),
        ),
        (
            "odradek_log_directory_offline",
            "Whether a log directory has failed; see the log.",
            |disk| Some(u64::from(disk.offline)),
        ),
    ];
    for (name, help, read) in readings {
        let known = disks.iter().filter_map(|disk| Some((disk, read(disk)?)));
        let mut known = known.peekable();
        if known.peek().is_some() {
            text.family(Gauge, name, help);
        }
        for (disk, value) in known {
            let named = [("directory", disk.directory.as_str())];
            let labels: &[(&str, &str)] = match several {
                true => &named,
                false => &[],
            };
            text.sample(labels, value);
        }
    }
}

fn write_quotas(text: &mut Text, shards: &[(&str, &ShardFigures)]) {
    let each = || {
        shards.iter().flat_map(|(shard, figures)| {
            let quotas = QUOTAS.iter().zip(figures.throttles);
            quotas.map(|(quota, told)| ([("quota", *quota), ("shard", *shard)], told))
        })
    };
    text.family(
        Counter,
        "odradek_throttled_total",
        "Answers that told a client to wait for its quota, by what that limits.",
    );
    for (labels, (times, _)) in each() {
        text.sample(&labels, times);
    }
    text.family(
        Counter,
        "odradek_throttle_seconds_total",
        "Time that clients were told to wait for their quota.",
    );
    for (labels, (_, ms)) in each() {
        text.sample(&labels, ms as f64 / 1e3);
    }
}

fn write_apis(text: &mut Text, shards: &[(&str, &ShardFigures)]) {
    let counters: [Plain<super::ApiCounts>; 3] = [
        (
            Counter,
            "odradek_requests_total",
            "Requests taken, by API.",
            |api| api.requests,
        ),
        (
            Counter,
            "odradek_request_bytes_total",
            "Bytes of requests taken, with their lengths.",
            |api| api.request_bytes,
        ),
        (
            Counter,
            "odradek_response_bytes_total",
            "Bytes of responses made, with their lengths.",
            |api| api.response_bytes,
        ),
    ];
    let each = || {
        shards.iter().flat_map(|(shard, figures)| {
            let apis = figures.apis.iter();
            apis.map(|api| (*shard, odradek_wire::api(api.key), api))
        })
    };
    for (kind, name, help, read) in counters {
        text.family(kind, name, help);
        for (shard, api, counts) in each() {
            let api = api.map_or("unknown", |api| api.name);
            text.sample(&[("api", api), ("shard", shard)], read(counts));
        }
    }
    text.family(
        Histogram,
        "odradek_request_seconds",
        "Time from a whole request to its answer being ready, waits for marks, for records and \
         for earlier answers of its connection included.",
    );
    for (shard, api, counts) in each() {
        let api = api.map_or("unknown", |api| api.name);
        let labels = [("api", api), ("shard", shard)];
        for (bound, count) in counts.times.cumulative() {
            let bound = match bound {
                f64::INFINITY => "+Inf".to_owned(),
                bound => bound.to_string(),
            };
            let labels = [labels[0], labels[1], ("le", bound.as_str())];
            text.line("_bucket", &labels, count);
        }
        text.line("_sum", &labels, counts.times.seconds());
        text.line("_count", &labels, counts.times.count());
    }
}

fn write_partitions(text: &mut Text, shards: &[(&str, &LogFigures)]) {
    type Field = fn(&super::PartitionFigures) -> i64;
    let fields: [(&'static str, &str, Field); 4] = [
        (
            "odradek_log_bytes",
            "Bytes of the partition's segments.",
            |at| at.log_bytes as i64,
        ),
        (
            "odradek_log_start_offset",
            "Offset of the first record that is kept.",
            |at| at.log_start,
        ),
        (
            "odradek_log_end_offset",
            "Offset of the next record.",
            |at| at.log_end,
        ),
        (
            "odradek_high_watermark",
            "Offset up to which consumers may read.",
            |at| at.high_watermark,
        ),
    ];
    for (name, help, read) in fields {
        text.family(Gauge, name, help);
        for at in shards.iter().flat_map(|(_, figures)| &figures.partitions) {
            let index = at.index.to_string();
            let labels = [("topic", &*at.topic), ("partition", index.as_str())];
            text.sample(&labels, read(at));
        }
    }
}

fn write_groups(text: &mut Text, shards: &[(&str, &LogFigures)]) {
    // A group's coordinator may be another shard than the partition's.
    let partitions = shards.iter().flat_map(|(_, figures)| &figures.partitions);
    let ends: BTreeMap<(&str, i32), i64> = partitions
        .map(|at| ((&*at.topic, at.index), at.high_watermark))
        .collect();
    let committed = || shards.iter().flat_map(|(_, figures)| &figures.committed);
    let name = "odradek_group_committed_offset";
    text.family(Gauge, name, "Offset that the group has committed.");
    for at in committed() {
        let index = at.partition.to_string();
        let labels = [
            ("group", &*at.group),
            ("topic", &*at.topic),
            ("partition", index.as_str()),
        ];
        text.sample(&labels, at.offset);
    }
    text.family(
        Gauge,
        "odradek_group_lag",
        "Records between the group's committed offset and the high watermark; only of partitions \
         that were used since the start.",
    );
    for at in committed() {
        let Some(end) = ends.get(&(&*at.topic, at.partition)) else {
            continue;
        };
        let index = at.partition.to_string();
        let labels = [
            ("group", &*at.group),
            ("topic", &*at.topic),
            ("partition", index.as_str()),
        ];
        text.sample(&labels, (end - at.offset).max(0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Committed, Meter, PartitionFigures};
    use super::*;

    fn line<'a>(page: &'a str, start: &str) -> Option<&'a str> {
        let mut lines = page.lines();
        lines.find_map(|line| line.strip_prefix(start).map(str::trim))
    }

    #[test]
    fn a_shard_that_is_silent_is_down_and_nothing_is_said_of_it() {
        let meter = Meter::default();
        let taken = meter.taken(&[0, 1, 0, 0], 0);
        meter.answered(taken, 100, 1_000_000);
        let figures = ShardFigures {
            apis: meter.apis(),
            connections: 3,
            ..ShardFigures::default()
        };
        let answered = Shard {
            figures: Some(figures),
            ..Shard::default()
        };
        let shards = [answered, Shard::default()];
        let page = page("1", &shards, &ProcessFigures::default());
        assert_eq!(line(&page, "odradek_shard_up{shard=\"0\"}"), Some("1"));
        assert_eq!(line(&page, "odradek_shard_up{shard=\"1\"}"), Some("0"));
        assert_eq!(line(&page, "odradek_connections{shard=\"0\"}"), Some("3"));
        assert_eq!(line(&page, "odradek_connections{shard=\"1\"}"), None);
        let labels = "api=\"Fetch\",shard=\"0\"";
        let le = |bound: &str| {
            let start = format!("odradek_request_seconds_bucket{{{labels},le=\"{bound}\"}}");
            line(&page, &start)
        };
        assert_eq!(
            (le("0.000524288"), le("0.001048576")),
            (Some("0"), Some("1"))
        );
        assert_eq!(le("+Inf"), Some("1"));
        let bytes = format!("odradek_response_bytes_total{{{labels}}}");
        assert_eq!(line(&page, &bytes), Some("100"));
    }

    #[test]
    fn lag_is_counted_across_shards_and_only_where_the_end_is_known() {
        let partition = PartitionFigures {
            topic: "t".into(),
            index: 1,
            log_bytes: 10,
            log_start: 0,
            log_end: 9,
            high_watermark: 7,
        };
        let commit = |partition, offset| Committed {
            group: "g".into(),
            topic: "t".into(),
            partition,
            offset,
        };
        let logs = |partitions, committed| Shard {
            logs: Some(LogFigures {
                partitions,
                committed,
                ..LogFigures::default()
            }),
            ..Shard::default()
        };
        let committed = vec![commit(0, 4), commit(1, 5)];
        let shards = [
            logs(vec![partition], Vec::new()),
            logs(Vec::new(), committed),
        ];
        let page = page("1", &shards, &ProcessFigures::default());
        let lag = |partition: i32| {
            let labels = format!("{{group=\"g\",topic=\"t\",partition=\"{partition}\"}}");
            let lag = line(&page, &format!("odradek_group_lag{labels}"));
            let offset = line(&page, &format!("odradek_group_committed_offset{labels}"));
            (lag, offset)
        };
        assert_eq!(lag(1), (Some("2"), Some("5")));
        assert_eq!(lag(0), (None, Some("4")));
    }
}
