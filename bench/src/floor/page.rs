//! The floors as tables: a row for each, a column for each runtime.

use super::outcome::{FloorRuns, Floors};
use super::{Kind, Runtime};
use crate::cli::{BUSY, Chosen, LEGEND};
use crate::measurement::{Measurement, markdown as table};

/// The whole page.
pub(crate) fn markdown(floors: &Floors) -> String {
    format!(
        "# Floors, {}\n\n{}{}\n\n{}\n\n{}\n{}{}\n{LEGEND}\n\n{NOTES}\n",
        floors.started,
        warnings(floors)
            .iter()
            .map(|warning| format!("**{warning}**\n\n"))
            .collect::<String>(),
        floors.machine.brief(),
        floors.machine.built(),
        configuration(floors),
        tables(floors),
        show_grids(driver(floors)),
    )
}

/// What is to be known before any figure.
pub(super) fn warnings(floors: &Floors) -> Vec<String> {
    let configuration = &floors.configuration;
    let cores = Chosen {
        server: configuration.server_core,
        driver: configuration.driver_core,
    };
    crate::cli::warnings(&floors.problems(), cores)
}

/// What was asked for, in words.
pub(super) fn configuration(floors: &Floors) -> String {
    let configuration = &floors.configuration;
    format!(
        "Medians of {} rounds of {} s after {} s of warm-up; server on core {}, driver on core {}; \
         memory before each run {}. Echo: {} connections, {} in flight each, requests of {} bytes, replies of {}.",
        configuration.rounds,
        configuration.seconds,
        configuration.warmup_seconds,
        configuration.server_core,
        configuration.driver_core,
        configuration.memory.name(),
        configuration.echo_connections,
        configuration.echo_in_flight,
        configuration.echo_request_bytes,
        configuration.echo_reply_bytes,
    )
}

pub(super) const NOTES: &str = "\
Latencies above are of one operation after the other: a ping-pong's as its driver sees it, a write's
as the process that asks for it does. On glommio durable writes go to files opened with O_DSYNC. A cold
file is one that this machine's page cache has never seen; its disk may have caches of its own.";

/// Title, columns, rows.
pub(super) type Grid = (&'static str, Vec<&'static str>, Vec<Vec<String>>);

/// Only the figures.
pub(crate) fn tables(floors: &Floors) -> String {
    let mut page = show_grids(figures(floors));
    for missing in missing(floors) {
        page.push_str(&format!("\n{missing}\n"));
    }
    page
}

/// All figures, the driver's own, too.
pub(super) fn grids(floors: &Floors) -> impl Iterator<Item = Grid> {
    figures(floors).chain(driver(floors))
}

fn show_grids(grids: impl Iterator<Item = Grid>) -> String {
    let show = |(title, columns, rows): Grid| format!("\n## {title}\n\n{}", table(&columns, &rows));
    grids.map(show).collect()
}

fn figures(floors: &Floors) -> impl Iterator<Item = Grid> {
    let small = |kind: Kind| !kind.is_stream();
    grids_of(
        floors,
        vec![
            ("GB/s", Kind::is_stream, rate),
            ("CPU s/GB, process / machine", Kind::is_stream, per_gb),
            ("Latency, p50 / p99 µs", Kind::one_at_a_time, latency),
            ("Operations/s", small, operations),
            (
                "CPU µs per operation, process / machine",
                small,
                per_operation,
            ),
        ],
    )
}

/// What the driver itself took: what is light beside a floor is light beside a node.
fn driver(floors: &Floors) -> impl Iterator<Item = Grid> {
    let all = |_: Kind| true;
    grids_of(
        floors,
        vec![("Driver's CPU, s/GB / µs per operation", all, driver_cpu)],
    )
}

type Question = (&'static str, fn(Kind) -> bool, fn(&FloorRuns) -> String);

fn grids_of(floors: &Floors, questions: Vec<Question>) -> impl Iterator<Item = Grid> {
    let grids = questions.into_iter().map(|(title, kinds, cell)| {
        let (columns, rows) = matrix(floors, kinds, cell);
        (title, columns, rows)
    });
    grids.filter(|(_, _, rows)| !rows.is_empty())
}

/// What is not there, and what cannot be believed.
pub(super) fn missing(floors: &Floors) -> Vec<String> {
    let mut missing = Vec::new();
    for floor in &floors.floors {
        let of = format!("{}, {}", floor.kind.name(), floor.runtime.name());
        if let Some(lacks) = &floor.lacks {
            missing.push(format!("{of}: not there, {lacks}."));
        }
    }
    if floors.floors.iter().any(|floor| !floor.machine_was_quiet()) {
        missing.push(format!("`?`: {BUSY}."));
    }
    missing
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

fn driver_cpu(floor: &FloorRuns) -> String {
    let per_gb = floor.median(|run| Some(run.driver_s_per_gb()));
    let per_operation = floor.median(|run| (run.requests > 0).then(|| run.driver_us_per_request()));
    format!("{} / {}", show(per_gb, 3), show(per_operation, 2))
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
                histogram: None,
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
