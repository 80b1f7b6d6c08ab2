//! Which module may import which. An import that is not in the table fails here, so that it is
//! decided and not slipped in.
#![allow(clippy::disallowed_methods)] // it reads the sources

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// (module, modules of the same crate that it may import), bottom up.
const ENGINE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("limits", &[]),
    ("mutant", &[]),
    ("bytes", &["limits"]),
    ("record", &["types", "limits", "bytes"]),
    ("log", &["types", "limits", "mutant", "bytes", "record"]),
    (
        "io",
        &["types", "limits", "mutant", "bytes", "record", "log"],
    ),
    ("task", &["types", "limits", "bytes", "record", "log", "io"]),
];

/// The node. What a handler reaches (`Broker`) stands in `api`; the module `broker` starts it, hands
/// it requests and stops it.
const SHARDS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("runtime", &[]),
    ("metrics", &[]),
    ("quotas", &[]),
    ("net", &["config", "runtime", "metrics", "quotas"]),
    ("partition", &["runtime"]),
    ("telemetry", &["config"]),
    ("catalog", &["config", "runtime", "partition", "quotas"]),
    (
        "coordinators",
        &["config", "runtime", "partition", "catalog"],
    ),
    (
        "api",
        &[
            "config",
            "runtime",
            "metrics",
            "net",
            "partition",
            "quotas",
            "telemetry",
            "catalog",
            "coordinators",
        ],
    ),
    (
        "broker",
        &[
            "config",
            "runtime",
            "metrics",
            "net",
            "partition",
            "quotas",
            "catalog",
            "api",
        ],
    ),
    (
        "node",
        &[
            "config",
            "runtime",
            "metrics",
            "net",
            "partition",
            "catalog",
            "broker",
        ],
    ),
];

/// Where coordinators decide: (place, modules of this crate and of the engine that it may name). Nothing here reads, writes, waits or knows a catalog.
const PURE: &[(&str, &[&str], &[&str])] = &[
    ("coordinators/effects.rs", &[], &["types"]),
    ("coordinators/place.rs", &[], &[]),
    (
        "coordinators/groups",
        &["coordinators"],
        &["types", "mutant"],
    ),
    (
        "coordinators/transactions",
        &["coordinators"],
        &["types", "mutant"],
    ),
];

/// What stands beside them and carries out what they decide.
const IMPURE: &[&str] = &[
    "coordinator",
    "host",
    "host_load",
    "host_write",
    "hosts",
    "producer_ids",
];

#[test]
fn coordinators_decide_without_input_and_output() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shards/src");
    let mut faults = Vec::new();
    for (place, own, engine) in PURE {
        let place = source.join(place);
        let all = match place.is_dir() {
            true => files(&place),
            false => vec![place],
        };
        for file in all {
            let text = fs::read_to_string(&file).expect("a source file");
            for (number, line) in text.lines().enumerate() {
                if let Some(name) = impure(line, own, engine) {
                    faults.push(format!("{}:{}: {name}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (line, found) in [
        ("use crate::partition::Partition;", "crate::partition"),
        ("use crate::{catalog, runtime};", "crate::{"),
        ("use odradek_engine::io::Io;", "odradek_engine::io"),
        ("use super::super::hosts::Hosts;", "hosts"),
        ("use super::{effects, host};", "host"),
        ("    let now = std::time::Instant::now();", "std::time"),
    ] {
        let named = impure(line, &["coordinators"], &["types"]);
        assert_eq!(named.as_deref(), Some(found), "{line}");
    }
}

/// What a line names that it must not.
fn impure(line: &str, own: &[&str], engine: &[&str]) -> Option<String> {
    let code = line.split("//").next().unwrap_or_default();
    for (from, allowed) in [("crate::", own), ("odradek_engine::", engine)] {
        for part in code.split(from).skip(1) {
            let name = word(part);
            if !allowed.contains(&name) {
                let name = if name.is_empty() { "{" } else { name };
                return Some(format!("{from}{name}"));
            }
        }
    }
    for ill in ["std::fs", "std::net", "std::time", "std::thread"] {
        if code.contains(ill) {
            return Some(ill.to_owned());
        }
    }
    let path = code.contains("super::") || code.contains("crate::");
    let mut words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let found = words.find(|word| IMPURE.contains(word));
    found.filter(|_| path).map(str::to_owned)
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut faults = check(&root.join("engine/src"), ENGINE);
    faults.extend(check(&root.join("shards/src"), SHARDS));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_table_allows_an_import_from_above() {
    for table in [ENGINE, SHARDS] {
        let mut below = BTreeSet::new();
        for (module, imports) in table {
            for import in *imports {
                assert!(below.contains(import), "{module} stands below {import}");
            }
            below.insert(*module);
        }
    }
}

fn check(source: &Path, table: &[(&str, &[&str])]) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = table
        .iter()
        .map(|(module, imports)| (*module, imports.iter().copied().collect()))
        .collect();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for file in files(source) {
        let inside = file.strip_prefix(source).expect("below the source");
        let first = inside.components().next().expect("a name");
        let module = first.as_os_str().to_string_lossy();
        let module = module.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let Some(imports) = allowed.get(module) else {
            faults.push(format!("{}: {module} is not in the table", file.display()));
            continue;
        };
        seen += 1;
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for part in code.split("crate::").skip(1) {
                let name: String = part
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                if name.is_empty() && part.starts_with('{') {
                    let at = format!("{}:{}", file.display(), number + 1);
                    faults.push(format!("{at}: import each module on a line of its own"));
                }
                let known = allowed.contains_key(name.as_str());
                if known && name != module && !imports.contains(name.as_str()) {
                    let at = format!("{}:{}", file.display(), number + 1);
                    faults.push(format!("{at}: {module} must not import {name}"));
                }
            }
        }
    }
    assert!(seen > 10, "the sources are where this test looks");
    faults
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
