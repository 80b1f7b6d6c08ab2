//! The floors as one self-contained page: the markdown's tables, and bars and distributions.

use super::outcome::{FloorRuns, Floors};
use super::page::{self, NOTES};
use super::{Kind, Runtime};
use crate::cli::LEGEND;
use crate::measurement::Measurement;
use crate::report::Latencies;
use crate::report::grid::{Bars, Grid, paragraphs, picture, table};
use crate::report::html::{document, latency_chart, section};
use crate::report::plot::{Bar, Part, bars, escape};

pub(crate) fn html(floors: &Floors) -> String {
    let title = format!("Floors, {}", floors.started);
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    for warning in page::warnings(floors) {
        let warning = escape(&warning);
        body.push_str(&format!("<div class=\"bad\"><b>{warning}</b></div>\n"));
    }
    let about = [floors.machine.line(), page::configuration(floors)];
    body.push_str(&paragraphs(&about));
    body.push_str(&section("CPU", &cpu(floors)));
    body.push_str(&section("Rate", &rates(floors)));
    body.push_str(&section("Latency by percentile", &latencies(floors)));
    for (title, columns, rows) in page::grids(floors) {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        body.push_str(&section(title, &table(&Grid { columns, rows })));
    }
    let mut notes = page::missing(floors);
    notes.extend([LEGEND, NOTES].map(str::to_owned));
    body.push_str(&section("What the figures mean", &paragraphs(&notes)));
    document(&escape(&title), &body)
}

fn name(floor: &FloorRuns) -> String {
    let kind = floor.kind.name().trim_start_matches("floor: ");
    match floor.runtime {
        Runtime::Ring => kind.to_owned(),
        other => format!("{kind}, {}", other.name()),
    }
}

/// Those that ran, without the machine's figure only where something else did.
fn cpu(floors: &Floors) -> String {
    let mut text = String::new();
    for (streams, unit, title) in [
        (true, "CPU seconds per GB", "CPU per GB"),
        (false, "CPU microseconds per operation", "CPU per operation"),
    ] {
        let of = |floor: &FloorRuns| {
            let (process, machine) = match streams {
                true => (
                    floor.median(Measurement::process_s_per_gb)?,
                    floor.median(|run| Some(run.machine_s_per_gb()))?,
                ),
                false => (
                    floor.median(Measurement::process_us_per_request)?,
                    floor.median(|run| Some(run.machine_us_per_request()))?,
                ),
            };
            Some((name(floor), process, machine))
        };
        let known = floors
            .floors
            .iter()
            .filter(|floor| floor.kind.is_stream() == streams && floor.machine_was_quiet());
        let all: Vec<_> = known.filter_map(of).collect();
        if !all.is_empty() {
            text.push_str(&picture(&Bars {
                title: format!("{title}: medians"),
                unit,
                bars: all,
            }));
        }
    }
    match text.is_empty() {
        true => "<p>Not known: the machine was busy with something else.</p>".to_owned(),
        false => text,
    }
}

fn rates(floors: &Floors) -> String {
    let streams = floors.floors.iter().filter(|floor| floor.kind.is_stream());
    let bar = |floor: &FloorRuns| {
        let value = floor.median(|run| Some(run.gb_per_s()))?;
        Some(Bar {
            name: name(floor),
            parts: vec![Part {
                name: "floor",
                class: "floor",
                value,
            }],
            floor: None,
        })
    };
    let all: Vec<Bar<'_>> = streams.filter_map(bar).collect();
    match all.is_empty() {
        true => "<p>No stream was measured.</p>".to_owned(),
        false => bars("Rate", "GB/s", &all),
    }
}

/// Of what is done one at a time, a plot for each, a line for each runtime.
fn latencies(floors: &Floors) -> String {
    const CLASSES: [&str; 3] = ["floor", "two", "three"];
    use clap::ValueEnum;
    let mut text = String::new();
    for kind in Kind::value_variants() {
        let of = |runtime: &Runtime| {
            let runs = &floors.find(*kind, *runtime)?.runs;
            let all = Latencies::sum(runs.iter().filter_map(Measurement::histogram));
            Some((runtime.name().to_owned(), all))
        };
        let runtimes = Runtime::value_variants().iter().zip(CLASSES);
        let all: Vec<_> = runtimes
            .filter(|_| kind.one_at_a_time())
            .filter_map(|(runtime, class)| Some((of(runtime)?, class)))
            .collect();
        let lines: Vec<_> = all
            .iter()
            .map(|((name, all), class)| (name.clone(), *class, all))
            .collect();
        let title = kind.name().trim_start_matches("floor: ");
        let x_name = format!("{title}: percentile of operations");
        text.push_str(&latency_chart(title, &x_name, &lines, Vec::new()));
    }
    match text.is_empty() {
        true => "<p>No latencies were kept.</p>".to_owned(),
        false => text,
    }
}
