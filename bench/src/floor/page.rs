//! The floors as tables: a row for each, a column for each runtime.

use super::outcome::{FloorRuns, Floors};
use super::{Kind, Runtime};
use crate::cli::{BUSY, LEGEND};
use crate::measurement::{Measurement, markdown as table};

/// The whole page.
pub(crate) fn markdown(floors: &Floors) -> String {
    let configuration = &floors.configuration;
    let mut page = format!(
        "# Floors, {}\n\n{}\n\n{}\n\n",
        floors.started,
        floors.machine.brief(),
        floors.machine.built()
    );
    page.push_str(&format!(
        "Medians of {} rounds of {} s after {} s of warm-up; server on core {}, driver on core {}. \
         Echo: {} connections, {} in flight each, requests of {} bytes, replies of {}.\n",
        configuration.rounds,
        configuration.seconds,
        configuration.warmup_seconds,
        configuration.server_core,
        configuration.driver_core,
        configuration.echo_connections,
        configuration.echo_in_flight,
        configuration.echo_request_bytes,
        configuration.echo_reply_bytes,
    ));
    page.push_str(&tables(floors));
    page.push_str(&format!("\n{LEGEND}\n\n"));
    page.push_str(
        "Latencies above are of one operation after the other: a ping-pong's as its driver sees \
         it, a write's\nas the process that asks for it does. On glommio durable writes go to \
         files opened with O_DSYNC. A cold\nfile is one that this machine's page cache has never \
         seen; its disk may have caches of its own.\n",
    );
    page
}

/// Only the figures.
pub(crate) fn tables(floors: &Floors) -> String {
    let mut page = String::new();
    let mut section = |title: &str, kinds: fn(Kind) -> bool, cell: fn(&FloorRuns) -> String| {
        let (columns, rows) = matrix(floors, kinds, cell);
        if !rows.is_empty() {
            page.push_str(&format!("\n## {title}\n\n{}", table(&columns, &rows)));
        }
    };
    section("GB/s", Kind::is_stream, rate);
    section("CPU s/GB, process / machine", Kind::is_stream, per_gb);
    let small = |kind: Kind| !kind.is_stream();
    section("Latency, p50 / p99 µs", Kind::one_at_a_time, latency);
    section("Operations/s", small, operations);
    section(
        "CPU µs per operation, process / machine",
        small,
        per_operation,
    );
    for floor in &floors.floors {
        let of = format!("{}, {}", floor.kind.name(), floor.runtime.name());
        if let Some(lacks) = &floor.lacks {
            page.push_str(&format!("\n{of}: not there, {lacks}.\n"));
        }
        if let Some(failure) = &floor.failure {
            page.push_str(&format!("\n{of}: failed: {failure}\n"));
        }
    }
    if floors.floors.iter().any(|floor| !floor.machine_was_quiet()) {
        page.push_str(&format!("\n`?`: {BUSY}.\n"));
    }
    page
}

/// A row for each kind that was asked for, a column for each runtime.
fn matrix(
    floors: &Floors,
    kinds: fn(Kind) -> bool,
    cell: fn(&FloorRuns) -> String,
) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let mut runtimes: Vec<Runtime> = floors.floors.iter().map(|floor| floor.runtime).collect();
    runtimes.sort_unstable();
    runtimes.dedup();
    let mut rows: Vec<Kind> = floors.floors.iter().map(|floor| floor.kind).collect();
    rows.sort_unstable();
    rows.dedup();
    let row = |kind: Kind| {
        let cells = runtimes.iter().map(|runtime| {
            let found = floors.find(kind, *runtime);
            found.map_or_else(String::new, |floor| match floor.runs.is_empty() {
                true if floor.lacks.is_some() => "not there".to_owned(),
                true => "failed".to_owned(),
                false => cell(floor),
            })
        });
        let name = kind.name().trim_start_matches("floor: ").to_owned();
        std::iter::once(name).chain(cells).collect()
    };
    let columns = std::iter::once("floor").chain(runtimes.iter().map(|runtime| runtime.name()));
    let rows = rows.into_iter().filter(|kind| kinds(*kind)).map(row);
    (columns.collect(), rows.collect())
}

