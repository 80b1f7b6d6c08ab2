//! A result as one self-contained page: no scripts, nothing fetched.

mod cpu;
mod facts;
mod over_time;
mod percentiles;
mod split;
mod thin;

pub(crate) use over_time::{Named, beside};
pub(crate) use percentiles::latency_chart;
pub(crate) use split::Split;

use super::RunResult;
use super::histogram::Latencies;
use super::plot::{escape, short};

const STYLE: &str = include_str!("../page.css");

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
    let floors = escape(&told_floors(result));
    body.push_str(&format!("<p class=\"sub\">{floors}</p>\n"));
    body.push_str(&section(
        "Latency by percentile",
        &percentiles::section(result),
    ));
    body.push_str(&section("Over time", &over_time::section(result)));
    body.push_str(&section("CPU", &cpu::section(result)));
    body.push_str(&section("Validity", &validity(result)));
    body.push_str(&section(
        "What the figures do not cover",
        &list(&result.excluded),
    ));
    body.push_str(&section("Load, server, machine", &facts::section(result)));
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

/// Which floors stand in the plots.
fn told_floors(result: &RunResult) -> String {
    match (&result.floors_from, result.floors.is_empty()) {
        (_, true) => "No floors are drawn: none was measured with --floor, and there is no result \
                      of `odradek bench floor` of this CPU."
            .to_owned(),
        (Some(from), false) => format!("Floors drawn into the plots: {from}."),
        (None, false) => "Floors drawn into the plots: measured after the run.".to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::{Cost, Measurement};

    #[test]
    fn a_page_says_where_its_floors_are_from() {
        let mut result = RunResult::blank();
        assert!(page(&result).contains("No floors are drawn"));
        result.floors = vec![Measurement {
            name: "floor: send from memory".to_owned(),
            bytes: 1000,
            requests: 0,
            cost: Cost {
                seconds: 1.0,
                process_cpu_s: Some(0.1),
                machine_cpu_s: 0.1,
                machine_busy_s: 0.1,
                idle_baseline_s: 0.0,
                driver_cpu_s: 0.0,
                steal_s: 0.0,
            },
            latency: None,
            memory: None,
        }];
        assert!(page(&result).contains("measured after the run"));
        result.floors_from = Some("floors-1.json (commit abc)".to_owned());
        let text = page(&result);
        assert!(text.contains("drawn into the plots: floors-1.json (commit abc)."));
        let json = serde_json::to_value(&result).expect("JSON");
        let kept: RunResult = serde_json::from_value(json).expect("a result");
        assert_eq!(kept.floors_from, result.floors_from);
    }
}
