//! Bars of stacked parts, under each other.

use super::{Axis, escape, short};

const WIDTH: f64 = 880.0;
/// Of the names, at least and at most.
const LEFT: [f64; 2] = [250.0, 400.0];
const RIGHT: f64 = 70.0;
const ROW: f64 = 30.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 34.0;

/// A part of a bar.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    /// A class of the page's style: its colour.
    pub(crate) class: &'static str,
    pub(crate) value: f64,
}

/// A bar.
pub(crate) struct Bar<'a> {
    pub(crate) name: String,
    pub(crate) parts: Vec<Part<'a>>,
}

impl Bar<'_> {
    /// Its length.
    pub(crate) fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.value.max(0.0)).sum()
    }
}

/// The bars as an SVG element.
pub(crate) fn bars(title: &str, unit: &str, bars: &[Bar<'_>]) -> String {
    let axis = Axis::linear(bars.iter().map(Bar::total));
    let longest = bars.iter().map(|bar| bar.name.chars().count()).max();
    let left = (14.0 + 6.4 * longest.unwrap_or(0) as f64).clamp(LEFT[0], LEFT[1]);
    let x = |value: f64| left + axis.place(value) * (WIDTH - left - RIGHT);
    let bottom = TOP + bars.len() as f64 * ROW;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{}\">\n",
        bottom + BOTTOM,
        escape(title)
    );
    for (value, name) in axis.marks() {
        let at = x(value);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>\
             <text class=\"mark middle\" x=\"{at:.1}\" y=\"{:.1}\">{name}</text>\n",
            bottom + 15.0
        ));
    }
    svg.push_str(&format!(
        "<text class=\"mark middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
        (left + WIDTH - RIGHT) / 2.0,
        bottom + 30.0,
        escape(unit)
    ));
    for (row, bar) in bars.iter().enumerate() {
        let top = TOP + row as f64 * ROW;
        svg.push_str(&format!(
            "<text class=\"name end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            left - 8.0,
            top + 19.0,
            escape(&bar.name)
        ));
        let mut from = 0.0;
        for part in bar.parts.iter().filter(|part| part.value > 0.0) {
            let to = from + part.value;
            svg.push_str(&format!(
                "<rect class=\"fill {}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"><title>{}: {} {}</title></rect>\n",
                part.class,
                x(from),
                top + 5.0,
                x(to) - x(from),
                ROW - 10.0,
                escape(part.name),
                short(part.value),
                escape(unit)
            ));
            from = to;
        }
        svg.push_str(&format!(
            "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            x(from) + 6.0,
            top + 19.0,
            short(from)
        ));
    }
    legend(&mut svg, bars);
    svg.push_str("</svg>\n");
    svg
}

/// Each kind of part once, above the bars.
fn legend(svg: &mut String, bars: &[Bar<'_>]) {
    let mut seen: Vec<&str> = Vec::new();
    let mut at = 8.0;
    for part in bars.iter().flat_map(|bar| &bar.parts) {
        if seen.contains(&part.name) {
            continue;
        }
        seen.push(part.name);
        svg.push_str(&format!(
            "<rect class=\"fill {}\" x=\"{at:.1}\" y=\"9\" width=\"12\" height=\"12\"/>\
             <text class=\"name\" x=\"{:.1}\" y=\"20\">{}</text>\n",
            part.class,
            at + 17.0,
            escape(part.name)
        ));
        at += 40.0 + part.name.chars().count() as f64 * 6.6;
    }
}
