//! `odradek group`: consumer groups listed and described.

mod describe;
mod list;

use std::process::ExitCode;

use clap::Subcommand;

/// List or describe consumer groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
}

/// Runs the command.
///
/// # Errors
/// What the brokers refuse.
pub fn run(command: GroupCommand) -> anyhow::Result<ExitCode> {
    match command {
        GroupCommand::List(args) => list::run(&args)?,
        GroupCommand::Describe(args) => describe::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}
