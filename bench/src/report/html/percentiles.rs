//! Latencies by percentile, as a plot and a table.

use super::super::histogram::Latencies;
use super::super::plot::{Axis, Chart, Series};
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

pub(super) fn section(result: &RunResult) -> String {
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
    series.extend(floors::over_percentiles(result));
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
