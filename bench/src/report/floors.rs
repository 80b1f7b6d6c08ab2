//! The floors of a run, as lines and bars of its plots.

use super::RunResult;
use super::plot::Series;
use crate::floor::Kind;
use crate::load::{Acks, Load, Reading};
use crate::measurement::{Latency, Measurement};

const CLASS: &str = "floor";

/// The cheapest programs that do what a load asks for: a ping-pong and, where acks wait for it, a
/// durable write (the least latency); and what receives, stores and sends its bytes.
pub(crate) fn kinds_for(load: &Load) -> Vec<Kind> {
    let mut kinds = vec![Kind::PingPong];
    kinds.extend_from_slice(match load.acks {
        Acks::All => &[Kind::DurableOver, Kind::StoreDurable],
        _ => &[Kind::Store],
    });
    if load.reading == Reading::Live {
        kinds.push(Kind::Send);
    }
    kinds
}

/// Those that are latencies, and their sum: a message is asked for, made durable, and answered.
/// (Percentiles add up to more than the sum's own; medians hardly.)
fn latencies(floors: &[Measurement]) -> Vec<(&'static str, Latency)> {
    let of = |kind: Kind| {
        let mut floors = floors.iter();
        let floor = floors.find(|floor| floor.name == kind.name())?;
        floor.latency.clone()
    };
    let ping = of(Kind::PingPong);
    let sum = ping
        .clone()
        .zip(of(Kind::DurableOver))
        .map(|(ping, disk)| Latency {
            p50_ms: ping.p50_ms + disk.p50_ms,
            p99_ms: ping.p99_ms + disk.p99_ms,
            p999_ms: ping.p999_ms + disk.p999_ms,
            max_ms: ping.max_ms + disk.max_ms,
            histogram: None,
        });
    let ping = ping.map(|ping| ("floor: ping-pong", ping));
    let sum = sum.map(|sum| ("floor: + durable write", sum));
    ping.into_iter().chain(sum).collect()
}

/// Lines over percentiles, as far as they are known.
pub(crate) fn over_percentiles(floors: &[Measurement]) -> Vec<Series> {
    let line = |(name, of): (&str, Latency)| Series {
        name: name.to_owned(),
        class: CLASS,
        points: vec![
            (0.0, of.p50_ms),
            (0.5, of.p50_ms),
            (0.99, of.p99_ms),
            (0.999, of.p999_ms),
        ],
    };
    latencies(floors).into_iter().map(line).collect()
}

/// p50 of the last of them, until `last` seconds: what no message can come below for long.
pub(super) fn latency_over_time(floors: &[Measurement], last: f64) -> Option<Series> {
    let (name, of) = latencies(floors).pop()?;
    Some(level(format!("{name}, p50"), of.p50_ms, last))
}

/// What each stream moves, in messages of this load, until `last` seconds; those above
/// `highest` only as text.
pub(super) fn rates(
    result: &RunResult,
    floors: &[Measurement],
    last: f64,
    highest: f64,
) -> (Vec<Series>, Vec<String>) {
    let message = result.window.acked_bytes as f64 / result.window.acked as f64;
    let (mut lines, mut above) = (Vec::new(), Vec::new());
    for floor in streams(floors) {
        let rate = floor.bytes as f64 / floor.cost.seconds / message;
        if !rate.is_finite() {
            continue;
        }
        if rate <= highest {
            lines.push(level(floor.name.clone(), rate, last));
        } else {
            let rate = super::plot::short(rate);
            above.push(format!("{}, {rate} messages/s", floor.name));
        }
    }
    (lines, above)
}

/// CPU seconds that the floors would have spent on the bytes of this run's window, in and out:
/// the process's, the machine's. None where a direction has no floor that can be believed.
pub(crate) fn same_bytes(result: &RunResult, floors: &[Measurement]) -> Option<(f64, f64)> {
    let directions = [
        (result.window.acked_bytes, false),
        (result.window.consumed_bytes, true),
    ];
    let (mut process, mut machine) = (0.0, 0.0);
    for (bytes, out) in directions.into_iter().filter(|(bytes, _)| *bytes > 0) {
        let mut floors = streams(floors);
        let floor = floors.find(|floor| is_out(floor) == out && floor.machine_was_quiet())?;
        let share = bytes as f64 / floor.bytes as f64;
        process += share * floor.cost.process_cpu_s?;
        machine += share * floor.cost.machine_cpu_s;
    }
    (machine > 0.0).then_some((process, machine))
}

fn streams(floors: &[Measurement]) -> impl Iterator<Item = &Measurement> {
    floors.iter().filter(|floor| floor.requests == 0)
}

fn is_out(floor: &Measurement) -> bool {
    [Kind::Send, Kind::Sendfile]
        .iter()
        .any(|kind| kind.name() == floor.name)
}

fn level(name: String, at: f64, last: f64) -> Series {
    Series {
        name,
        class: CLASS,
        points: vec![(0.0, at), (last, at)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Cost;

    fn floor(kind: Kind, bytes: u64, cpu: f64, p50_ms: Option<f64>) -> Measurement {
        Measurement {
            name: kind.name().to_owned(),
            bytes,
            requests: p50_ms.map_or(0, |_| 10),
            cost: Cost {
                seconds: 1.0,
                process_cpu_s: Some(cpu / 2.0),
                machine_cpu_s: cpu,
                machine_busy_s: cpu,
                idle_baseline_s: 0.0,
                driver_cpu_s: 0.0,
                steal_s: 0.0,
            },
            latency: p50_ms.map(|p50_ms| Latency {
                p50_ms,
                p99_ms: 2.0 * p50_ms,
                p999_ms: 3.0 * p50_ms,
                max_ms: 4.0 * p50_ms,
                histogram: None,
            }),
            memory: None,
        }
    }

    fn result() -> RunResult {
        let mut result = RunResult::blank();
        result.floors = vec![
            floor(Kind::PingPong, 640, 0.1, Some(0.02)),
            floor(Kind::DurableOver, 40_960, 0.1, Some(0.08)),
            floor(Kind::StoreDurable, 2_000, 0.8, None),
            floor(Kind::Send, 4_000, 0.4, None),
        ];
        result.window.acked = 10;
        result.window.acked_bytes = 1_000;
        result.window.consumed_bytes = 2_000;
        result
    }

    #[test]
    fn latencies_add_up() {
        let lines = over_percentiles(&result().floors);
        let at_p99: Vec<f64> = lines.iter().map(|line| line.points[2].1).collect();
        assert_eq!(at_p99, [0.04, 0.2]);
        let level = latency_over_time(&result().floors, 9.0).expect("a floor");
        assert_eq!(level.points, [(0.0, 0.1), (9.0, 0.1)]);
    }

    #[test]
    fn streams_are_rates_of_this_loads_messages() {
        let (lines, above) = rates(&result(), &result().floors, 9.0, 30.0);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].points, [(0.0, 20.0), (9.0, 20.0)]);
        assert_eq!(above, ["floor: send from memory, 40 messages/s"]);
    }

    #[test]
    fn the_same_bytes_go_in_and_out() {
        // Half the stored bytes and half the sent ones: 0.4 + 0.2 of the machine.
        let (process, machine) = same_bytes(&result(), &result().floors).expect("both directions");
        assert!((process - 0.3).abs() < 1e-9 && (machine - 0.6).abs() < 1e-9);
        let mut without = result();
        without.floors.pop();
        assert_eq!(same_bytes(&without, &without.floors), None);
    }
}
