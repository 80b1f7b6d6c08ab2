//! Bars of stacked parts, under each other.

use super::{Axis, escape, short};

const WIDTH: f64 = 880.0;
/// Of the names, at least and at most.
const LEFT: [f64; 2] = [250.0, 400.0];
/// Of the values, without and with a floor's.
const RIGHT: f64 = 70.0;
const MARKED: f64 = 120.0;
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

/// A bar; without parts a heading of those that follow.
pub(crate) struct Bar<'a> {
    pub(crate) name: String,
    pub(crate) parts: Vec<Part<'a>>,
    /// Of the cheapest program, marked across the bar.
    pub(crate) floor: Option<f64>,
}

impl Bar<'_> {
    pub(crate) fn heading(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parts: Vec::new(),
            floor: None,
        }
    }

    /// Its length.
    pub(crate) fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.value.max(0.0)).sum()
    }
}

/// The bars as an SVG element.
pub(crate) fn bars(title: &str, unit: &str, bars: &[Bar<'_>]) -> String {
    let lengths = bars
        .iter()
        .map(|bar| bar.total().max(bar.floor.unwrap_or(0.0)));
    let axis = Axis::linear(lengths);
    let named = bars.iter().filter(|bar| !bar.parts.is_empty());
    let longest = named.map(|bar| bar.name.chars().count()).max();
    let left = (14.0 + 6.4 * longest.unwrap_or(0) as f64).clamp(LEFT[0], LEFT[1]);
    let right = match bars.iter().any(|bar| bar.floor.is_some()) {
        true => MARKED,
        false => RIGHT,
    };
    let x = |value: f64| left + axis.place(value) * (WIDTH - left - right);
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
        (left + WIDTH - right) / 2.0,
        bottom + 30.0,
        escape(unit)
    ));
    for (row, bar) in bars.iter().enumerate() {
        let top = TOP + row as f64 * ROW;
        if bar.parts.is_empty() {
            svg.push_str(&format!(
                "<text class=\"name heading\" x=\"8\" y=\"{:.1}\">{}</text>\n",
                top + 21.0,
                escape(&bar.name)
            ));
            continue;
        }
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
        let mut value = (x(from), short(from));
        if let Some(floor) = bar.floor {
            mark(&mut svg, x(floor), top + 2.0, top + ROW - 2.0);
            value.1 = format!("{}, floor {}", value.1, short(floor));
            if x(floor) < value.0 + MARKED {
                value.0 = value.0.max(x(floor));
            }
        }
        svg.push_str(&format!(
            "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            value.0 + 6.0,
            top + 19.0,
            value.1
        ));
    }
    legend(&mut svg, bars);
    svg.push_str("</svg>\n");
    svg
}

/// Each kind of part that is drawn once, above the bars.
fn legend(svg: &mut String, bars: &[Bar<'_>]) {
    let mut seen: Vec<&str> = Vec::new();
    let mut at = 8.0;
    let parts = bars.iter().flat_map(|bar| &bar.parts);
    for part in parts.filter(|part| part.value > 0.0) {
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
    if bars.iter().any(|bar| bar.floor.is_some()) {
        mark(svg, at + 6.0, 7.0, 23.0);
        svg.push_str(&format!(
            "<text class=\"name\" x=\"{:.1}\" y=\"20\">floor</text>\n",
            at + 14.0
        ));
    }
}

/// Of a floor, across a bar: seen on every colour.
fn mark(svg: &mut String, x: f64, from: f64, to: f64) {
    for class in ["floor-halo", "floor-mark"] {
        svg.push_str(&format!(
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\"/>"
        ));
    }
    svg.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64, floor: Option<f64>) -> Bar<'static> {
        let part = Part {
            name: "part",
            class: "one",
            value,
        };
        Bar {
            name: "one".to_owned(),
            parts: vec![part],
            floor,
        }
    }

    #[test]
    fn a_heading_has_no_length() {
        let text = bars("title", "unit", &[Bar::heading("a load"), bar(2.0, None)]);
        assert!(text.contains("heading\" x=\"8\""), "{text}");
        let values = text.matches("class=\"mark\"").count();
        assert_eq!(values, 1, "only the bar has a value: {text}");
        assert!(!text.contains("floor"), "{text}");
    }

    #[test]
    fn a_floor_above_its_bar_is_on_the_axis() {
        let text = bars("title", "unit", &[bar(0.5, Some(2.0))]);
        assert!(text.contains(">0.5, floor 2</text>"), "{text}");
        assert!(text.contains(">2</text>"), "the axis ends there: {text}");
        assert!(text.contains(">floor</text>"), "and the legend says so");
    }
}
