//! Lines over two axes.

use super::{Axis, escape};

const WIDTH: f64 = 880.0;
/// Of a chart that stands alone.
pub(crate) const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 26.0;
/// Above the plot: a row of the legend.
const TOP: f64 = 34.0;
const LEGEND_ROW: f64 = 18.0;
const BOTTOM: f64 = 42.0;

/// A line.
pub(crate) struct Series {
    pub(crate) name: String,
    /// A class of the page's style: its colour.
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// See the module.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_name: &'a str,
    pub(crate) y_name: &'a str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    /// From one value to another: what does not count.
    pub(crate) shaded: Vec<(f64, f64)>,
    /// With one row of legend; more of them add to it.
    pub(crate) height: f64,
}

impl Chart<'_> {
    /// The chart as an SVG element.
    pub(crate) fn svg(&self) -> String {
        let legend = self.legend();
        let frame = Frame::new(self, legend.len());
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">\n",
            frame.bottom + BOTTOM,
            escape(self.title)
        );
        for (from, to) in &self.shaded {
            let (from, to) = (frame.x(*from), frame.x(*to));
            svg.push_str(&format!(
                "<rect class=\"shade\" x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" \
                 height=\"{:.1}\"/>\n",
                frame.top,
                to - from,
                frame.bottom - frame.top
            ));
        }
        frame.grid(&mut svg);
        for series in &self.series {
            let points: Vec<String> = series
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", frame.x(*x), frame.y(*y)))
                .collect();
            svg.push_str(&format!(
                "<polyline class=\"line {}\" points=\"{}\"/>\n",
                series.class,
                points.join(" ")
            ));
        }
        for (row, names) in legend.iter().enumerate() {
            show_row(&mut svg, names, 16.0 + row as f64 * LEGEND_ROW);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Names above the plot, in rows that leave room for the axis's name.
    fn legend(&self) -> Vec<Vec<&Series>> {
        let from = LEFT + 10.0 + width(self.y_name);
        let mut rows: Vec<Vec<&Series>> = vec![Vec::new()];
        let mut left = WIDTH - RIGHT - from;
        for series in &self.series {
            let wide = KEY + width(&series.name) + GAP;
            let last = rows.last_mut().expect("a row");
            if left < wide && !last.is_empty() {
                rows.push(vec![series]);
                left = WIDTH - RIGHT - from;
            } else {
                last.push(series);
            }
            left -= wide;
        }
        rows
    }
}

/// Of a text, about.
fn width(text: &str) -> f64 {
    const PER_CHAR: f64 = 6.6;
    text.chars().count() as f64 * PER_CHAR
}

/// Of a line beside its name, and between two names.
const KEY: f64 = 24.0;
const GAP: f64 = 16.0;

/// From the right.
fn show_row(svg: &mut String, names: &[&Series], y: f64) {
    let mut right = WIDTH - RIGHT;
    for series in names.iter().rev() {
        let text = right - width(&series.name);
        svg.push_str(&format!(
            "<line class=\"line {}\" x1=\"{:.1}\" y1=\"{y}\" x2=\"{:.1}\" y2=\"{y}\"/>\
             <text class=\"name\" x=\"{text:.1}\" y=\"{}\">{}</text>\n",
            series.class,
            text - KEY,
            text - 6.0,
            y + 4.0,
            escape(&series.name)
        ));
        right = text - KEY - GAP;
    }
}

/// Where values lie on the page.
struct Frame<'a> {
    chart: &'a Chart<'a>,
    top: f64,
    bottom: f64,
}

impl<'a> Frame<'a> {
    fn new(chart: &'a Chart<'a>, legend_rows: usize) -> Self {
        let top = TOP + legend_rows.saturating_sub(1) as f64 * LEGEND_ROW;
        Self {
            chart,
            top,
            bottom: top + chart.height - TOP - BOTTOM,
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.chart.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.chart.y.place(value) * (self.bottom - self.top)
    }

    fn grid(&self, svg: &mut String) {
        let Self { chart, top, bottom } = self;
        let right = WIDTH - RIGHT;
        for (value, name) in chart.y.marks() {
            let y = self.y(value);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\n",
                LEFT - 6.0,
                y + 4.0
            ));
        }
        for (value, name) in chart.x.marks() {
            let x = self.x(value);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"mark middle\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>\n",
                bottom + 15.0
            ));
        }
        svg.push_str(&format!(
            "<text class=\"mark middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            (LEFT + right) / 2.0,
            bottom + BOTTOM - 8.0,
            escape(chart.x_name)
        ));
        svg.push_str(&format!(
            "<text class=\"mark\" x=\"4\" y=\"14\">{}</text>\n",
            escape(chart.y_name)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(names: &[&str]) -> String {
        let series = names.iter().map(|name| Series {
            name: (*name).to_owned(),
            class: "one",
            points: vec![(0.0, 1.0), (1.0, 2.0)],
        });
        let chart = Chart {
            title: "a chart",
            x_name: "x",
            y_name: "y",
            x: Axis::span(1.0),
            y: Axis::span(2.0),
            series: series.collect(),
            shaded: Vec::new(),
            height: HEIGHT,
        };
        chart.svg()
    }

    #[test]
    fn names_that_have_no_room_stand_in_rows() {
        assert!(chart(&["short", "names"]).contains("0 0 880 300"));
        let long = "a contestant with quite a long name, heap 1g";
        let text = chart(&[long; 5]);
        assert!(text.contains("0 0 880 336"), "three rows: {text}");
        let lefts = text.split("class=\"name\" x=\"").skip(1);
        let lefts = lefts.map(|rest| rest.split('"').next().and_then(|x| x.parse::<f64>().ok()));
        for left in lefts {
            assert!(left.expect("a place") > LEFT, "off the page: {text}");
        }
    }
}
