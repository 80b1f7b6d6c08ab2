//! Where CPU went.

use super::super::plot::{bars, escape, short};
use super::super::{RunResult, floors};
use super::split::Split;
use crate::measurement::Measurement;

pub(super) fn section(result: &RunResult) -> String {
    let Some(cpu) = &result.cpu else {
        return "<p>Not known.</p>".to_owned();
    };
    let (cost, split) = (&cpu.cost, Split::of(&cpu.cost));
    let mut window = vec![split.bar("this run", cost.seconds)];
    let same_bytes = floors::same_bytes(result, &result.floors)
        .map(|(process, machine)| Split::server(process, machine));
    const SAME: &str = "floors, the same bytes";
    window.extend(same_bytes.map(|floors| floors.bar(SAME, cost.seconds)));
    let mut text = bars("CPU split", "cores within the window", &window);
    let gb = result.moved_gb();
    if gb > 0.0 {
        let server = Split::server(split.process, split.machine);
        let mut per_gb = vec![server.bar("this run, in and out", gb)];
        per_gb.extend(same_bytes.map(|floors| floors.bar(SAME, gb)));
        let quiet = |floor: &&Measurement| floor.requests == 0 && floor.machine_was_quiet();
        for floor in result.floors.iter().filter(quiet) {
            let Split {
                process, machine, ..
            } = Split::of(&floor.cost);
            let gb = floor.bytes as f64 / 1e9;
            per_gb.push(Split::server(process, machine).bar(&floor.name, gb));
        }
        text.push_str(&bars("CPU per GB", "CPU seconds per GB", &per_gb));
    }
    text.push_str(&table(result));
    text
}

fn table(result: &RunResult) -> String {
    let Some(cpu) = &result.cpu else {
        return String::new();
    };
    let (cost, gb, requests) = (&cpu.cost, result.moved_gb(), result.requests() as f64);
    let mut text = String::from(
        "<table><tr><th></th><th>CPU s</th><th>cores</th><th>s/GB, in and out</th><th>µs/request\
         </th></tr>\n",
    );
    let mut row = |name: &str, seconds: Option<f64>| {
        let cell = |value: Option<f64>, digits: usize| match value.filter(|v| v.is_finite()) {
            Some(value) => format!("<td>{value:.digits$}</td>"),
            None => "<td>-</td>".to_owned(),
        };
        text.push_str(&format!(
            "<tr><th>{name}</th>{}{}{}{}</tr>\n",
            cell(seconds, 3),
            cell(seconds.map(|s| s / cost.seconds), 3),
            cell(seconds.map(|s| s / gb), 3),
            cell(seconds.map(|s| s * 1e6 / requests), 2),
        ));
    };
    row("server's process", cost.process_cpu_s);
    row("whole machine less idle and driver", cpu.machine_s());
    row("driver", Some(cost.driver_cpu_s));
    row("idle baseline", Some(cost.idle_baseline_s));
    row(
        "soft interrupts, sampled (in the machine's)",
        Some(cpu.softirq_s),
    );
    row("stolen by the host (in none)", Some(cost.steal_s));
    text.push_str("</table>\n");
    for floor in &result.floors {
        let per_gb = floor.cost.machine_cpu_s / (floor.bytes as f64 / 1e9);
        text.push_str(&format!(
            "<p class=\"sub\">{}: {} GB/s, machine {:.3} s/GB{}</p>\n",
            escape(&floor.name),
            short(floor.bytes as f64 / 1e9 / floor.cost.seconds),
            per_gb,
            match floor.requests {
                0 => String::new(),
                _ => format!(
                    ", {:.2} µs/request",
                    floor.cost.machine_cpu_s * 1e6 / floor.requests as f64
                ),
            }
        ));
    }
    text
}
