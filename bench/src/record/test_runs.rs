//! Runs for tests.

use crate::measurement::{Cost, Latency, Measurement};
use crate::report::Latencies;

/// A run of one second and one GB.
pub(super) fn run(machine_cpu_s: f64, idle_baseline_s: f64) -> Measurement {
    Measurement {
        name: String::new(),
        bytes: 1_000_000_000,
        requests: 0,
        cost: Cost {
            seconds: 1.0,
            process_cpu_s: Some(machine_cpu_s),
            machine_cpu_s,
            machine_busy_s: 1.0,
            idle_baseline_s,
            driver_cpu_s: 0.1,
            steal_s: 0.0,
        },
        latency: None,
        memory: None,
    }
}

/// Ten requests, all but one of this latency.
pub(super) fn took(p50_ms: f64) -> Vec<Measurement> {
    let latency = Some(Latency {
        p50_ms,
        p99_ms: 1.0,
        p999_ms: 1.0,
        max_ms: 1.0,
        histogram: Some(Latencies {
            count: 10,
            mean_ns: 1e6 * p50_ms,
            max_ns: 1_000_000,
            values: vec![((1e6 * p50_ms) as u64, 9), (1_000_000, 1)],
        }),
    });
    let mut run = run(0.1, 0.0);
    (run.latency, run.requests) = (latency, 10);
    vec![run]
}
