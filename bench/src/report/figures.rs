//! The figures of a run that are compared.

use super::{Latencies, RunResult};

/// A figure: its name, its unit, and whether more of it is better.
#[derive(Clone, Copy)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) more_is_better: bool,
    of: fn(&RunResult) -> Option<f64>,
}

impl Figure {
    /// Of a run; none where it has no such figure.
    pub(super) fn of(&self, run: &RunResult) -> Option<f64> {
        (self.of)(run).filter(|value| value.is_finite())
    }
}

/// All of them.
pub(super) const FIGURES: &[Figure] = &[
    rate("acked", "messages/s", |run| Some(run.acked_per_s())),
    rate("acked bytes", "GB/s", |run| Some(run.gb_per_s())),
    cost("ack p50", "ms", |run| ms(&run.produce_ack, 0.5)),
    cost("ack p99", "ms", |run| ms(&run.produce_ack, 0.99)),
    cost("ack p99.9", "ms", |run| ms(&run.produce_ack, 0.999)),
    cost("end to end p50", "ms", |run| ms(&run.end_to_end, 0.5)),
    cost("end to end p99", "ms", |run| ms(&run.end_to_end, 0.99)),
    cost("end to end p99.9", "ms", |run| ms(&run.end_to_end, 0.999)),
    cost("machine CPU", "s/GB", |run| per_gb(run, machine)),
    cost("process CPU", "s/GB", |run| per_gb(run, process)),
    cost("machine CPU", "µs/request", |run| {
        per_request(run, machine)
    }),
    cost("process CPU", "µs/request", |run| {
        per_request(run, process)
    }),
    cost("driver CPU", "s/GB", |run| per_gb(run, driver)),
    cost("driver CPU", "µs/request", |run| per_request(run, driver)),
    cost("memory, peak", "MiB", |run| {
        let memory = run.cpu.as_ref()?.memory.as_ref()?;
        Some(memory.peak_bytes as f64 / 1048576.0)
    }),
];

const fn rate(name: &'static str, unit: &'static str, of: fn(&RunResult) -> Option<f64>) -> Figure {
    Figure {
        name,
        unit,
        more_is_better: true,
        of,
    }
}

const fn cost(name: &'static str, unit: &'static str, of: fn(&RunResult) -> Option<f64>) -> Figure {
    Figure {
        name,
        unit,
        more_is_better: false,
        of,
    }
}

fn ms(of: &Latencies, quantile: f64) -> Option<f64> {
    of.ms(quantile)
}

fn machine(run: &RunResult) -> Option<f64> {
    run.cpu.as_ref()?.machine_s()
}

fn process(run: &RunResult) -> Option<f64> {
    run.cpu.as_ref()?.cost.process_cpu_s
}

fn driver(run: &RunResult) -> Option<f64> {
    Some(run.cpu.as_ref()?.cost.driver_cpu_s)
}

fn per_gb(run: &RunResult, cpu: fn(&RunResult) -> Option<f64>) -> Option<f64> {
    Some(cpu(run)? / run.moved_gb())
}

fn per_request(run: &RunResult, cpu: fn(&RunResult) -> Option<f64>) -> Option<f64> {
    Some(cpu(run)? * 1e6 / run.requests() as f64)
}
