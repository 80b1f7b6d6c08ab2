//! `odradek config`: settings of topics and brokers, shown and changed while they run.

mod get;
mod set;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

pub use self::get::{Scope, settings};
pub use self::set::{Change, change};

/// Show or change settings of topics and brokers.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    Get(get::GetArgs),
    Set(set::SetArgs),
}

/// What has settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Topic,
    Broker,
}

impl Kind {
    /// `ConfigResource.Type`.
    pub const fn code(self) -> i8 {
        match self {
            Kind::Topic => 2,
            Kind::Broker => 4,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// What the brokers refuse.
pub fn run(command: ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Get(args) => get::run(&args)?,
        ConfigCommand::Set(args) => set::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A broker's own answer counts for it; what is a topic's, or every broker's, any broker knows.
fn call<'q, Q: odradek_wire::Request<'q>>(
    cluster: &mut crate::client::Cluster,
    kind: Kind,
    name: &str,
    request: &Q,
) -> anyhow::Result<crate::client::Reply> {
    use anyhow::Context;
    Ok(match kind {
        Kind::Broker if !name.is_empty() => {
            let id = name
                .parse()
                .with_context(|| format!("a broker is named by its id, a number, not {name:?}"))?;
            cluster.call(id, request, i16::MAX)?
        }
        _ => cluster.call_any(request, i16::MAX)?,
    })
}
