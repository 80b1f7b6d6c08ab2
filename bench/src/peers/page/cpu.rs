//! Where CPU went, of each load its contestants under each other, then its floors.

use super::super::Report;
use super::super::figures::Line;
use super::by_load::{Load, loops, runs};
use crate::contest::Pinning;
use crate::measurement::Cost;
use crate::report::html::Split;
use crate::report::plot::{Bar, Part, bars};

/// Medians of what is compared: the server's process and the whole machine's, less idle and
/// driver. Per request only where the floor is one of requests.
pub(super) fn per_unit(
    report: &Report,
    scenario: &str,
    pinning: Pinning,
    lines: &[Line],
) -> String {
    const WHOSE: &str = ": machine CPU";
    let small = |load: &str| {
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
        let of_unit = || lines.iter().filter(|line| line.unit == unit);
        let mut loads = Vec::new();
        for line in of_unit() {
            let Some(load) = line.name.strip_suffix(WHOSE) else {
                continue;
            };
            if unit != "s/GB" && !small(load) {
                continue;
            }
            let name = format!("{load}: process CPU");
            let process = of_unit().find(|line| line.name == name);
            let contestants = report.contestants.iter().zip(&line.of).enumerate();
            let mut all: Vec<Bar<'_>> = contestants
                .filter_map(|(at, (label, values))| {
                    let machine = values.median()?;
                    let process = process.and_then(|line| line.of.get(at)?.median());
                    let process = process.unwrap_or(0.0).min(machine);
                    Some(Split::server(process, machine).bar(label, 1.0))
                })
                .collect();
            let floors = report.cpu_floors(scenario, pinning, load, unit);
            all.extend(floors.into_iter().map(|(name, value)| floor(name, value)));
            if !all.is_empty() {
                all.insert(0, Bar::heading(load));
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

/// Cores within the windows, of all rounds together: what the driver took, too.
pub(super) fn split(report: &Report, scenario: &str, pinning: Pinning) -> String {
    let mut all = Vec::new();
    for load in loops(report, scenario, pinning) {
        all.extend(cores(report, &load, |run| Some(&run.cost)));
    }
    for load in runs(report, scenario, pinning) {
        let bars = cores(report, &load, |run| Some(&run.cpu.as_ref()?.cost));
        if !bars.is_empty() {
            all.extend(bars);
            let floors = report.floor_cores(load.of.iter().flatten().copied());
            all.extend(floors.map(|(name, value)| floor(name, value)));
        }
    }
    match all.is_empty() {
        true => String::new(),
        false => bars("CPU split", "cores within the windows", &all),
    }
}

/// Of a load: its name, then a bar for each contestant; empty where no CPU is known.
fn cores<'a, T>(
    report: &Report,
    load: &'a Load<T>,
    cost: impl Fn(&'a T) -> Option<&'a Cost>,
) -> Vec<Bar<'static>> {
    let mut all = Vec::new();
    for (label, runs) in report.contestants.iter().zip(&load.of) {
        let (mut sum, mut seconds) = (Split::default(), 0.0);
        for cost in runs.iter().filter_map(&cost) {
            sum.add(Split::of(cost));
            seconds += cost.seconds;
        }
        if seconds > 0.0 {
            all.push(sum.bar(label, seconds));
        }
    }
    if !all.is_empty() {
        all.insert(0, Bar::heading(&load.name));
    }
    all
}

fn floor(name: String, value: f64) -> Bar<'static> {
    Bar {
        name,
        parts: vec![Part {
            name: "floor",
            class: "floor",
            value,
        }],
        floor: None,
    }
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
