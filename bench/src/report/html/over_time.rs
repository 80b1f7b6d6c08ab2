//! Rates, latencies and lag over time: of one run, or of several beside each other.

use super::super::plot::{Axis, Chart, HEIGHT, Series, escape};
use super::super::{Interval, RunResult, floors};
use super::thin::thin;
use crate::measurement::Measurement;

/// Of a chart that is one of three under each other.
const STRIP: f64 = 176.0;

pub(super) fn section(result: &RunResult) -> String {
    let timeline = thin(&result.timeline);
    let Some(plot) = Plot::of([result], HEIGHT) else {
        return "<p>The run ended before its first interval.</p>".to_owned();
    };
    let line = |name: &str, class, of: Figure| line(name, class, &timeline, of);
    let mut rates = vec![line("made", "quiet", |one| Some(per_s(one, one.made)))];
    if result.load.reads() {
        rates.push(line("consumed", "two", consumed));
    }
    rates.push(line("acked", "one", acked));
    let mut text = plot.rates(rates, result, &result.floors);
    let mut latencies = Vec::new();
    if timeline.iter().any(|one| one.produce_ack.is_some()) {
        latencies.push(line("ack p50", "one thin", |one| {
            Some(one.produce_ack?.p50_ms)
        }));
        latencies.push(line("ack p99", "one", ack_p99));
    }
    if timeline.iter().any(|one| one.end_to_end.is_some()) {
        latencies.push(line("end to end p50", "two thin", |one| {
            Some(one.end_to_end?.p50_ms)
        }));
        latencies.push(line("end to end p99", "two", end_to_end_p99));
    }
    latencies.extend(floors::latency_over_time(&result.floors, plot.last));
    text.push_str(&plot.chart("Latency over time", "ms", log, latencies));
    let waiting = vec![
        line("made, not acked", "one", unanswered),
        line("acked, not consumed", "two", lag),
    ];
    text.push_str(&plot.chart("Lag over time", "messages", linear, waiting));
    text
}

/// A run among others: its name, its colour.
pub(crate) type Named<'a> = (String, &'static str, &'a RunResult);

