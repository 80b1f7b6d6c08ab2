//! `odradek serve`: the node itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use odradek_shards::config::Settings;

use crate::common;

/// Run a node until SIGINT or SIGTERM.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    #[command(flatten)]
    pub node: NodeArgs,
}

// Not a doc comment: it would become the help of whatever has these arguments.
// The settings of a node.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Settings in Kafka's properties format; without it, all defaults
    #[arg(value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting that overrides the file's; the last of a name wins
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = common::key_value)]
    pub overrides: Vec<(String, String)>,
}

const EXAMPLES: &str = "\
Examples:
  odradek serve
  odradek serve config/server.properties --set shards=2 --set log.dirs=/var/lib/odradek";

/// Reads the settings and runs the node.
///
/// # Errors
/// Settings that cannot be read or are refused, each with what to mend; what stops the node.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(&args.node)?;
    node(settings)?;
    Ok(ExitCode::SUCCESS)
}

/// The settings that the arguments ask for; warnings are logged.
///
/// # Errors
/// A file that cannot be read, a setting that is refused.
pub fn settings(args: &NodeArgs) -> anyhow::Result<Settings> {
    let text = match &args.config {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the settings in {}", path.display()))?,
        ),
        None => None,
    };
    let (settings, warnings) =
        Settings::load(text.as_deref(), &args.overrides).with_context(|| match &args.config {
            Some(path) => format!("settings in {} and --set are refused", path.display()),
            None => "settings are refused".to_owned(),
        })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// Runs the node; says on stdout, in one line, when and where it serves.
fn node(settings: Settings) -> anyhow::Result<()> {
    odradek_shards::node::run(settings, |ready| println!("{ready}"))?;
    Ok(())
}
