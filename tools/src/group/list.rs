//! `odradek group list`

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Args;
use odradek_wire::list_groups::{ListGroupsRequest, ListGroupsResponse};

use crate::client::{ClientError, Cluster, check};
use crate::common::{ConnectArgs, print_table};

/// List the groups of all brokers.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub connect: ConnectArgs,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    // Each broker knows the groups it coordinates.
    let brokers: Vec<i32> = cluster.brokers().map(|broker| broker.id).collect();
    let mut groups = BTreeMap::new();
    for broker in brokers {
        let coordinated = list(&mut cluster, broker)
            .with_context(|| format!("cannot list the groups of broker {broker}"))?;
        groups.extend(coordinated);
    }
    let rows: Vec<Vec<String>> = groups.into_values().collect();
    print_table(
        &["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"],
        &rows,
    )?;
    Ok(())
}

fn list(cluster: &mut Cluster, broker: i32) -> Result<BTreeMap<String, Vec<String>>, ClientError> {
    let mut deadline = cluster.deadline();
    loop {
        match list_once(cluster, broker) {
            Ok(groups) => return Ok(groups),
            Err(error) => deadline.pause_or_give_up("the list of groups", error)?,
        }
    }
}

fn list_once(
    cluster: &mut Cluster,
    broker: i32,
) -> Result<BTreeMap<String, Vec<String>>, ClientError> {
    let reply = cluster.call(broker, &ListGroupsRequest::default(), i16::MAX)?;
    let response: ListGroupsResponse<'_> = reply.read()?;
    check(response.error_code, None, || {
        "the list of groups".to_owned()
    })?;
    let row = |group: &odradek_wire::list_groups::ListedGroup<'_>| {
        let columns = [
            group.group_id,
            group.group_state,
            group.group_type,
            group.protocol_type,
        ];
        let mut row: Vec<String> = columns.map(str::to_owned).to_vec();
        row.push(broker.to_string());
        (group.group_id.to_owned(), row)
    };
    Ok(response.groups.iter().map(row).collect())
}
