//! The report as one self-contained page: no scripts, nothing fetched.

use super::figures::Line;
use super::judged::{Holds, READ, shown};
use super::markdown::{advantage, value};
use super::{Report, headline};
use crate::contest::Pinning;
use crate::report::Latencies;
use crate::report::html::{document, latency_chart, list, section};
use crate::report::plot::{Bar, Part, bars, escape};
use crate::scenario::SCENARIOS;

/// Colours of contestants, in their order; further ones share the last.
const CLASSES: [&str; 4] = ["one", "two", "three", "quiet"];

pub(super) fn page(report: &Report) -> String {
    let title = escape(&report.title);
    let mut body = format!(
        "<h1>{title}</h1>\n<p class=\"sub\">{}</p>\n<p class=\"sub\">{}</p>\n",
        escape(&report.started),
        escape(&report.machine.line())
    );
    for warning in report.warnings() {
        body.push_str(&format!(
            "<div class=\"bad\"><b>{}</b></div>\n",
            escape(&warning)
        ));
    }
    body.push_str(&claims(report));
    for name in report.scenarios() {
        body.push_str(&section(&escape(name), &scenario(report, name)));
    }
    body.push_str(&section("How it was run", &list(&report.how())));
    document(&title, &body)
}

/// Empty where nothing of it was measured.
fn claims(report: &Report) -> String {
    let judged = headline::judged(report);
    if judged.is_empty() {
        return String::new();
    }
    let mut text = format!("<p class=\"sub\">{}</p>\n", escape(READ));
    text.push_str("<div class=\"wide\"><table><tr><th>claim</th><th>at least</th>");
    for (_, _, name) in headline::columns(report) {
        text.push_str(&format!("<th>{}</th>", escape(&name)));
    }
    text.push_str("<th>holds</th></tr>\n");
    for row in judged {
        text.push_str(&format!(
            "<tr><td>{}</td><td>{} ×</td>",
            escape(row.claim),
            row.times_min
        ));
        for one in &row.of {
            text.push_str(&format!("<td>{}</td>", escape(&shown(one))));
        }
        let class = match row.holds() {
            Holds::No => " class=\"missed\"",
            _ => "",
        };
        text.push_str(&format!("<td{class}>{}</td></tr>\n", row.holds().name()));
    }
    section("Claims", &(text + "</table></div>\n"))
}

fn scenario(report: &Report, name: &str) -> String {
    let known = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let question = known.map_or("", |scenario| scenario.question);
    let mut text = format!("<p>{}</p>\n", escape(question));
    for pinning in report.pinnings() {
        let lines = report.lines(name, pinning);
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("<h3>{}</h3>\n", escape(pinning.name())));
        text.push_str(&cpu_bars(report, name, pinning, &lines));
        text.push_str(&latency_charts(report, name, pinning));
        text.push_str(&figures(report, &lines));
    }
    let notes: Vec<String> = report.notes(name).into_iter().collect();
    if !notes.is_empty() {
        text.push_str(&list(&notes));
    }
    text
}

/// The whole machine's CPU, of each load its contestants under each other, then its floors. Per
/// request only where the floor is one of requests.
fn cpu_bars(report: &Report, scenario: &str, pinning: Pinning, lines: &[Line]) -> String {
    const WHOSE: &str = ": machine CPU";
    let small = |line: &Line| {
        let load = line.name.trim_end_matches(WHOSE);
        let mut cells = report.cells_of(scenario, pinning);
        cells.any(|cell| cell.findings.is_small(load))
    };
    let mut text = String::new();
    for (unit, title, axis) in [
        ("s/GB", "CPU per GB", "CPU seconds per GB"),
        (
            "µs/request",
            "CPU per request",
            "CPU microseconds per request",
        ),
    ] {
        let mut loads = Vec::new();
        let machine = lines
            .iter()
            .filter(|line| line.unit == unit && line.name.ends_with(WHOSE));
        for line in machine.filter(|line| unit == "s/GB" || small(line)) {
            let load = line.name.trim_end_matches(WHOSE);
            let mut name = load.to_owned();
            let mut all = Vec::new();
            for (at, values) in line.of.iter().enumerate() {
                let Some(value) = values.median() else {
                    continue;
                };
                all.push(Bar {
                    // Once for the group.
                    name: std::mem::take(&mut name),
                    parts: vec![Part {
                        name: &report.contestants[at],
                        class: CLASSES[at.min(CLASSES.len() - 1)],
                        value,
                    }],
                });
            }
            let floors = report.cpu_floors(scenario, pinning, load, unit);
            all.extend(floors.into_iter().map(|(name, value)| Bar {
                name,
                parts: vec![Part {
                    name: "floor",
                    class: "floor",
                    value,
                }],
            }));
            if !all.is_empty() {
                loads.push(all);
            }
        }
        let most = |load: &Vec<Bar<'_>>| load.iter().map(Bar::total).fold(0.0, f64::max);
        for loads in by_scale(loads, most) {
            let all: Vec<Bar<'_>> = loads.into_iter().flatten().collect();
            let axis = format!("{axis}, whole machine less idle and driver");
            text.push_str(&bars(title, &axis, &all));
        }
    }
    text
}

