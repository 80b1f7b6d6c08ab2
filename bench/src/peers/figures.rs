//! Figures of several contestants beside each other.

use crate::contest::Pinning;
use crate::record::Spread;
use crate::report::paired;
use crate::scenario::{Better, Cell};

use super::Report;

/// One figure of all contestants, in their order.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) better: Better,
    pub(super) of: Vec<Values>,
}

/// One figure of one contestant: by round, rising.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Values(Vec<(usize, f64)>);

/// With fewer rounds nothing is borne out.
pub(super) const ROUNDS_MIN: usize = 3;

/// How many times better the first contestant is than another: above 1 it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Advantage {
    /// Of medians.
    pub(crate) times: f64,
    /// Of the rounds' ratios, with 95 % confidence; none with fewer than two.
    pub(crate) interval: Option<(f64, f64)>,
    /// Rounds that have both,
    pub(crate) rounds: usize,
    /// and their ratios, least and greatest.
    pub(crate) by_round: Option<(f64, f64)>,
}

impl Values {
    pub(super) fn spread(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|(_, value)| *value))
    }

    pub(super) fn median(&self) -> Option<f64> {
        Some(self.spread()?.median)
    }

    pub(super) fn rounds(&self) -> usize {
        self.0.len()
    }
}

impl Advantage {
    /// Of `ours` over `other`; none where one is not known or not above 0, or `better` is neither.
    pub(super) fn of(ours: &Values, other: &Values, better: Better) -> Option<Self> {
        let (worse, best) = match better {
            Better::Neither => return None,
            Better::Less => (other, ours),
            Better::More => (ours, other),
        };
        let times = worse.median()? / best.median()?;
        let both = worse.0.iter().filter_map(|(round, value)| {
            let same = best.0.iter().find(|(other, _)| other == round)?;
            Some((same.1, *value))
        });
        let (below, above): (Vec<f64>, Vec<f64>) = both.unzip();
        let ratio = paired(&below, &above, 0.95);
        let ratios = below.iter().zip(&above).map(|(below, above)| above / below);
        let spread = Spread::of(ratios);
        (times.is_finite() && times > 0.0).then_some(Self {
            times,
            interval: ratio.map(|ratio| (ratio.least, ratio.most)),
            rounds: below.len(),
            by_round: spread.map(|spread| (spread.min, spread.max)),
        })
    }

    pub(super) fn show(&self) -> String {
        match self.interval {
            Some(interval) => format!("{} ({})", times(self.times), span(interval)),
            None => times(self.times),
        }
    }

    /// With the rounds' least and greatest, and how many there were.
    pub(super) fn show_rounds(&self) -> String {
        let mut text = format!("{} ({}", times(self.times), rounds(self.rounds));
        if let Some(by_round) = self.by_round.filter(|_| self.rounds > 1) {
            text.push_str(&format!(": {}", span(by_round)));
        }
        if let Some(interval) = self.interval {
            text.push_str(&format!("; 95 %: {}", span(interval)));
        }
        text + ")"
    }
}

/// A ratio.
pub(crate) fn times(value: f64) -> String {
    let digits = if value >= 10.0 { 1 } else { 2 };
    format!("{value:.digits$}")
}

fn span((least, most): (f64, f64)) -> String {
    format!("{} .. {}", times(least), times(most))
}

/// That there were too few is said.
fn rounds(count: usize) -> String {
    match count {
        0 => "no round of both".to_owned(),
        1 => "1 round only".to_owned(),
        few if few < ROUNDS_MIN => format!("{few} rounds only"),
        enough => format!("{enough} rounds"),
    }
}

impl Report {
    pub(super) fn cells_of<'a>(
        &'a self,
        scenario: &'a str,
        pinning: Pinning,
    ) -> impl Iterator<Item = &'a Cell> {
        let wanted = move |cell: &&Cell| cell.scenario == scenario && cell.pinning == pinning;
        self.cells.iter().filter(wanted)
    }

    /// All figures of a scenario, in the order in which they were first named.
    pub(super) fn lines(&self, scenario: &str, pinning: Pinning) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for cell in self.cells_of(scenario, pinning) {
            let Some(at) = self.contestants.iter().position(|one| *one == cell.label) else {
                continue;
            };
            for figure in &cell.findings.figures {
                let same = |line: &Line| line.name == figure.name && line.unit == figure.unit;
                let line = match lines.iter().position(same) {
                    Some(line) => &mut lines[line],
                    None => {
                        lines.push(Line {
                            name: figure.name.clone(),
                            unit: figure.unit.clone(),
                            better: figure.better,
                            of: vec![Values::default(); self.contestants.len()],
                        });
                        lines.last_mut().expect("just pushed")
                    }
                };
                line.of[at].0.push((cell.round, figure.value));
            }
        }
        lines
    }

    /// Those that ran, in the scenarios' order.
    pub(super) fn scenarios(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if !names.contains(&cell.scenario.as_str()) {
                names.push(&cell.scenario);
            }
        }
        names
    }

    pub(crate) fn pinnings(&self) -> Vec<Pinning> {
        let ran = |pinning: &Pinning| self.cells.iter().any(|cell| cell.pinning == *pinning);
        [Pinning::Pinned, Pinning::Unpinned]
            .into_iter()
            .filter(ran)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_are_of_medians_and_look_the_right_way() {
        let values = |of: &[f64]| Values(of.iter().copied().enumerate().collect());
        let (ours, other) = (values(&[1.0, 2.0, 4.0]), values(&[9.0, 10.0, 30.0]));
        let cost = Advantage::of(&ours, &other, Better::Less).unwrap();
        assert_eq!(cost.times, 5.0);
        let (least, most) = cost.interval.unwrap();
        assert!(least < 5.0 && 5.0 < most, "{cost:?}");
        let rate = Advantage::of(&ours, &other, Better::More).unwrap();
        assert_eq!(rate.times, 0.2);
        assert_eq!(Advantage::of(&ours, &other, Better::Neither), None);
        assert_eq!(Advantage::of(&ours, &Values::default(), Better::Less), None);
        // One round has no interval; rounds that only one has do not count for it.
        let single = Advantage::of(&values(&[1.0]), &other, Better::Less).unwrap();
        assert_eq!((single.times, single.interval), (10.0, None));
        assert_eq!(single.show(), "10.0");
    }

    #[test]
    fn rounds_are_told_and_too_few_of_them() {
        let values = |of: &[f64]| Values(of.iter().copied().enumerate().collect());
        let show = |ours: &[f64], other: &[f64]| {
            let of = Advantage::of(&values(ours), &values(other), Better::Less);
            of.expect("an advantage").show_rounds()
        };
        assert_eq!(show(&[1.0], &[2.5]), "2.50 (1 round only)");
        let two = show(&[1.0, 1.0], &[2.0, 4.0]);
        assert!(
            two.starts_with("3.00 (2 rounds only: 2.00 .. 4.00; 95 %: "),
            "{two}"
        );
        let three = show(&[1.0, 2.0, 1.0], &[2.0, 4.0, 16.0]);
        assert!(
            three.starts_with("4.00 (3 rounds: 2.00 .. 16.0; 95 %: "),
            "{three}"
        );
        // Rounds that only one has say nothing.
        let lone = Values(vec![(7, 2.0)]);
        let lone = Advantage::of(&values(&[1.0]), &lone, Better::Less).expect("an advantage");
        assert_eq!(lone.show_rounds(), "2.00 (no round of both)");
    }
}
