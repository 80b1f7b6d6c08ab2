//! A result as one self-contained page: no scripts, nothing fetched.

use super::histogram::Latencies;
use super::plot::{Axis, Bar, Chart, Part, Series, bars, escape, short};
use super::{Interval, RunResult};
use crate::measurement::Measurement;

const STYLE: &str = include_str!("page.css");

/// Points of a line, at most.
const POINTS_MAX: usize = 400;

/// The page.
pub fn page(result: &RunResult) -> String {
    let title = escape(&result.label);
    let kind = match result.load.arrivals.rate() {
        Some(rate) => format!("open loop, {} messages/s intended", short(rate)),
        None => "closed loop: saturation, its latencies are of a saturated server".to_owned(),
    };
    let mut body = format!(
        "<h1>{title}</h1>\n<p class=\"sub\">{} UTC · {}</p>\n",
        escape(&result.started),
        escape(&kind)
    );
    body.push_str(&banners(result));
    body.push_str(&tiles(result));
    body.push_str(&section("Latency by percentile", &percentiles(result)));
    body.push_str(&section("Over time", &over_time(result)));
    body.push_str(&section("CPU", &cpu(result)));
    body.push_str(&section("Validity", &validity(result)));
    body.push_str(&section(
        "What the figures do not cover",
        &list(&result.excluded),
    ));
    body.push_str(&section("Load, server, machine", &facts(result)));
    document(&title, &body)
}

/// The whole page; `title` is escaped.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body>\n{body}</body></html>\n"
    )
}

pub(crate) fn section(title: &str, inner: &str) -> String {
    format!("<section><h2>{title}</h2>\n{inner}</section>\n")
}

pub(crate) fn list(items: &[String]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|item| format!("<li>{}</li>", escape(item)))
        .collect();
    format!("<ul>{}</ul>\n", items.join("\n"))
}

fn banners(result: &RunResult) -> String {
    let mut text = String::new();
    if !result.complete {
        text.push_str(
            "<div class=\"bad\"><b>PARTIAL RESULT.</b> Its figures are not those of a whole run:",
        );
        text.push_str(&list(&result.problems));
        text.push_str("</div>\n");
    }
    if !result.caveats.is_empty() {
        text.push_str("<div class=\"doubt\"><b>Doubtful:</b>");
        text.push_str(&list(&result.caveats));
        text.push_str("</div>\n");
    }
    text
}

fn tiles(result: &RunResult) -> String {
    let mut tiles = Vec::new();
    let mut tile = |name: &str, value: String, unit: &str| {
        tiles.push(format!(
            "<div class=\"tile\"><span>{}</span><b>{}</b><i>{}</i></div>",
            escape(name),
            escape(&value),
            escape(unit)
        ));
    };
    if result.window.seconds > 0.0 {
        tile("acked", short(result.acked_per_s()), "messages/s");
        tile("acked", format!("{:.3}", result.gb_per_s()), "GB/s");
    }
    let ms = |of: &Latencies, quantile: f64| of.ms(quantile).map_or("-".to_owned(), short);
    for (name, of) in [
        ("ack", &result.produce_ack),
        ("end to end", &result.end_to_end),
    ] {
        if !of.is_empty() {
            for (percent, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
                tile(&format!("{name} {percent}"), ms(of, quantile), "ms");
            }
        }
    }
    if let (Some(cpu), true) = (&result.cpu, result.moved_gb() > 0.0) {
        let per_gb = cpu.machine_s().map(|machine| machine / result.moved_gb());
        let per_gb = per_gb.map_or("unknown".to_owned(), |value| format!("{value:.3}"));
        tile("machine CPU", per_gb, "s/GB, in and out");
    }
    let validity = match (result.validity.checked, result.validity.holds()) {
        (false, _) => "not checked",
        (true, true) => "holds",
        (true, false) => "VIOLATED",
    };
    tile("validity", validity.to_owned(), "");
    format!("<div class=\"tiles\">{}</div>\n", tiles.join("\n"))
}

/// A latency distribution as a line over shares.
pub(crate) fn distribution(of: &Latencies, most: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let axis = Axis::Nines { most };
    let mut seen = 0;
    for (value, count) in &of.values {
        let from = seen as f64 / of.count as f64;
        seen += count;
        let ms = *value as f64 / 1e6;
        let near = points.last().is_some_and(|(last, _)| {
            axis.place(from) - axis.place(*last) < 1.0 / POINTS_MAX as f64
        });
        if !near {
            points.push((from, ms));
        }
    }
    points.push((1.0, of.max_ns as f64 / 1e6));
    points
}

