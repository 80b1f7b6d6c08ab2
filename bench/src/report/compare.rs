//! Two sets of runs beside each other: which figures differ, and which only vary.
//!
//! Runs that alternated are compared by pairs, so that what drifts over both (a disk filling up, a
//! neighbour) drops out; others as independent samples. A figure differs when the interval of its
//! ratio excludes equality; otherwise the difference is within noise, however large it looks.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::RunResult;
use super::figures::FIGURES;
use super::statistics::{independent, median, paired};
use crate::measurement::markdown;

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub a: Side,
    pub b: Side,
    /// 0 to 1.
    pub confidence: f64,
    /// By pairs; else as independent samples.
    pub paired: bool,
    pub figures: Vec<Compared>,
    /// What both do not have in common, and what was left out.
    pub notes: Vec<String>,
}

/// One of both.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub label: String,
    pub runs: usize,
}

/// One figure of both.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub name: String,
    pub unit: String,
    pub a: Vec<f64>,
    pub b: Vec<f64>,
    /// B to A, and its interval; none with too few runs.
    pub ratio: Option<(f64, f64, f64)>,
    pub verdict: Verdict,
}

/// What is to be made of a difference of B from A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Better,
    Worse,
    WithinNoise,
    TooFewRuns,
}

/// Compares runs; partial ones are left out.
///
/// # Errors
/// When a side has no whole run.
pub fn compare(a: &[RunResult], b: &[RunResult], confidence: f64) -> Result<Comparison> {
    let mut notes = Vec::new();
    let (mut a, mut b) = (whole(a, &mut notes)?, whole(b, &mut notes)?);
    a.sort_by(|one, other| one.started.cmp(&other.started));
    b.sort_by(|one, other| one.started.cmp(&other.started));
    let by_pairs = alternated(&a, &b);
    Ok(compared(&a, &b, by_pairs, confidence, notes))
}

/// Compares pairs of runs that followed each other; those with a partial one are left out.
///
/// # Errors
/// When no pair is whole.
pub fn compare_pairs(pairs: &[(RunResult, RunResult)], confidence: f64) -> Result<Comparison> {
    let kept = pairs.iter().filter(|(a, b)| a.complete && b.complete);
    let (a, b): (Vec<RunResult>, Vec<RunResult>) = kept.cloned().unzip();
    let left_out = pairs.len() - a.len();
    ensure!(
        !a.is_empty(),
        "none of {} pairs of runs is whole",
        pairs.len()
    );
    let mut notes = Vec::new();
    if left_out > 0 {
        notes.push(format!("{left_out} pairs with a partial run left out"));
    }
    Ok(compared(&a, &b, true, confidence, notes))
}

/// The whole ones.
fn whole(side: &[RunResult], notes: &mut Vec<String>) -> Result<Vec<RunResult>> {
    let label = side.first().map_or("", |run| run.label.as_str());
    let kept: Vec<RunResult> = side.iter().filter(|run| run.complete).cloned().collect();
    ensure!(
        !kept.is_empty(),
        "no whole run of {label:?} among {} given",
        side.len()
    );
    if kept.len() < side.len() {
        let partial = side.len() - kept.len();
        notes.push(format!("{partial} partial runs of {label} left out"));
    }
    Ok(kept)
}

fn compared(
    a: &[RunResult],
    b: &[RunResult],
    by_pairs: bool,
    confidence: f64,
    mut notes: Vec<String>,
) -> Comparison {
    notes.extend(unlike(a, b));
    let mut figures = Vec::new();
    for figure in FIGURES {
        let of = |runs: &[RunResult]| -> Vec<Option<f64>> {
            runs.iter().map(|run| figure.of(run)).collect()
        };
        let (of_a, of_b) = (of(a), of(b));
        let known = |values: &[Option<f64>]| values.iter().copied().flatten().collect::<Vec<f64>>();
        let (known_a, known_b) = (known(&of_a), known(&of_b));
        if known_a.is_empty() || known_b.is_empty() {
            continue;
        }
        let ratio = if by_pairs {
            let pairs = of_a.iter().zip(&of_b);
            let pairs = pairs.filter_map(|(a, b)| Some(((*a)?, (*b)?)));
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
            paired(&a, &b, confidence)
        } else {
            independent(&known_a, &known_b, confidence)
        };
        let verdict = match ratio {
            None => Verdict::TooFewRuns,
            Some(ratio) if !ratio.differs() => Verdict::WithinNoise,
            Some(ratio) if (ratio.ratio > 1.0) == figure.more_is_better => Verdict::Better,
            Some(_) => Verdict::Worse,
        };
        figures.push(Compared {
            name: figure.name.to_owned(),
            unit: figure.unit.to_owned(),
            a: known_a,
            b: known_b,
            ratio: ratio.map(|ratio| (ratio.ratio, ratio.least, ratio.most)),
            verdict,
        });
    }
    let side = |runs: &[RunResult]| Side {
        label: runs.first().map_or(String::new(), |run| run.label.clone()),
        runs: runs.len(),
    };
    Comparison {
        a: side(a),
        b: side(b),
        confidence,
        paired: by_pairs,
        figures,
        notes,
    }
}