fn show(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// The machine's figure counts only where nothing else ran.
fn pair(floor: &FloorRuns, process: Option<f64>, machine: Option<f64>, digits: usize) -> String {
    let machine = machine.filter(|_| floor.machine_was_quiet());
    let machine = machine.map_or("?".to_owned(), |value| format!("{value:.digits$}"));
    format!("{} / {machine}", show(process, digits))
}

fn rate(floor: &FloorRuns) -> String {
    show(floor.median(|run| Some(run.gb_per_s())), 2)
}

fn per_gb(floor: &FloorRuns) -> String {
    let process = floor.median(Measurement::process_s_per_gb);
    let machine = floor.median(|run| Some(run.machine_s_per_gb()));
    pair(floor, process, machine, 3)
}

fn latency(floor: &FloorRuns) -> String {
    let p50 = floor.median(|run| Some(run.latency.as_ref()?.p50_ms * 1e3));
    let p99 = floor.median(|run| Some(run.latency.as_ref()?.p99_ms * 1e3));
    format!("{} / {}", show(p50, 1), show(p99, 1))
}

fn operations(floor: &FloorRuns) -> String {
    show(floor.median(|run| Some(run.requests_per_s())), 0)
}

fn per_operation(floor: &FloorRuns) -> String {
    let process = floor.median(Measurement::process_us_per_request);
    let machine = floor.median(|run| Some(run.machine_us_per_request()));
    pair(floor, process, machine, 2)
}

/// What there is: a row for each floor, what it does and where it can be had.
pub(crate) fn list() -> String {
    use clap::ValueEnum;
    let row = |kind: &Kind| {
        let on = |runtime: &Runtime| match runtime.lacks(*kind) {
            None => "yes".to_owned(),
            Some(lacks) => format!("no: {lacks}"),
        };
        [kind.value_name(), kind.what()]
            .into_iter()
            .chain(Runtime::value_variants().iter().map(on))
            .collect()
    };
    let rows: Vec<Vec<String>> = Kind::value_variants().iter().map(row).collect();
    table(&["floor", "what", "ring", "epoll", "glommio"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::{Cost, Latency};

    fn run(bytes: u64, requests: u64, idle_baseline_s: f64) -> Measurement {
        Measurement {
            name: String::new(),
            bytes,
            requests,
            cost: Cost {
                seconds: 1.0,
                process_cpu_s: Some(0.25),
                machine_cpu_s: 0.5,
                machine_busy_s: 1.0,
                idle_baseline_s,
                driver_cpu_s: 0.1,
                steal_s: 0.0,
            },
            latency: (requests > 0).then_some(Latency {
                p50_ms: 0.08,
                p99_ms: 0.11,
                p999_ms: 0.2,
                max_ms: 1.0,
            }),
            memory: None,
        }
    }

    #[test]
    fn a_cell_is_a_median_and_says_what_is_missing() {
        let mut store = FloorRuns::new(Kind::Store, Runtime::Ring);
        store.runs = [1, 3, 2].map(|gb| run(gb * 1_000_000_000, 0, 0.0)).into();
        let mut ping = FloorRuns::new(Kind::PingPong, Runtime::Epoll);
        ping.runs = vec![run(0, 1000, 0.5)];
        let zc = FloorRuns::new(Kind::SendZc, Runtime::Epoll);
        let floors = Floors {
            floors: vec![store, ping, zc],
            ..Floors::default()
        };
        let text = tables(&floors);
        for expected in [
            "| recv + crc + direct write  | 2.00 |",
            "| 0.125 / 0.250 |",
            "80.0 / 110.0",
            "250.00 / ?",
            "| not there |",
            "zero-copy send from memory, epoll: not there, SEND_ZC is an operation of io_uring.",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