/// The same load on several: what was acked, the slow percent of messages, and what waited. Empty
/// where no run has an interval.
pub(crate) fn beside(runs: &[Named<'_>], floors: &[Measurement]) -> String {
    let Some((first, plot)) = runs.first().and_then(|(_, _, first)| {
        let all = runs.iter().map(|(_, _, run)| *run);
        Some((*first, Plot::of(all, STRIP)?))
    }) else {
        return String::new();
    };
    let reads = first.load.reads();
    let ends = |run: &RunResult| run.timeline.iter().any(|one| one.end_to_end.is_some());
    let until_consumed = runs.iter().any(|(_, _, run)| ends(run));
    let lines = |of: Figure| -> Vec<Series> {
        let each = runs.iter();
        each.map(|(name, class, run)| line(name, class, &thin(&run.timeline), of))
            .collect()
    };
    let mut text = plot.rates(lines(acked), first, floors);
    let (y_name, p99): (_, Figure) = match until_consumed {
        true => ("p99 until consumed, ms", end_to_end_p99),
        false => ("p99 until acked, ms", ack_p99),
    };
    let mut latencies = lines(p99);
    latencies.extend(floors::latency_over_time(floors, plot.last));
    text.push_str(&plot.chart("Latency over time", y_name, log, latencies));
    let (y_name, waiting): (_, Figure) = match reads {
        true => ("lag: messages acked, not consumed", lag),
        false => ("lag: messages made, not acked", unanswered),
    };
    text.push_str(&plot.chart("Lag over time", y_name, linear, lines(waiting)));
    text
}

/// Of an interval.
type Figure = fn(&Interval) -> Option<f64>;

fn per_s(one: &Interval, count: u64) -> f64 {
    count as f64 / one.seconds
}

fn acked(one: &Interval) -> Option<f64> {
    Some(per_s(one, one.acked))
}

fn consumed(one: &Interval) -> Option<f64> {
    Some(per_s(one, one.consumed))
}

fn ack_p99(one: &Interval) -> Option<f64> {
    Some(one.produce_ack?.p99_ms)
}

fn end_to_end_p99(one: &Interval) -> Option<f64> {
    Some(one.end_to_end?.p99_ms)
}

fn lag(one: &Interval) -> Option<f64> {
    Some(one.lag as f64)
}

fn unanswered(one: &Interval) -> Option<f64> {
    Some(one.unanswered as f64)
}

fn line(name: &str, class: &'static str, timeline: &[Interval], of: Figure) -> Series {
    let points = timeline.iter();
    Series {
        name: name.to_owned(),
        class,
        points: points
            .filter_map(|one| Some((one.at_s, of(one)?)))
            .collect(),
    }
}

fn linear(values: &[f64]) -> Axis {
    Axis::linear(values.iter().copied())
}

fn log(values: &[f64]) -> Axis {
    Axis::log(values.iter().copied())
}

/// What the charts of a figure have in common.
struct Plot {
    /// Where its time ends.
    last: f64,
    /// Where the window begins and ends.
    window: (f64, f64),
    height: f64,
}

impl Plot {
    /// None where there is nothing to be drawn.
    fn of<'a>(runs: impl IntoIterator<Item = &'a RunResult>, height: f64) -> Option<Self> {
        let runs = runs.into_iter();
        let ends = runs.filter_map(|run| {
            let from = run.load.warmup_s;
            Some((run.timeline.last()?.at_s, (from, from + run.load.window_s)))
        });
        // The same load: the same window.
        let (last, window) = ends.reduce(|one, two| (one.0.max(two.0), one.1))?;
        Some(Self {
            last,
            window,
            height,
        })
    }

    fn chart(
        &self,
        title: &str,
        y_name: &str,
        y: fn(&[f64]) -> Axis,
        series: Vec<Series>,
    ) -> String {
        let points = series.iter().flat_map(|series| &series.points);
        let values: Vec<f64> = points.map(|point| point.1).collect();
        let chart = Chart {
            title,
            x_name: "seconds; shaded: outside the window",
            y_name,
            x: Axis::span(self.last),
            y: y(&values),
            series,
            shaded: vec![(0.0, self.window.0), (self.window.1, self.last)]
                .into_iter()
                .filter(|(from, to)| from < to)
                .collect(),
            height: self.height,
        };
        chart.svg()
    }

    /// Rates, and what floors move: in messages of `run`.
    fn rates(&self, mut rates: Vec<Series>, run: &RunResult, floors: &[Measurement]) -> String {
        let points = rates.iter().flat_map(|series| &series.points);
        let highest = points.map(|point| point.1).fold(0.0, f64::max);
        let (lines, above) = floors::rates(run, floors, self.last, 3.0 * highest);
        rates.extend(lines);
        let mut text = self.chart("Rate over time", "messages/s", linear, rates);
        if !above.is_empty() {
            let above = escape(&above.join("; "));
            text.push_str(&format!(
                "<p class=\"sub note\">Above the plot: {above}</p>\n"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Percentiles;

    fn run(label: &str, acked: u64) -> RunResult {
        let interval = |at: u64| Interval {
            at_s: at as f64,
            seconds: 1.0,
            acked,
            lag: acked / 100,
            end_to_end: Some(Percentiles {
                p99_ms: 3.0,
                ..Percentiles::default()
            }),
            ..Interval::default()
        };
        RunResult {
            label: label.to_owned(),
            timeline: (1..=3).map(interval).collect(),
            ..RunResult::blank()
        }
    }

    #[test]
    fn contestants_share_their_axes() {
        let (fast, slow) = (run("fast", 1000), run("slow", 500));
        let runs = [
            ("fast".to_owned(), "one", &fast),
            ("slow".to_owned(), "two", &slow),
        ];
        let text = beside(&runs, &[]);
        assert_eq!(text.matches("<svg").count(), 3, "rate, latency, lag");
        assert!(text.contains("until consumed") && text.contains("acked, not consumed"));
        let lines: Vec<&str> = text.lines().filter(|l| l.contains("polyline")).collect();
        let height = |line: &str| {
            let point = line.split("points=\"").nth(1)?.split(' ').next()?;
            let (_, y) = point.trim_end_matches("\"/>").split_once(',')?;
            y.parse::<f64>().ok()
        };
        let (fast, slow) = (height(lines[0]).unwrap(), height(lines[1]).unwrap());
        assert!(fast < slow, "what is higher stands higher: {fast} {slow}");
        assert!(beside(&[], &[]).is_empty());
    }
}
