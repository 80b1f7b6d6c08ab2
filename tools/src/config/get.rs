//! `odradek config get`

use std::io::Write;

use anyhow::bail;
use clap::Args;
use odradek_wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};

use super::{Kind, call};
use crate::client::{Cluster, check};
use crate::common::{ConnectArgs, print_table};

/// Show settings, and where each comes from.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GetArgs {
    /// What the settings are of
    #[arg(value_enum)]
    pub kind: Kind,
    /// Name of the topic, or id of the broker
    pub name: String,
    /// Only these settings, whatever they are; without any, those that are not the default
    #[arg(value_name = "SETTING")]
    pub settings: Vec<String>,
    /// All settings, also those that have their default
    #[arg(long, conflicts_with = "settings")]
    pub all: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek config get topic orders
  odradek config get topic orders retention.ms cleanup.policy
  odradek config get broker 1000 --all";

/// Which settings to show.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Those that somebody has set.
    Given,
    All,
    /// These.
    Named(&'a [String]),
}

pub(super) fn run(args: &GetArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    let scope = match args.settings.as_slice() {
        [] if args.all => Scope::All,
        [] => Scope::Given,
        named => Scope::Named(named),
    };
    let (rows, notes) = read(&mut cluster, args.kind, &args.name, scope)?;
    for wanted in &args.settings {
        if rows.iter().all(|row| row[0] != *wanted) {
            bail!("there is no setting {wanted}");
        }
    }
    print_table(&["SETTING", "VALUE", "FROM"], &rows)?;
    let mut out = std::io::stdout().lock();
    notes
        .iter()
        .filter(|_| !args.all)
        .try_for_each(|note| writeln!(out, "{note}"))?;
    Ok(())
}

/// Rows of name, value and origin, by name.
///
/// # Errors
/// What the broker refuses.
pub fn settings(
    cluster: &mut Cluster,
    kind: Kind,
    name: &str,
    scope: Scope<'_>,
) -> anyhow::Result<Vec<Vec<String>>> {
    Ok(read(cluster, kind, name, scope)?.0)
}

/// What the broker says of a setting that does nothing.
const NO_EFFECT: &str = "No effect here: ";

/// The same, and a line for each of them that does nothing, with the reason.
fn read(
    cluster: &mut Cluster,
    kind: Kind,
    name: &str,
    scope: Scope<'_>,
) -> anyhow::Result<(Vec<Vec<String>>, Vec<String>)> {
    const DEFAULT: i8 = 5;
    let keys = match scope {
        Scope::Named(names) => Some(names.iter().map(String::as_str).collect()),
        Scope::Given | Scope::All => None,
    };
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind.code(),
            resource_name: name,
            configuration_keys: keys,
        }],
        include_documentation: true,
        ..DescribeConfigsRequest::default()
    };
    let reply = call(cluster, kind, name, &request)?;
    let response: DescribeConfigsResponse<'_> = reply.read()?;
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for result in &response.results {
        check(result.error_code, result.error_message, || {
            format!("settings of {name}")
        })?;
        for config in &result.configs {
            if matches!(scope, Scope::Given) && config.config_source == DEFAULT {
                continue;
            }
            let value = match config.value {
                Some(value) => value,
                None if config.is_sensitive => "(hidden)",
                None => "(none)",
            };
            let why = config
                .documentation
                .and_then(|text| text.split_once(NO_EFFECT));
            if let Some((_, why)) = why {
                notes.push(format!("{} has no effect here: {why}", config.name));
            }
            rows.push(vec![
                config.name.to_owned(),
                value.to_owned(),
                source(config.config_source).to_owned(),
            ]);
        }
    }
    rows.sort();
    notes.sort();
    Ok((rows, notes))
}

/// `org.apache.kafka.common.requests.DescribeConfigsResponse.ConfigSource`
fn source(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker, dynamic",
        3 => "all brokers, dynamic",
        4 => "broker's file",
        5 => "default",
        6 => "broker logger",
        _ => "?",
    }
}
