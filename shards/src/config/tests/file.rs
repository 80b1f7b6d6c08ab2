//! `config/server.properties` against the table. `UPDATE=1` rewrites the file.

#![allow(clippy::disallowed_methods)]

use std::path::Path;

use super::load;
use crate::config::file::server_properties;
use crate::config::table::IMPLEMENTED;

#[test]
fn the_file_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/server.properties");
    let expected = server_properties();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{path:?} differs from the table; UPDATE=1 rewrites it"
    );
}

#[test]
fn the_file_with_every_line_uncommented_is_the_defaults() {
    let is_setting = |line: &&str| {
        IMPLEMENTED.iter().any(|row| {
            line.strip_prefix('#')
                .and_then(|l| l.strip_prefix(row.name))
                .is_some_and(|l| l.starts_with('='))
        })
    };
    let text = server_properties();
    let lines: Vec<&str> = text
        .lines()
        .filter(is_setting)
        .map(|line| &line[1..])
        .collect();
    assert_eq!(lines.len(), IMPLEMENTED.len());
    let (settings, warnings) = load(&lines.join("\n"));
    assert_eq!(warnings, []);
    let (defaults, warnings) = load("node.id=1");
    assert_eq!(warnings, []);
    assert_eq!(*settings, *defaults);
    assert_eq!(
        (settings.listeners, settings.log_dirs),
        (defaults.listeners, defaults.log_dirs)
    );
}
