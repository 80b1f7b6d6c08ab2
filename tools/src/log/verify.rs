//! `odradek log verify`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use odradek_verify::{Checks, Report, partitions, verify_partition};

use crate::common;

/// Check every batch, offset, epoch and index entry of a log; exit code 1 if anything is wrong.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// A partition's directory, or a log directory with all its partitions
    #[arg(value_name = "DIR", required = true)]
    pub directories: Vec<PathBuf>,
    /// Open every batch, too, and check its records
    #[arg(long)]
    pub records: bool,
    /// Offsets may be missing, as in compacted topics
    #[arg(long)]
    pub allow_gaps: bool,
    /// Print faults only
    #[arg(long, short)]
    pub quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  odradek log verify /var/lib/odradek
  odradek log verify --records /var/lib/odradek/orders-0";

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let checks = Checks {
        records: args.records,
        gaps_allowed: args.allow_gaps,
    };
    let mut out = std::io::stdout().lock();
    let mut faults = 0;
    for directory in &args.directories {
        let partitions = partitions(directory)?;
        if partitions.is_empty() {
            bail!("there is no log in {}", directory.display());
        }
        for partition in partitions {
            let name = partition.file_name().unwrap_or_default().to_string_lossy();
            let report = verify_partition(&partition, checks)?;
            for fault in &report.faults {
                writeln!(out, "{name}: FAULT: {fault}")?;
            }
            for path in &report.padded {
                writeln!(out, "{name}: note: {} ends with zeros", path.display())?;
            }
            faults += report.faults.len();
            if !args.quiet {
                writeln!(out, "{name}: {}", summary(&report))?;
            }
        }
    }
    Ok(match faults {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn summary(report: &Report) -> String {
    let state = match report.faults.len() {
        0 => "ok".to_owned(),
        faults => common::count(faults as u64, "fault", "faults"),
    };
    let offsets = match report.offsets {
        Some((first, next)) => format!("offsets {first} to {}", next.0 - 1),
        None => "empty".to_owned(),
    };
    let mut text = [
        format!("{state}: {offsets}"),
        common::count(report.records, "record", "records"),
        common::count(report.batches, "batch", "batches"),
        common::count(report.segments as u64, "segment", "segments"),
        common::bytes(report.bytes),
        common::count(report.index_entries as u64, "index entry", "index entries"),
    ]
    .join(", ");
    if report.padding > 0 {
        text.push_str(&format!(", {} bytes of zeros at the end", report.padding));
    }
    text
}
