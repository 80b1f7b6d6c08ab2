//! `odradek group`: consumer groups listed, described and set back.

mod describe;
mod list;
mod reset;

use std::process::ExitCode;

use clap::Subcommand;

/// List or describe consumer groups, or set their offsets.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
    Reset(reset::ResetArgs),
}

/// Runs the command.
///
/// # Errors
/// What the brokers refuse.
pub fn run(command: GroupCommand) -> anyhow::Result<ExitCode> {
    match command {
        GroupCommand::List(args) => list::run(&args)?,
        GroupCommand::Describe(args) => describe::run(&args)?,
        GroupCommand::Reset(args) => reset::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}
