//! Whether a server answers for every partition it has.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, ensure};
use odradek_wire::Message;
use odradek_wire::metadata::{MetadataRequest, MetadataResponse};

use crate::drive::{Admin, check, leads, reply_body};

/// Partitions by their leader.
type Led = BTreeMap<SocketAddr, Vec<(String, i32)>>;

/// Partitions of all topics, once each has a leader that answers for it.
///
/// # Errors
/// When it does not (yet): nobody listens, no broker is known, a partition without a leader.
pub(super) fn partitions_served(brokers: &str) -> Result<usize> {
    let mut admin = Admin::bootstrap(brokers)?;
    let led = leaders(&mut admin)?;
    let mut served = 0;
    for (leader, partitions) in &led {
        leads(&mut Admin::connect(*leader)?, partitions)?;
        served += partitions.len();
    }
    Ok(served)
}

fn leaders(admin: &mut Admin) -> Result<Led> {
    let version = admin.version::<MetadataRequest>(9)?;
    let request = MetadataRequest {
        topics: None,
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let reply = admin.call(&request, version)?;
    let mut body = reply_body(&reply, MetadataRequest::API_KEY, version)?;
    let response = MetadataResponse::decode(&mut body, version)?;
    ensure!(!response.brokers.is_empty(), "no broker is known yet");
    let mut led = Led::new();
    for topic in &response.topics {
        check("Metadata", topic.error_code)?;
        let name = topic.name.unwrap_or_default();
        for partition in &topic.partitions {
            check("Metadata", partition.error_code)?;
            let mut brokers = response.brokers.iter();
            let broker = brokers.find(|broker| broker.node_id == partition.leader_id);
            let broker = broker.context("a partition without a leader")?;
            let mut addresses = (broker.host, u16::try_from(broker.port)?).to_socket_addrs()?;
            let leader = addresses.next().context("a leader's address")?;
            let one = (name.to_owned(), partition.partition_index);
            led.entry(leader).or_default().push(one);
        }
    }
    Ok(led)
}
