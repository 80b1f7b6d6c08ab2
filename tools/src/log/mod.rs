//! `odradek log`: Kafka's segment files, read straight from the disk.
//!
//! No node and no lock is needed. Of a log that is being written, the end may be seen half done.

mod dump;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;
pub use odradek_verify::{Checks, Fault, Report, Segment, Step, partitions, verify_partition};

/// Look into the files of a log, or check them.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    Dump(dump::DumpArgs),
    Verify(verify::VerifyArgs),
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read. What is wrong inside them is printed, and the exit code is 1.
pub fn run(command: LogCommand) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Dump(args) => dump::run(&args),
        LogCommand::Verify(args) => verify::run(&args),
    }
}
