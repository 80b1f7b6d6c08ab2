//! `odradek config set`

use std::io::Write;

use anyhow::Context;
use clap::Args;
use odradek_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::{Kind, call};
use crate::client::{Cluster, check};
use crate::common::{self, ConnectArgs};

/// Change settings; they hold at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SetArgs {
    /// What the settings are of
    #[arg(value_enum)]
    pub kind: Kind,
    /// Name of the topic, or id of the broker; "" is every broker's
    pub name: String,
    /// What to set
    #[arg(value_name = "SETTING=VALUE", value_parser = common::key_value)]
    pub settings: Vec<(String, String)>,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek config set topic orders retention.ms=3600000
  odradek config set topic orders --unset retention.ms --append cleanup.policy=compact
  odradek config set broker 1000 log.retention.bytes=1000000000";

/// Changes besides setting.
#[derive(Debug, Clone, Default, Args)]
pub struct Change {
    /// Forget a setting: what it falls back to holds again
    #[arg(long, value_name = "SETTING")]
    pub unset: Vec<String>,
    /// Add items, comma-separated, to a setting that is a list
    #[arg(long, value_name = "SETTING=ITEMS", value_parser = common::key_value)]
    pub append: Vec<(String, String)>,
    /// Take items, comma-separated, from a setting that is a list
    #[arg(long, value_name = "SETTING=ITEMS", value_parser = common::key_value)]
    pub subtract: Vec<(String, String)>,
    /// Only say whether it could be done
    #[arg(long)]
    pub validate_only: bool,
}

pub(super) fn run(args: &SetArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    let count = change(
        &mut cluster,
        args.kind,
        &args.name,
        &args.settings,
        &args.change,
    )?;
    let done = match args.change.validate_only {
        true => "could change",
        false => "changed",
    };
    let settings = common::count(count as u64, "setting", "settings");
    writeln!(std::io::stdout(), "{done} {settings} of {}", args.name)?;
    Ok(())
}

/// Changes settings, all or none; how many.
///
/// # Errors
/// What the broker refuses; nothing to change.
pub fn change(
    cluster: &mut Cluster,
    kind: Kind,
    name: &str,
    set: &[(String, String)],
    change: &Change,
) -> anyhow::Result<usize> {
    // `AlterConfigOp.OpType`.
    let [set_to, delete, append, subtract] = [0i8, 1, 2, 3];
    let pairs = [
        (set_to, set),
        (append, &change.append),
        (subtract, &change.subtract),
    ];
    let mut configs: Vec<AlterableConfig<'_>> = pairs
        .iter()
        .flat_map(|(operation, pairs)| {
            pairs.iter().map(|(name, value)| AlterableConfig {
                name,
                config_operation: *operation,
                value: Some(value),
            })
        })
        .collect();
    configs.extend(change.unset.iter().map(|name| AlterableConfig {
        name,
        config_operation: delete,
        value: None,
    }));
    let count = configs.len();
    anyhow::ensure!(count > 0, "no setting is named: nothing to change");
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind.code(),
            resource_name: name,
            configs,
        }],
        validate_only: change.validate_only,
    };
    let reply = call(cluster, kind, name, &request)?;
    let response: IncrementalAlterConfigsResponse<'_> = reply.read()?;
    for one in &response.responses {
        check(one.error_code, one.error_message, || {
            format!("settings of {name}")
        })
        .context("nothing was changed")?;
    }
    Ok(count)
}