/// Whether each pair of runs followed the last one. Both are sorted by time.
fn alternated(a: &[RunResult], b: &[RunResult]) -> bool {
    let pairs: Vec<(&str, &str)> = a
        .iter()
        .zip(b)
        .map(|(a, b)| (a.started.as_str(), b.started.as_str()))
        .collect();
    let follow = pairs
        .windows(2)
        .all(|two| two[0].0.max(two[0].1) < two[1].0.min(two[1].1));
    a.len() == b.len() && a.len() > 1 && follow
}

/// What the runs do not have in common and should have.
fn unlike(a: &[RunResult], b: &[RunResult]) -> Vec<String> {
    let mut notes = Vec::new();
    let all = || a.iter().chain(b);
    let mut fields = BTreeSet::new();
    let first = all().next().map(|run| serde_json::json!(run.load));
    for run in all() {
        let load = serde_json::json!(run.load);
        if let (Some(load), Some(first)) =
            (load.as_object(), first.as_ref().and_then(|f| f.as_object()))
        {
            let changed = load
                .iter()
                .filter(|(name, value)| first.get(*name) != Some(value));
            fields.extend(changed.map(|(name, _)| name.clone()));
        }
    }
    for name in ["topic", "seed"] {
        fields.remove(name);
    }
    if !fields.is_empty() {
        let fields: Vec<String> = fields.into_iter().collect();
        notes.push(format!("the loads differ in {}", fields.join(", ")));
    }
    let mut differ = |what: &str, of: fn(&RunResult) -> String| {
        let values: BTreeSet<String> = all().map(of).collect();
        if values.len() > 1 {
            let values: Vec<String> = values.into_iter().collect();
            notes.push(format!("{what} differs: {}", values.join("; ")));
        }
    };
    differ("the CPU", |run| run.machine.cpu_model.clone());
    differ("the kernel", |run| run.machine.kernel.clone());
    differ("the file system", |run| {
        run.machine.file_system.kind.clone()
    });
    differ("the commit", |run| run.machine.commit.clone());
    let doubtful = all().filter(|run| !run.caveats.is_empty()).count();
    if doubtful > 0 {
        notes.push(format!(
            "{doubtful} of the runs are doubtful: see their pages"
        ));
    }
    notes
}

impl Comparison {
    /// As a table and what is to be known of it.
    pub fn text(&self) -> String {
        let percent = |ratio: f64| format!("{:+.1} %", 100.0 * (ratio - 1.0));
        let spread = |values: &[f64]| {
            let middle = median(values).unwrap_or(0.0);
            let least = values.iter().copied().fold(f64::MAX, f64::min);
            let most = values.iter().copied().fold(f64::MIN, f64::max);
            let digits = if middle >= 1000.0 { 0 } else { 3 };
            format!("{middle:.digits$} ({least:.digits$} .. {most:.digits$})")
        };
        let rows: Vec<Vec<String>> = self
            .figures
            .iter()
            .map(|figure| {
                vec![
                    format!("{}, {}", figure.name, figure.unit),
                    spread(&figure.a),
                    spread(&figure.b),
                    figure.ratio.map_or("-".to_owned(), |(ratio, least, most)| {
                        format!(
                            "{} ({} .. {})",
                            percent(ratio),
                            percent(least),
                            percent(most)
                        )
                    }),
                    match figure.verdict {
                        Verdict::Better => "differs: B is better",
                        Verdict::Worse => "differs: B is worse",
                        Verdict::WithinNoise => "within noise",
                        Verdict::TooFewRuns => "too few runs",
                    }
                    .to_owned(),
                ]
            })
            .collect();
        let a = format!("A: {}", self.a.label);
        let b = format!("B: {}", self.b.label);
        let columns = ["figure", &a, &b, "B to A", "verdict"];
        let mut text = markdown(&columns, &rows);
        text.push_str(&format!(
            "\n{} and {} runs, {}; medians (least .. greatest), ratios of geometric means with \
             their {} % intervals: of figures that do not differ, one in {:.0} will seem to.\n",
            self.a.runs,
            self.b.runs,
            match self.paired {
                true => "alternating, compared by pairs",
                false => "not alternating, compared as independent samples",
            },
            self.confidence * 100.0,
            1.0 / (1.0 - self.confidence)
        ));
        for note in &self.notes {
            text.push_str(&format!("Note: {note}.\n"));
        }
        text
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
