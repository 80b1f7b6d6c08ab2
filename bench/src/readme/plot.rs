//! The plot: how near the node is to the floors and, where that was measured, to another server.
//!
//! It stands alone in an `img`: it brings its colours, for light and dark, and its own paper.

use super::results::Results;
use super::section::beside_peers;
use crate::peers::{Holds, Report, times};
use crate::record::verdict::verdicts;
use crate::report::{escape, short};

const WIDTH: f64 = 880.0;
const LEFT: f64 = 340.0;
const RIGHT: f64 = 120.0;
const ROW: f64 = 28.0;
const HEAD: f64 = 46.0;
const FOOT: f64 = 14.0;

const STYLE: &str = "\
.paper{fill:#fff}.ink{fill:#1d2530}.dim{fill:#667182}.grid{stroke:#dfe4ea}.good{fill:#1f6feb}\
.over{fill:#d9730d}.noise{fill:#a3adba}.one{stroke:#2c8a4b;stroke-width:2}.most{stroke:#1d2530;stroke-width:2}\
.key{fill:#2c8a4b}text{font:13px system-ui,-apple-system,sans-serif}.small{font-size:11px}\
.end{text-anchor:end}.middle{text-anchor:middle}.head{font-weight:600}\
@media(prefers-color-scheme:dark){.paper{fill:#14181e}.ink{fill:#e6e9ee}.dim{fill:#98a2b3}\
.grid{stroke:#323a46}.good{fill:#6aa5ff}.over{fill:#f0a04b}.noise{fill:#6b7686}.one{stroke:#58b87a}\
.most{stroke:#e6e9ee}.key{fill:#58b87a}}";

/// A bar: a ratio, and the most it may be.
struct Bar {
    name: String,
    ratio: f64,
    most: f64,
    /// Whether that is shown.
    class: &'static str,
    /// Both in words.
    told: (String, String),
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
                most,
                class: match verdict.reached {
                    Some(true) => "good",
                    _ => "over",
                },
                told: (format!("{ratio:.2}"), format!("(≤ {most:.2})")),
            })
        });
    let mut panels = vec![Panel {
        title: "Node over floor: CPU of the whole machine, 1 = the floor, | = at most".to_owned(),
        bars: bars.collect(),
    }];
    for (peer, bars) in results.peers.iter().flat_map(|found| beside(&found.result)) {
        panels.push(Panel {
            title: format!(
                "Node over {peer}, at worst: 1 = the same, | = at most, grey = within noise or unknown"
            ),
            bars,
        });
    }
    panels
}

/// Claims beside each other server.
fn beside(peers: &Report) -> Vec<(String, Vec<Bar>)> {
    let mut all: Vec<(String, Vec<Bar>)> = Vec::new();
    for row in beside_peers(peers) {
        let Some(least) = row.least() else {
            continue;
        };
        let bar = Bar {
            name: row.what.to_owned(),
            ratio: 1.0 / least,
            most: 1.0 / row.times_min,
            class: match row.holds {
                Holds::Yes => "good",
                Holds::No => "over",
                Holds::WithinNoise | Holds::Unknown => "noise",
            },
            told: (
                format!("{} ×", times(least)),
                format!("(≥ {} ×)", row.times_min),
            ),
        };
        match all.last_mut().filter(|(peer, _)| *peer == row.peer) {
            Some((_, bars)) => bars.push(bar),
            None => all.push((row.peer, vec![bar])),
        }
    }
    all
}

impl Panel {
    fn height(&self) -> f64 {
        HEAD + self.bars.len() as f64 * ROW + FOOT + 18.0
    }

    fn draw(&self, top: f64, svg: &mut String) {
        let most = self.bars.iter().flat_map(|bar| [bar.ratio, bar.most]);
        let most = most.fold(1.0, f64::max);
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
        let class = self.class;
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
        let at = x(self.most);
        svg.push_str(&format!(
            "<line class=\"most\" x1=\"{at:.1}\" y1=\"{:.0}\" x2=\"{at:.1}\" y2=\"{:.0}\"/>",
            top + 3.0,
            top + ROW - 3.0
        ));
        let (ratio, most) = &self.told;
        svg.push_str(&format!(
            "<text class=\"ink end\" x=\"{:.0}\" y=\"{:.0}\">{ratio} <tspan class=\"dim\">{most}\
             </tspan></text>\n",
            WIDTH - 14.0,
            top + 18.0,
        ));
    }
}
