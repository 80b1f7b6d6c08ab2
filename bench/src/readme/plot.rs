//! The plot: how near the node is to the floors and, where that was measured, to another server.
//!
//! It stands alone in an `img`: it brings its colours, for light and dark, and its own paper.

use super::results::Results;
use super::section::beside_peers;
use crate::record::verdict::verdicts;
use crate::report::{escape, short};

const WIDTH: f64 = 880.0;
const LEFT: f64 = 290.0;
const RIGHT: f64 = 110.0;
const ROW: f64 = 28.0;
const HEAD: f64 = 46.0;
const FOOT: f64 = 14.0;

const STYLE: &str = "\
.paper{fill:#fff}.ink{fill:#1d2530}.dim{fill:#667182}.grid{stroke:#dfe4ea}.good{fill:#1f6feb}\
.over{fill:#d9730d}.one{stroke:#2c8a4b;stroke-width:2}.most{stroke:#1d2530;stroke-width:2}\
.key{fill:#2c8a4b}text{font:13px system-ui,-apple-system,sans-serif}.small{font-size:11px}\
.end{text-anchor:end}.middle{text-anchor:middle}.head{font-weight:600}\
@media(prefers-color-scheme:dark){.paper{fill:#14181e}.ink{fill:#e6e9ee}.dim{fill:#98a2b3}\
.grid{stroke:#323a46}.good{fill:#6aa5ff}.over{fill:#f0a04b}.one{stroke:#58b87a}\
.most{stroke:#e6e9ee}.key{fill:#58b87a}}";

/// A bar: a ratio, and the most it may be.
struct Bar {
    name: String,
    ratio: f64,
    most: Option<f64>,
    /// Within what it may be, or on the better side of 1.
    good: bool,
}

/// Bars against a line at 1.
struct Panel {
    title: String,
    bars: Vec<Bar>,
}

/// The plot as a file.
pub(super) fn svg(results: &Results) -> String {
    let panels = panels(results);
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Odradek beside the floors\">\n<style>{STYLE}</style>\n<rect class=\"paper\" \
         width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n"
    );
    let mut top = 0.0;
    for panel in &panels {
        panel.draw(top, &mut svg);
        top += panel.height();
    }
    svg.push_str("</svg>\n");
    svg
}

fn panels(results: &Results) -> Vec<Panel> {
    let bars = verdicts(&results.record.result)
        .into_iter()
        .filter_map(|verdict| {
            let ratio = verdict.ratio()?;
            let most = match verdict.unit.is_cpu() {
                true => verdict.most,
                false => verdict.most / verdict.floor?,
            };
            let what = match verdict.unit.is_cpu() {
                true => verdict.what,
                false => format!("{} (time)", verdict.what),
            };
            Some(Bar {
                name: what,
                ratio,
                most: Some(most),
                good: verdict.reached == Some(true),
            })
        });
    let mut panels = vec![Panel {
        title: "Node over floor: CPU of the whole machine, 1 = the floor, | = at most".to_owned(),
        bars: bars.collect(),
    }];
    if let Some(peers) = &results.peers {
        let rows = beside_peers(&peers.result);
        let name = rows.first().map(|row| row.peer_name.clone());
        let bars = rows.into_iter().map(|row| {
            let ratio = row.ratio();
            let more_is_better = row.unit.ends_with("/s");
            Bar {
                name: row.what,
                ratio,
                most: None,
                good: (ratio > 1.0) == more_is_better,
            }
        });
        let bars: Vec<Bar> = bars.collect();
        if let Some(name) = name {
            panels.push(Panel {
                title: format!("Node over {name}: 1 = the same"),
                bars,
            });
        }
    }
    panels
}

impl Panel {
    fn height(&self) -> f64 {
        HEAD + self.bars.len() as f64 * ROW + FOOT + 18.0
    }

    fn draw(&self, top: f64, svg: &mut String) {
        let most = self.bars.iter().flat_map(|bar| [Some(bar.ratio), bar.most]);
        let most = most.flatten().fold(1.0, f64::max);
        // A round step: at most eight lines.
        let steps = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
        let step = steps.into_iter().find(|step| most / step <= 8.0);
        let step = step.unwrap_or(most / 4.0);
        let end = (most / step).ceil() * step;
        let x = |value: f64| LEFT + value / end * (WIDTH - LEFT - RIGHT);
        let (first, last) = (top + HEAD, top + HEAD + self.bars.len() as f64 * ROW);
        svg.push_str(&format!(
            "<text class=\"ink head\" x=\"14\" y=\"{:.0}\">{}</text>\n",
            top + 26.0,
            escape(&self.title)
        ));
        for mark in 0..=(end / step).round() as usize {
            let value = mark as f64 * step;
            let at = x(value);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{first}\" x2=\"{at:.1}\" y2=\"{last}\"/>\
                 <text class=\"dim small middle\" x=\"{at:.1}\" y=\"{:.0}\">{}</text>\n",
                last + 16.0,
                short(value)
            ));
        }
        for (row, bar) in self.bars.iter().enumerate() {
            bar.draw(first + row as f64 * ROW, x, svg);
        }
        let one = x(1.0);
        svg.push_str(&format!(
            "<line class=\"one\" x1=\"{one:.1}\" y1=\"{:.0}\" x2=\"{one:.1}\" y2=\"{last}\"/>\n",
            first - 4.0
        ));
    }
}

impl Bar {
    fn draw(&self, top: f64, x: impl Fn(f64) -> f64, svg: &mut String) {
        let class = if self.good { "good" } else { "over" };
        svg.push_str(&format!(
            "<text class=\"ink end\" x=\"{:.0}\" y=\"{:.0}\">{}</text><rect class=\"{class}\" \
             x=\"{LEFT}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\" rx=\"2\"/>",
            LEFT - 10.0,
            top + 18.0,
            escape(&self.name),
            top + 6.0,
            x(self.ratio) - LEFT,
            ROW - 12.0
        ));
        if let Some(most) = self.most {
            let at = x(most);
            svg.push_str(&format!(
                "<line class=\"most\" x1=\"{at:.1}\" y1=\"{:.0}\" x2=\"{at:.1}\" y2=\"{:.0}\"/>",
                top + 3.0,
                top + ROW - 3.0
            ));
        }
        let most = self.most.map(|most| format!(" (≤ {most:.2})"));
        svg.push_str(&format!(
            "<text class=\"ink end\" x=\"{:.0}\" y=\"{:.0}\">{:.2}<tspan class=\"dim\">{}\
             </tspan></text>\n",
            WIDTH - 14.0,
            top + 18.0,
            self.ratio,
            most.unwrap_or_default()
        ));
    }
}
