//! Lines over two axes.

use super::{Axis, escape};

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 34.0;
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
    /// Shaded from the left up to this value: the warm-up.
    pub(crate) shaded_to: Option<f64>,
}

impl Chart<'_> {
    /// The chart as an SVG element.
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(self.title)
        );
        if let Some(to) = self.shaded_to {
            let width = self.x(to) - LEFT;
            svg.push_str(&format!(
                "<rect class=\"shade\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{:.1}\"/>\n",
                HEIGHT - TOP - BOTTOM
            ));
        }
        self.grid(&mut svg);
        for series in &self.series {
            let points: Vec<String> = series
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y)))
                .collect();
            svg.push_str(&format!(
                "<polyline class=\"line {}\" points=\"{}\"/>\n",
                series.class,
                points.join(" ")
            ));
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, name) in self.y.marks() {
            let y = self.y(value);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\n",
                LEFT - 6.0,
                y + 4.0
            ));
        }
        for (value, name) in self.x.marks() {
            let x = self.x(value);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"mark middle\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>\n",
                bottom + 15.0
            ));
        }
        svg.push_str(&format!(
            "<text class=\"mark middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            (LEFT + right) / 2.0,
            HEIGHT - 8.0,
            escape(self.x_name)
        ));
        svg.push_str(&format!(
            "<text class=\"mark\" x=\"4\" y=\"14\">{}</text>\n",
            escape(self.y_name)
        ));
    }

    /// Names above the plot, from the right.
    fn legend(&self, svg: &mut String) {
        const PER_CHAR: f64 = 6.6;
        let mut right = WIDTH - RIGHT;
        for series in self.series.iter().rev() {
            let width = series.name.chars().count() as f64 * PER_CHAR;
            let text = right - width;
            svg.push_str(&format!(
                "<line class=\"line {}\" x1=\"{:.1}\" y1=\"16\" x2=\"{:.1}\" y2=\"16\"/>\
                 <text class=\"name\" x=\"{text:.1}\" y=\"20\">{}</text>\n",
                series.class,
                text - 24.0,
                text - 6.0,
                escape(&series.name)
            ));
            right = text - 40.0;
        }
    }
}
