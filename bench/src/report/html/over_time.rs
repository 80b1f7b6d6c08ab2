//! Rates, latencies and lag over time.

use super::super::plot::{Axis, Chart, Series, escape};
use super::super::{Interval, RunResult, floors};

pub(super) fn section(result: &RunResult) -> String {
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
    let (lines, above) = floors::rates(result, last, 3.0 * highest);
    rates.extend(lines);
    for line in above {
        text.push_str(&format!("<p class=\"sub\">{}</p>\n", escape(&line)));
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
    latencies.extend(floors::latency_over_time(result, last));
    text.push_str(&chart("Latency over time", "ms", log, latencies));
    let waiting = vec![
        line("made, not acked", "one", &|one| Some(one.unanswered as f64)),
        line("acked, not consumed", "two", &|one| Some(one.lag as f64)),
    ];
    text.push_str(&chart("Lag over time", "messages", linear, waiting));
    text
}