/// What one axis can show is told apart from what would not be seen on it: each group's greatest is
/// at most so many times its least.
const SCALE: f64 = 20.0;

fn by_scale<T>(items: Vec<T>, size: impl Fn(&T) -> f64) -> Vec<Vec<T>> {
    let mut sizes: Vec<f64> = items.iter().map(&size).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let mut tops: Vec<f64> = Vec::new();
    for size in sizes {
        if tops.last().is_none_or(|top| size * SCALE < *top) {
            tops.push(size);
        }
    }
    let mut groups: Vec<Vec<T>> = tops.iter().map(|_| Vec::new()).collect();
    for item in items {
        let group = tops.iter().rposition(|top| size(&item) <= *top);
        groups[group.unwrap_or(0)].push(item);
    }
    groups
}

/// End-to-end latencies (else acks) of each open loop, all rounds together.
fn latency_charts(report: &Report, scenario: &str, pinning: Pinning) -> String {
    let mut loads: Vec<(String, Vec<Vec<&Latencies>>)> = Vec::new();
    for cell in report.cells_of(scenario, pinning) {
        let Some(at) = report.contestants.iter().position(|one| *one == cell.label) else {
            continue;
        };
        for run in cell.findings.runs.iter().filter(|run| run.open_loop) {
            let load = run.label.strip_prefix(&format!("{}: ", cell.label));
            let load = load.unwrap_or(&run.label);
            let all = match loads.iter().position(|(name, _)| name == load) {
                Some(found) => &mut loads[found].1,
                None => {
                    loads.push((load.to_owned(), vec![Vec::new(); report.contestants.len()]));
                    &mut loads.last_mut().expect("just pushed").1
                }
            };
            all[at].push(match run.end_to_end.is_empty() {
                true => &run.produce_ack,
                false => &run.end_to_end,
            });
        }
    }
    let mut text = String::new();
    for (load, all) in loads {
        let all = all.into_iter().map(Latencies::sum);
        let all: Vec<Latencies> = all.collect();
        let lines = all.iter().enumerate().map(|(at, of)| {
            let class = CLASSES[at.min(CLASSES.len() - 1)];
            (report.contestants[at].clone(), class, of)
        });
        let lines: Vec<_> = lines.collect();
        let x_name = format!("{load}: percentile of messages, until consumed");
        let floors = report.latency_floors(scenario, pinning, &load);
        text.push_str(&latency_chart(&load, &x_name, &lines, floors));
    }
    text
}

fn figures(report: &Report, lines: &[Line]) -> String {
    let mut text = String::from("<div class=\"wide\"><table><tr><th>figure</th><th>unit</th>");
    for label in &report.contestants {
        text.push_str(&format!("<th>{}</th>", escape(label)));
    }
    for label in report.contestants.iter().skip(1) {
        text.push_str(&format!("<th>times better than {}</th>", escape(label)));
    }
    text.push_str("</tr>\n");
    for line in lines {
        text.push_str(&format!(
            "<tr><td>{}</td><td>{}</td>",
            escape(&line.name),
            escape(&line.unit)
        ));
        for values in &line.of {
            text.push_str(&format!("<td>{}</td>", value(values, report.rounds)));
        }
        for other in line.of.iter().skip(1) {
            let cell = advantage(&line.of[0], other, line.better);
            text.push_str(&format!("<td>{cell}</td>"));
        }
        text.push_str("</tr>\n");
    }
    text + "</table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_seen_beside_the_greatest_stands_apart() {
        let groups = by_scale(vec![2.0, 1215.0, 0.4, 3.0, 0.05], |size| *size);
        assert_eq!(groups, [vec![1215.0], vec![2.0, 0.4, 3.0], vec![0.05]]);
        assert!(by_scale(Vec::<f64>::new(), |size| *size).is_empty());
    }
}
