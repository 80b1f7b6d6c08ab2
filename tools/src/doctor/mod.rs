//! `odradek doctor`: what a node would find on this machine, and what it would make of it.
//!
//! Nothing is guessed: rings and drivers are made, the file system is written to (a file without a name, gone
//! at once). Every finding says what will be used, and why.

mod kernel;
mod machine;
mod storage;

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use odradek_shards::config::Settings;

use crate::serve::{self, NodeArgs};

/// Tell whether, and how, a node would run here; exit code 1 if it would not.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub node: NodeArgs,
}

const EXAMPLES: &str = "\
Takes what serve takes, so that the same settings are judged.

Examples:
  odradek doctor
  odradek doctor config/server.properties --set log.dirs=/var/lib/odradek";

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Good,
    /// The node runs, but not as well as it could.
    Weak,
    /// The node does not run.
    Bad,
}

/// One thing looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    pub subject: &'static str,
    pub state: State,
    /// What was found.
    pub found: String,
    /// What will be used, or is to be done, and why.
    pub consequence: String,
}

impl Finding {
    fn new(
        subject: &'static str,
        state: State,
        found: impl Into<String>,
        consequence: impl Into<String>,
    ) -> Self {
        Self {
            subject,
            state,
            found: found.into(),
            consequence: consequence.into(),
        }
    }
}

/// Examines the machine and prints the findings.
///
/// # Errors
/// Settings that cannot be read or are refused.
pub fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let settings = serve::settings(&args.node)?;
    let findings = examine(&settings);
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        let mark = match finding.state {
            State::Good => "ok  ",
            State::Weak => "weak",
            State::Bad => "BAD ",
        };
        writeln!(out, "{mark}  {:<14}  {}", finding.subject, finding.found)?;
        writeln!(out, "{:20}  -> {}", "", finding.consequence)?;
    }
    let bad = findings.iter().any(|finding| finding.state == State::Bad);
    writeln!(
        out,
        "{}",
        match bad {
            true => "A node cannot run here as it is set: see what is BAD.",
            false => "A node can run here.",
        }
    )?;
    Ok(match bad {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// All findings for a node of these settings.
pub fn examine(settings: &Settings) -> Vec<Finding> {
    let cpus = machine::cpus_allowed();
    let mut findings = kernel::examine(settings);
    findings.extend(storage::examine(settings));
    findings.extend(machine::examine(settings, &cpus));
    findings
}
