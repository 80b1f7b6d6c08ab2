//! The report as one self-contained page: no scripts, nothing fetched.

mod by_load;
mod cpu;
mod loads;

use super::figures::Line;
use super::judged::{Holds, READ, shown};
use super::markdown::{advantage, value};
use super::{Report, headline};
use crate::report::html::{document, list, section};
use crate::report::plot::escape;
use crate::scenario::SCENARIOS;

pub(super) fn page(report: &Report) -> String {
    let title = escape(&report.title);
    let mut body = format!(
        "<h1>{title}</h1>\n<p class=\"sub\">{}</p>\n<p class=\"sub\">{}</p>\n",
        escape(&report.started),
        escape(&report.machine.line())
    );
    for warning in report.warnings() {
        body.push_str(&format!(
            "<div class=\"bad\"><b>{}</b></div>\n",
            escape(&warning)
        ));
    }
    body.push_str(&claims(report));
    for name in report.scenarios() {
        body.push_str(&section(&escape(name), &scenario(report, name)));
    }
    body.push_str(&section("How it was run", &list(&report.how())));
    document(&title, &body)
}

/// Empty where nothing of it was measured.
fn claims(report: &Report) -> String {
    let judged = headline::judged(report);
    if judged.is_empty() {
        return String::new();
    }
    let mut text = format!("<p class=\"sub\">{}</p>\n", escape(READ));
    text.push_str("<div class=\"wide\"><table><tr><th>claim</th><th>at least</th>");
    for (_, _, name) in headline::columns(report) {
        text.push_str(&format!("<th>{}</th>", escape(&name)));
    }
    text.push_str("<th>holds</th></tr>\n");
    for row in judged {
        text.push_str(&format!(
            "<tr><td>{}</td><td>{} ×</td>",
            escape(row.claim),
            row.times_min
        ));
        for one in &row.of {
            text.push_str(&format!("<td>{}</td>", escape(&shown(one))));
        }
        let class = match row.holds() {
            Holds::No => " class=\"missed\"",
            _ => "",
        };
        text.push_str(&format!("<td{class}>{}</td></tr>\n", row.holds().name()));
    }
    section("Claims", &(text + "</table></div>\n"))
}

fn scenario(report: &Report, name: &str) -> String {
    let known = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let question = known.map_or("", |scenario| scenario.question);
    let mut text = format!("<p>{}</p>\n", escape(question));
    for pinning in report.pinnings() {
        let lines = report.lines(name, pinning);
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("<h3>{}</h3>\n", escape(pinning.name())));
        text.push_str(&cpu::per_unit(report, name, pinning, &lines));
        text.push_str(&cpu::split(report, name, pinning));
        text.push_str(&loads::loads(report, name, pinning));
        text.push_str(&figures(report, &lines));
    }
    let notes: Vec<String> = report.notes(name).into_iter().collect();
    if !notes.is_empty() {
        text.push_str(&list(&notes));
    }
    text
}

fn figures(report: &Report, lines: &[Line]) -> String {
    let mut text = String::from("<div class=\"wide\"><table><tr><th>figure</th><th>unit</th>");
    for label in &report.contestants {
        text.push_str(&format!("<th>{}</th>", escape(label)));
    }
    for label in report.contestants.iter().skip(1) {
        text.push_str(&format!("<th>times better than {}</th>", escape(label)));
    }
    text.push_str("</tr>\n");
    for line in lines {
        text.push_str(&format!(
            "<tr><td>{}</td><td>{}</td>",
            escape(&line.name),
            escape(&line.unit)
        ));
        for values in &line.of {
            text.push_str(&format!("<td>{}</td>", value(values, report.rounds)));
        }
        for other in line.of.iter().skip(1) {
            let cell = advantage(&line.of[0], other, line.better);
            text.push_str(&format!("<td>{cell}</td>"));
        }
        text.push_str("</tr>\n");
    }
    text + "</table></div>\n"
}
