//! `odradek bench page`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::floor::KnownFloors;
use crate::matrix;
use crate::peers::Report;
use crate::record;
use crate::report::{RunResult, html, save};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct PageArgs {
    /// Kept results, as JSON
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// Where pages are written [default: beside their results]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Where results of `odradek bench floor` are: the newest of a result's CPU is drawn into its
    /// plots where it keeps none
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    floors: PathBuf,
}

pub(super) fn run(args: &PageArgs) -> Result<()> {
    for result in &args.results {
        let page = page(result, &args.floors)
            .with_context(|| format!("cannot make the page of {}", result.display()))?;
        let mut path = result.with_extension("html");
        if let (Some(dir), Some(name)) = (&args.to, path.file_name()) {
            path = dir.join(name);
        }
        save::write(&path, page.as_bytes())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Of a result of any kind that has one.
fn page(result: &Path, floors: &Path) -> Result<String> {
    let text = std::fs::read(result)?;
    let value: Value = serde_json::from_slice(&text)?;
    let has = |names: &[&str]| names.iter().all(|name| value.get(*name).is_some());
    // From the text: a histogram's numbers would be copied once more out of the value.
    Ok(if has(&["contestants", "cells"]) {
        let mut report: Report = serde_json::from_slice(&text)?;
        if report.floors.is_none() {
            report.floors = KnownFloors::newest(floors, &report.machine);
        }
        report.page()
    } else if has(&["terms", "cells"]) {
        let mut outcome: matrix::Outcome = serde_json::from_slice(&text)?;
        outcome.put_floors(floors);
        outcome.html()
    } else if has(&["contests"]) {
        record::html(&serde_json::from_slice(&text)?)
    } else if has(&["timeline", "validity"]) {
        let mut run: RunResult = serde_json::from_slice(&text)?;
        super::options::put_floors(&mut run, floors);
        html::page(&run)
    } else if has(&["configuration", "floors"]) {
        crate::floor::html(&serde_json::from_slice(&text)?)
    } else {
        bail!("it is no result that has a page")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

    #[test]
    fn kept_results_have_small_pages_with_plots() {
        let mut seen = 0;
        for entry in std::fs::read_dir(KEPT).expect("results") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.expect("a name").to_owned();
            if !name.ends_with(".json") || name.starts_with("real-input") {
                continue;
            }
            let page = page(&path, Path::new(KEPT)).unwrap_or_else(|why| panic!("{name}: {why:#}"));
            assert!(page.len() < 1_000_000, "{name}: {} bytes", page.len());
            assert!(
                !page.contains("<script") && !page.contains("http"),
                "{name}"
            );
            assert!(!page.contains("NaN") && !page.contains("inf,"), "{name}");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn a_page_has_what_its_result_knows() {
        let page = |name: &str| page(&Path::new(KEPT).join(name), Path::new(KEPT)).expect(name);
        let peers = page("peers-2026-11-23-1630-575e2d838d.json");
        for what in [
            "aria-label=\"CPU split\"",
            "aria-label=\"CPU per GB\"",
            "aria-label=\"Rate over time\"",
            "aria-label=\"Lag over time\"",
            "Over time; Odradek: run 1 of 2; Apache Kafka 4.3.1, heap 1g: run 1 of 2",
            "floors, the same bytes",
            "floor: ping-pong",
            "closed loops of one driver thread send the same batch again",
        ] {
            assert!(peers.contains(what), "no {what}");
        }
        let matrix = page("2026-11-23-1254-matrix-56dc81652b.json");
        for what in ["floor-mark", "Latency by percentile", "CPU s/GB, floor"] {
            assert!(matrix.contains(what), "no {what}");
        }
        let record = page("2026-11-23-0403-fb26cebc39.json");
        assert!(record.contains("closed loops of one driver thread"));
    }

    #[test]
    fn what_is_no_result_is_said_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("other.json");
        std::fs::write(&path, "{\"cells\": []}").expect("a file");
        let why = page(&path, dir.path()).expect_err("no result");
        assert!(why.to_string().contains("no result that has a page"));
    }
}
