//! Latencies by percentile, as a plot and a table.

use super::super::histogram::Latencies;
use super::super::plot::{Axis, Chart, HEIGHT, Series};
use super::super::{RunResult, floors};

/// Points of a line, at most.
const POINTS_MAX: usize = 400;

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

/// Distributions and what is drawn beside them (floors) in one plot; empty where there are none.
pub(crate) fn latency_chart(
    title: &str,
    x_name: &str,
    lines: &[(String, &'static str, &Latencies)],
    beside: Vec<Series>,
) -> String {
    let counts = lines.iter().map(|(_, _, of)| of.count);
    let Some(count) = counts.max().filter(|count| *count > 0) else {
        return String::new();
    };
    let nines = (count as f64).log10().floor().clamp(2.0, 6.0);
    let most = 1.0 - 10f64.powf(-nines);
    let lines = lines.iter().filter(|(_, _, of)| !of.is_empty());
    let mut series: Vec<Series> = lines
        .map(|(name, class, of)| Series {
            name: name.clone(),
            class,
            points: distribution(of, most),
        })
        .collect();
    series.extend(beside.into_iter().map(|mut line| {
        // What lies beyond the axis would be drawn on its end.
        line.points.retain(|(share, _)| *share <= most + 1e-9);
        line
    }));
    let points = series.iter().flat_map(|series| &series.points);
    let values: Vec<f64> = points.map(|point| point.1.max(0.01)).collect();
    let chart = Chart {
        title,
        x_name,
        y_name: "ms",
        x: Axis::Nines { most },
        y: Axis::log(values.into_iter()),
        series,
        shaded: Vec::new(),
        height: HEIGHT,
    };
    chart.svg()
}

pub(super) fn section(result: &RunResult) -> String {
    if result.produce_ack.is_empty() && result.end_to_end.is_empty() {
        return "<p>No message of the window was answered.</p>".to_owned();
    }
    let lines = [
        ("driver's own lateness", "quiet", &result.driver_lateness),
        ("produce → ack", "one", &result.produce_ack),
        ("produce → consumed", "two", &result.end_to_end),
    ];
    let drawn = lines.map(|(name, class, of)| (name.to_owned(), class, of));
    let mut text = latency_chart(
        "Latency by percentile",
        "percentile of the messages intended within the window",
        &drawn,
        floors::over_percentiles(&result.floors),
    );
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
