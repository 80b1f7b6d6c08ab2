//! A result in a terminal.

use super::histogram::Latencies;
use super::{Interval, RunResult};

/// One line of live progress.
pub fn progress(interval: &Interval) -> String {
    let per_s = |count: u64| count as f64 / interval.seconds.max(1e-9);
    let pair = |of: &Option<super::Percentiles>| match of {
        Some(of) => format!("{:.2} / {:.2}", of.p50_ms, of.p99_ms),
        None => "-".to_owned(),
    };
    format!(
        "{:7.1} s{} made {:>9.0}/s  acked {:>9.0}/s ({:.1} MB/s)  consumed {:>9.0}/s  ack p50/p99 \
         {} ms  end to end {} ms  lag {}  unanswered {}",
        interval.at_s,
        if interval.warmup { " warm-up" } else { "" },
        per_s(interval.made),
        per_s(interval.acked),
        interval.acked_bytes as f64 / 1e6 / interval.seconds.max(1e-9),
        per_s(interval.consumed),
        pair(&interval.produce_ack),
        pair(&interval.end_to_end),
        interval.lag,
        interval.unanswered,
    )
}

/// The whole result, in a dozen lines.
pub fn summary(result: &RunResult) -> String {
    let mut lines = Vec::new();
    if !result.complete {
        lines.push("PARTIAL RESULT: its figures are not those of a whole run".to_owned());
        lines.extend(result.problems.iter().map(|problem| format!("  {problem}")));
    }
    let kind = match result.load.arrivals.rate() {
        Some(rate) => format!("open loop, {rate:.0}/s intended"),
        None => "CLOSED LOOP, saturation (latencies are of a saturated server)".to_owned(),
    };
    lines.push(format!("{}: {kind}", result.label));
    let window = &result.window;
    if window.seconds > 0.0 {
        lines.push(format!(
            "window {:.1} s: acked {:.0}/s, {:.3} GB/s, {:.0} produce requests/s; consumed {:.0}/s",
            window.seconds,
            result.acked_per_s(),
            result.gb_per_s(),
            window.produce_requests as f64 / window.seconds,
            window.consumed as f64 / window.seconds,
        ));
    }
    lines.push(format!(
        "produce → ack   {}",
        latencies(&result.produce_ack)
    ));
    lines.push(format!("→ consumed      {}", latencies(&result.end_to_end)));
    if result.open_loop {
        let lateness = latencies(&result.driver_lateness);
        lines.push(format!(
            "driver's own    {lateness} (contained in the above)"
        ));
    }
    lines.push(format!("validity        {}", result.validity.verdict()));
    lines.extend(
        result
            .validity
            .examples
            .iter()
            .map(|one| format!("  {one}")),
    );
    lines.extend(cpu(result));
    if let Some(found) = &result.search {
        lines.push(match found.rate {
            Some(rate) => format!("search          {}: {rate:.0}/s", found.bound),
            None => format!("search          {}: no rate", found.bound),
        });
    }
    lines.extend(result.caveats.iter().map(|one| format!("doubtful: {one}")));
    lines.join("\n") + "\n"
}

fn latencies(of: &Latencies) -> String {
    let ms = |quantile| of.ms(quantile).unwrap_or(0.0);
    if of.is_empty() {
        return "-".to_owned();
    }
    format!(
        "p50 {:.3}  p90 {:.3}  p99 {:.3}  p99.9 {:.3}  p99.99 {:.3}  max {:.3} ms",
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(0.999),
        ms(0.9999),
        of.max_ns as f64 / 1e6
    )
}

fn cpu(result: &RunResult) -> Vec<String> {
    let Some(cpu) = &result.cpu else {
        return vec!["CPU             not known".to_owned()];
    };
    let (gb, requests) = (result.moved_gb(), result.requests());
    let per = |name: &str, seconds: Option<f64>| {
        let Some(seconds) = seconds else {
            return format!("{name} not known");
        };
        let cores = seconds / cpu.cost.seconds;
        let mut text = format!("{name} {cores:.2} cores");
        if gb > 0.0 {
            text.push_str(&format!(", {:.3} s/GB in and out", seconds / gb));
        }
        if requests > 0 {
            text.push_str(&format!(
                ", {:.2} µs/request",
                seconds * 1e6 / requests as f64
            ));
        }
        text
    };
    let mut lines = vec![
        per("CPU: process   ", cpu.cost.process_cpu_s),
        per("     machine   ", cpu.machine_s()),
        per("     driver    ", Some(cpu.cost.driver_cpu_s)),
    ];
    if let Some(memory) = &cpu.memory {
        let mib = |bytes: u64| bytes as f64 / 1048576.0;
        lines.push(format!(
            "memory          {:.0} MiB at the end, {:.0} MiB at most",
            mib(memory.end_bytes),
            mib(memory.peak_bytes)
        ));
    }
    lines
}
