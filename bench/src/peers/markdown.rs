//! The report as markdown. Every number on it is computed from the cells.

use super::figures::{Advantage, Line, Values};
use super::judged::{READ, shown};
use super::{Report, headline};
use crate::measurement::markdown as table;
use crate::scenario::{Better, SCENARIOS};

pub(super) fn markdown(report: &Report) -> String {
    let mut text = format!("# {}, {}\n\n", report.title, report.started);
    for warning in report.warnings() {
        text.push_str(&format!("**{warning}**\n\n"));
    }
    text.push_str(&format!("{}\n\n", report.machine.line()));
    for line in report.how() {
        text.push_str(&format!("- {line}\n"));
    }
    let claims = claims(report);
    if !claims.is_empty() {
        text.push_str(&format!("\n## Claims\n\n{READ}\n\n{claims}"));
    }
    for name in report.scenarios() {
        text.push_str(&scenario(report, name));
    }
    text
}

/// Empty where nothing of it was measured.
fn claims(report: &Report) -> String {
    let judged = headline::judged(report);
    if judged.is_empty() {
        return String::new();
    }
    let columns = headline::columns(report);
    let mut names = vec!["claim", "at least"];
    names.extend(columns.iter().map(|(_, _, name)| name.as_str()));
    names.push("holds");
    let rows: Vec<Vec<String>> = judged
        .iter()
        .map(|row| {
            let mut cells = vec![row.claim.to_owned(), format!("{} ×", row.times_min)];
            cells.extend(row.of.iter().map(shown));
            cells.push(row.holds().name().to_owned());
            cells
        })
        .collect();
    table(&names, &rows)
}

fn scenario(report: &Report, name: &str) -> String {
    let known = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let question = known.map_or("", |scenario| scenario.question);
    let mut text = format!("\n## {name}\n\n{question}\n");
    for pinning in report.pinnings() {
        let lines = report.lines(name, pinning);
        if lines.is_empty() {
            continue;
        }
        let mut columns = vec!["figure".to_owned(), "unit".to_owned()];
        columns.extend(report.contestants.iter().cloned());
        columns.extend(
            report
                .contestants
                .iter()
                .skip(1)
                .map(|one| format!("to {one}")),
        );
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let rows: Vec<Vec<String>> = lines.iter().map(|line| row(line, report.rounds)).collect();
        text.push_str(&format!(
            "\n{}:\n\n{}",
            pinning.name(),
            table(&columns, &rows)
        ));
    }
    for note in report.notes(name) {
        text.push_str(&format!("\n- {note}"));
    }
    text + "\n"
}

fn row(line: &Line, rounds: usize) -> Vec<String> {
    let mut cells = vec![line.name.clone(), line.unit.clone()];
    cells.extend(line.of.iter().map(|values| value(values, rounds)));
    let ours = &line.of[0];
    let others = line.of.iter().skip(1);
    cells.extend(others.map(|other| advantage(ours, other, line.better)));
    cells
}

/// Median, least and greatest; how many rounds there were where not all.
pub(super) fn value(values: &Values, rounds: usize) -> String {
    let Some(spread) = values.spread() else {
        return "-".to_owned();
    };
    let digits = match spread.median.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 10.0 => 1,
        _ => 3,
    };
    let text = match values.rounds() {
        1 => format!("{:.digits$}", spread.median),
        _ => spread.show(digits),
    };
    match values.rounds() == rounds {
        true => text,
        false => format!("{text}, {} of {rounds} rounds", values.rounds()),
    }
}

/// How many times better ours is.
pub(super) fn advantage(ours: &Values, other: &Values, better: Better) -> String {
    Advantage::of(ours, other, better).map_or("-".to_owned(), |one| one.show())
}
