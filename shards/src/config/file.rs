//! The text of `config/server.properties`, derived from the table.

use std::fmt::Write;

use super::row::{Role, Row, one_line};
use super::table::IMPLEMENTED;
use super::value::Check;

const WIDTH: usize = 98;

const HEAD: &str = "\
Settings of an Odradek node: every one that has an effect, commented out at its default. Names are \
Apache Kafka's wherever Kafka has one. Kafka's other settings may stand here too: they are checked \
and, where they ask for anything, answered with one warning line at start. A name that neither \
Kafka nor Odradek knows, or a value out of range, is refused. On the command line: \
--set name=value. This file is generated from the table in code; a test compares them.";

/// The whole file.
pub fn server_properties() -> String {
    let mut text = String::new();
    comment(&mut text, HEAD);
    let mut heading = "";
    for row in IMPLEMENTED {
        if let Role::Implemented { section, meaning } = row.role {
            if heading != section {
                heading = section;
                let _ = write!(text, "\n\n## {section}\n");
            }
            text.push('\n');
            comment(&mut text, &one_line(meaning));
            comment(&mut text, &kind(row));
            let _ = writeln!(text, "#{}={}", row.name, row.default.unwrap_or_default());
        }
    }
    text
}

fn kind(row: &Row) -> String {
    match row.check {
        Check::Any => row.kind.name().to_owned(),
        check => format!("{}: {check}", row.kind.name()),
    }
}

fn comment(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