fn percentiles(result: &RunResult) -> String {
    let count = result.produce_ack.count.max(result.end_to_end.count);
    if count == 0 {
        return "<p>No message of the window was answered.</p>".to_owned();
    }
    let nines = (count as f64).log10().floor().clamp(2.0, 6.0);
    let most = 1.0 - 10f64.powf(-nines);
    let lines = [
        ("driver's own lateness", "quiet", &result.driver_lateness),
        ("produce → ack", "one", &result.produce_ack),
        ("produce → consumed", "two", &result.end_to_end),
    ];
    let mut series: Vec<Series> = lines
        .into_iter()
        .filter(|(_, _, of)| !of.is_empty())
        .map(|(name, class, of)| Series {
            name: name.to_owned(),
            class,
            points: distribution(of, most),
        })
        .collect();
    let echo = result
        .floors
        .iter()
        .find_map(|floor| floor.latency.as_ref());
    if let Some(echo) = echo {
        let points = vec![
            (0.0, echo.p50_ms),
            (0.5, echo.p50_ms),
            (0.99, echo.p99_ms),
            (0.999, echo.p999_ms),
            (1.0, echo.max_ms),
        ];
        series.push(Series {
            name: "floor: echo, one at a time".to_owned(),
            class: "floor",
            points,
        });
    }
    let values: Vec<f64> = series
        .iter()
        .flat_map(|series| series.points.iter().map(|point| point.1))
        .collect();
    let chart = Chart {
        title: "Latency by percentile",
        x_name: "percentile of the messages intended within the window",
        y_name: "ms",
        x: Axis::Nines { most },
        y: Axis::log(values.into_iter().map(|ms| ms.max(0.01))),
        series,
        shaded_to: None,
    };
    let mut text = chart.svg();
    text.push_str("<table><tr><th></th>");
    let quantiles = [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];
    for name in [
        "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean", "count",
    ] {
        text.push_str(&format!("<th>{name}</th>"));
    }
    text.push_str("</tr>\n");
    for (name, _, of) in lines.into_iter().rev().filter(|(_, _, of)| !of.is_empty()) {
        text.push_str(&format!("<tr><th>{name}, ms</th>"));
        for quantile in quantiles {
            text.push_str(&format!("<td>{:.3}</td>", of.ms(quantile).unwrap_or(0.0)));
        }
        text.push_str(&format!(
            "<td>{:.3}</td><td>{}</td></tr>\n",
            of.mean_ns / 1e6,
            of.count
        ));
    }
    text.push_str("</table>\n");
    text
}

fn over_time(result: &RunResult) -> String {
    let timeline = &result.timeline;
    if timeline.is_empty() {
        return "<p>The run ended before its first interval.</p>".to_owned();
    }
    let x = Axis::span(timeline.last().map_or(1.0, |interval| interval.at_s));
    let shaded_to = (result.load.warmup_s > 0.0).then_some(result.load.warmup_s);
    let line = |name: &str, class, of: &dyn Fn(&Interval) -> Option<f64>| Series {
        name: name.to_owned(),
        class,
        points: timeline
            .iter()
            .filter_map(|interval| Some((interval.at_s, of(interval)?)))
            .collect(),
    };
    let chart = |title, y_name, y: fn(&[f64]) -> Axis, series: Vec<Series>| {
        let values: Vec<f64> = series
            .iter()
            .flat_map(|series| series.points.iter().map(|point| point.1))
            .collect();
        Chart {
            title,
            x_name: "seconds; shaded: warm-up",
            y_name,
            x,
            y: y(&values),
            series,
            shaded_to,
        }
        .svg()
    };
    let linear = |values: &[f64]| Axis::linear(values.iter().copied());
    let log = |values: &[f64]| Axis::log(values.iter().copied());
    let per_s = |of: fn(&Interval) -> u64| {
        move |interval: &Interval| Some(of(interval) as f64 / interval.seconds)
    };
    let mut rates = vec![line("made", "quiet", &per_s(|one| one.made))];
    if result.load.reads() {
        rates.push(line("consumed", "two", &per_s(|one| one.consumed)));
    }
    rates.push(line("acked", "one", &per_s(|one| one.acked)));
    let mut text = String::new();
    let highest = rates
        .iter()
        .flat_map(|series| series.points.iter().map(|point| point.1))
        .fold(0.0, f64::max);
    let last = timeline.last().map_or(0.0, |interval| interval.at_s);
    for floor in result.floors.iter().filter(|floor| floor.requests == 0) {
        let Some(rate) = floor_rate(result, floor) else {
            continue;
        };
        if rate <= 3.0 * highest {
            rates.push(Series {
                name: floor.name.clone(),
                class: "floor",
                points: vec![(0.0, rate), (last, rate)],
            });
        } else {
            text.push_str(&format!(
                "<p class=\"sub\">{}: {} messages/s, above the plot</p>\n",
                escape(&floor.name),
                short(rate)
            ));
        }
    }
    text.insert_str(0, &chart("Rate over time", "messages/s", linear, rates));
    let mut latencies = Vec::new();
    for (name, class, quiet, of) in [
        ("ack", "one", "one thin", 0),
        ("end to end", "two", "two thin", 1),
    ] {
        let pick = move |interval: &Interval| match of {
            0 => interval.produce_ack,
            _ => interval.end_to_end,
        };
        if timeline.iter().any(|interval| pick(interval).is_some()) {
            let p50 = move |interval: &Interval| Some(pick(interval)?.p50_ms);
            let p99 = move |interval: &Interval| Some(pick(interval)?.p99_ms);
            latencies.push(line(&format!("{name} p50"), quiet, &p50));
            latencies.push(line(&format!("{name} p99"), class, &p99));
        }
    }
    let echo = result
        .floors
        .iter()
        .find_map(|floor| floor.latency.as_ref());
    if let Some(echo) = echo {
        latencies.push(Series {
            name: "floor: echo p99".to_owned(),
            class: "floor",
            points: vec![(0.0, echo.p99_ms), (last, echo.p99_ms)],
        });
    }
    text.push_str(&chart("Latency over time", "ms", log, latencies));
    let waiting = vec![
        line("made, not acked", "one", &|one| Some(one.unanswered as f64)),
        line("acked, not consumed", "two", &|one| Some(one.lag as f64)),
    ];
    text.push_str(&chart("Lag over time", "messages", linear, waiting));
    text
}

