//! One measured run, and its line in a table.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::report::Latencies;

/// CPU seconds spent in a window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Length of the window.
    pub seconds: f64,
    /// Of the server's process, all threads; none where its pid is unknown.
    pub process_cpu_s: Option<f64>,
    /// Of the whole machine, less `idle_baseline_s` and `driver_cpu_s`.
    pub machine_cpu_s: f64,
    pub machine_busy_s: f64,
    pub idle_baseline_s: f64,
    pub driver_cpu_s: f64,
    /// Taken by the host: not in the figures above, but the wall clock ran on.
    pub steal_s: f64,
}

impl Cost {
    /// Whether the machine's figure can be believed: little else ran before, and it is not less
    /// than its part, the process (ticks may be off by a little).
    pub(crate) fn machine_was_quiet(&self) -> bool {
        const CORES_MAX: f64 = 0.1;
        let process = self.process_cpu_s.unwrap_or(0.0);
        self.idle_baseline_s <= CORES_MAX * self.seconds && self.machine_cpu_s >= 0.9 * process
    }
}

/// Latencies of a closed loop, milliseconds: of a saturated server, not of a loaded one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// All of them; none where only these were kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub histogram: Option<Latencies>,
}

impl Latency {
    /// From a histogram of nanoseconds; none where it is empty.
    pub(crate) fn of(nanoseconds: &Histogram<u64>) -> Option<Self> {
        let ms = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1e6;
        (!nanoseconds.is_empty()).then(|| Self {
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: nanoseconds.max() as f64 / 1e6,
            histogram: Some(Latencies::from(nanoseconds)),
        })
    }
}

/// Resident memory of the server, bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    pub end_bytes: u64,
    pub peak_bytes: u64,
    /// False: the peak counts from the process's start, not from the window's.
    pub peak_of_window: bool,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    pub name: String,
    /// Moved within the window: record batches, or a floor's payload.
    pub bytes: u64,
    /// Answered within the window; 0 where there are none (a stream).
    pub requests: u64,
    pub cost: Cost,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory: Option<Memory>,
}

impl Measurement {
    /// As [`Cost::machine_was_quiet`].
    pub(crate) fn machine_was_quiet(&self) -> bool {
        self.cost.machine_was_quiet()
    }

    /// The same with its histogram to so many significant digits; to none of them: without it.
    pub(crate) fn coarse(&self, digits: u8) -> Self {
        let mut coarse = self.clone();
        if let Some(latency) = &mut coarse.latency {
            let all = latency.histogram.take().filter(|_| digits > 0);
            latency.histogram = all.map(|all| all.coarse(digits));
        }
        coarse
    }

    /// Every latency, where they were kept.
    pub(crate) fn histogram(&self) -> Option<&Latencies> {
        self.latency.as_ref()?.histogram.as_ref()
    }

    fn gb(&self) -> f64 {
        self.bytes as f64 / 1e9
    }

    pub(crate) fn gb_per_s(&self) -> f64 {
        self.gb() / self.cost.seconds
    }

    pub(crate) fn requests_per_s(&self) -> f64 {
        self.requests as f64 / self.cost.seconds
    }

    /// CPU seconds per GB of the whole machine less idle and driver.
    pub(crate) fn machine_s_per_gb(&self) -> f64 {
        self.cost.machine_cpu_s / self.gb()
    }

    pub(crate) fn process_s_per_gb(&self) -> Option<f64> {
        self.cost.process_cpu_s.map(|cpu| cpu / self.gb())
    }

    /// CPU microseconds per request of the whole machine less idle and driver.
    pub(crate) fn machine_us_per_request(&self) -> f64 {
        self.cost.machine_cpu_s * 1e6 / self.requests as f64
    }

    pub(crate) fn process_us_per_request(&self) -> Option<f64> {
        let cpu = self.cost.process_cpu_s?;
        Some(cpu * 1e6 / self.requests as f64)
    }

    /// CPU seconds per GB of the driver itself.
    pub(crate) fn driver_s_per_gb(&self) -> f64 {
        self.cost.driver_cpu_s / self.gb()
    }

    /// CPU microseconds per request of the driver itself.
    pub(crate) fn driver_us_per_request(&self) -> f64 {
        self.cost.driver_cpu_s * 1e6 / self.requests as f64
    }
}

const COLUMNS: [&str; 12] = [
    "run",
    "GB/s",
    "requests/s",
    "process s/GB",
    "machine s/GB",
    "process µs/req",
    "machine µs/req",
    "driver busy",
    "driver s/GB",
    "driver µs/req",
    "p50 / p99 / p99.9 ms",
    "RSS end / peak MiB",
];

/// A markdown table, aligned for a terminal.
pub(crate) fn table(measurements: &[Measurement]) -> String {
    markdown(&COLUMNS, &rows(measurements))
}

/// Of a table's rows.
pub(crate) fn columns() -> Vec<String> {
    COLUMNS.map(str::to_owned).into()
}

pub(crate) fn rows(measurements: &[Measurement]) -> Vec<Vec<String>> {
    measurements.iter().map(row).collect()
}

fn row(run: &Measurement) -> Vec<String> {
    let with_requests = run.requests > 0;
    let optional = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
    };
    vec![
        run.name.clone(),
        format!("{:.3}", run.gb_per_s()),
        optional(with_requests.then(|| run.requests_per_s()), 0),
        optional(run.process_s_per_gb(), 3),
        optional(Some(run.machine_s_per_gb()), 3),
        optional(run.process_us_per_request().filter(|_| with_requests), 2),
        optional(with_requests.then(|| run.machine_us_per_request()), 2),
        format!("{:.0} %", 100.0 * run.cost.driver_cpu_s / run.cost.seconds),
        optional(Some(run.driver_s_per_gb()), 3),
        optional(with_requests.then(|| run.driver_us_per_request()), 2),
        run.latency.as_ref().map_or("-".to_owned(), |latency| {
            let Latency {
                p50_ms,
                p99_ms,
                p999_ms,
                ..
            } = latency;
            format!("{p50_ms:.2} / {p99_ms:.2} / {p999_ms:.2}")
        }),
        run.memory.as_ref().map_or("-".to_owned(), |memory| {
            let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
            let (end, peak) = (mib(memory.end_bytes), mib(memory.peak_bytes));
            format!("{end:.0} / {peak:.0}")
        }),
    ]
}

/// A markdown table whose columns line up.
pub(crate) fn markdown(columns: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells
            .chain([columns[at].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("| {} |\n", padded.join(" | "))
    };
    let mut text = line(columns.to_vec());
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    text.push_str(&format!("| {} |\n", rule.join(" | ")));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}
