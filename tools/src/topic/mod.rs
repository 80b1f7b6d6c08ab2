//! `odradek topic`: topics made, listed, described, changed, moved and deleted.

mod alter;
mod create;
mod delete;
mod describe;
mod directories;
mod list;
mod moves;
mod places;

use std::process::ExitCode;

use clap::Subcommand;

/// Create, list, describe, change, move or delete topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    Create(create::CreateArgs),
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
    Alter(alter::AlterArgs),
    Move(moves::MoveArgs),
    Delete(delete::DeleteArgs),
}

/// Runs the command.
///
/// # Errors
/// What the brokers refuse.
pub fn run(command: TopicCommand) -> anyhow::Result<ExitCode> {
    match command {
        TopicCommand::Create(args) => create::run(&args)?,
        TopicCommand::List(args) => list::run(&args)?,
        TopicCommand::Describe(args) => describe::run(&args)?,
        TopicCommand::Alter(args) => alter::run(&args)?,
        TopicCommand::Move(args) => moves::run(&args)?,
        TopicCommand::Delete(args) => delete::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}