/// What a floor moves, in messages of this load.
fn floor_rate(result: &RunResult, floor: &Measurement) -> Option<f64> {
    let window = &result.window;
    let bytes = window.acked_bytes as f64 / window.acked as f64;
    let rate = floor.bytes as f64 / floor.cost.seconds / bytes;
    rate.is_finite().then_some(rate)
}

fn cpu(result: &RunResult) -> String {
    let Some(cpu) = &result.cpu else {
        return "<p>Not known.</p>".to_owned();
    };
    let cost = &cpu.cost;
    let process = cost.process_cpu_s.unwrap_or(0.0);
    // Unknown: only the process is drawn.
    let machine = cpu.machine_s().unwrap_or(process);
    let parts = |process: f64, machine: f64, driver: f64, idle: f64, per: f64| {
        let part = |name, class, value: f64| Part {
            name,
            class,
            value: value / per,
        };
        vec![
            part("server's process", "one", process),
            part(
                "rest of the machine: kernel workers, interrupts",
                "two",
                machine - process,
            ),
            part("driver", "quiet", driver),
            part("idle baseline", "idle", idle),
        ]
    };
    let window = vec![Bar {
        name: "this run".to_owned(),
        parts: parts(
            process,
            machine,
            cost.driver_cpu_s,
            cost.idle_baseline_s,
            cost.seconds,
        ),
    }];
    let mut text = bars("CPU split", "cores within the window", &window);
    let gb = result.moved_gb();
    if gb > 0.0 {
        let mut per_gb = vec![Bar {
            name: "this run, in and out".to_owned(),
            parts: parts(process, machine, 0.0, 0.0, gb),
        }];
        let quiet = |floor: &&Measurement| floor.requests == 0 && floor.machine_was_quiet();
        for floor in result.floors.iter().filter(quiet) {
            let process = floor.cost.process_cpu_s.unwrap_or(0.0);
            let gb = floor.bytes as f64 / 1e9;
            per_gb.push(Bar {
                name: floor.name.clone(),
                parts: parts(process, floor.cost.machine_cpu_s, 0.0, 0.0, gb),
            });
        }
        text.push_str(&bars("CPU per GB", "CPU seconds per GB", &per_gb));
    }
    text.push_str(&cpu_table(result));
    text
}

fn cpu_table(result: &RunResult) -> String {
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

fn validity(result: &RunResult) -> String {
    let validity = &result.validity;
    format!(
        "<p>{}. Of other runs: {}; not acked, and seen all the same: {}; not read in time: {}.</p>\n{}",
        escape(&validity.verdict()),
        validity.foreign,
        validity.unacked_but_seen,
        validity.unread,
        list(&validity.examples)
    )
}

fn facts(result: &RunResult) -> String {
    let mut text = String::from("<div class=\"facts\">");
    let parts = [
        ("load", serde_json::to_value(&result.load)),
        ("server", serde_json::to_value(&result.server)),
        ("machine", serde_json::to_value(&result.machine)),
        ("totals", serde_json::to_value(result.totals)),
        ("window", serde_json::to_value(&result.window)),
    ];
    for (name, value) in parts {
        text.push_str(&format!("<table><tr><th colspan=\"2\">{name}</th></tr>\n"));
        if let Ok(serde_json::Value::Object(fields)) = value {
            rows(&mut text, "", &fields);
        }
        text.push_str("</table>\n");
    }
    text.push_str("</div>\n");
    text
}

fn rows(text: &mut String, prefix: &str, fields: &serde_json::Map<String, serde_json::Value>) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}").replace('_', " ");
        match value {
            serde_json::Value::Object(inner) => rows(text, &format!("{name}: "), inner),
            serde_json::Value::String(word) => row(text, &name, word),
            other => row(text, &name, &other.to_string()),
        }
    }
}

fn row(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!(
        "<tr><td>{}</td><td>{}</td></tr>\n",
        escape(name),
        escape(value)
    ));
}
