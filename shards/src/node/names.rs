//! Looks up the hosts of `max.connections.per.ip.overrides`: at the start, and when they change on a
//! thread of its own, which waits for the resolver as long as that takes.
//!
//! A host's address is the one that it has when the settings are read; as in Kafka.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};

use super::NodeError;
use crate::net::Gate;

/// Finds the hosts that are wanted now. Later ones are found for as long as the process runs.
///
/// # Errors
/// A host has no address; a thread cannot be started.
pub(super) fn serve(gate: &Arc<Gate>) -> Result<(), NodeError> {
    for name in gate.names() {
        match look_up(&name) {
            Ok(address) => gate.found(&name, address),
            Err(error) => return Err(NodeError::Name { name, error }),
        }
    }
    let (ask, asked) = mpsc::channel::<Vec<String>>();
    gate.looks_up_by(move |names| drop(ask.send(names)));
    let gate = Arc::downgrade(gate);
    std::thread::Builder::new()
        .name("names".into())
        .spawn(move || {
            for name in asked.into_iter().flatten() {
                let Some(gate) = gate.upgrade() else {
                    return;
                };
                match look_up(&name) {
                    Ok(address) => gate.found(&name, address),
                    Err(error) => tracing::error!(
                        "max.connections.per.ip.overrides: cannot find the address of {name}: \
                         {error}; it is no exception until the setting is made again"
                    ),
                }
            }
        })
        .map(drop)
        .map_err(super::system("starting a thread"))
}

/// The first address, those of four bytes before others, as Java has it.
fn look_up(name: &str) -> io::Result<IpAddr> {
    let found: Vec<SocketAddr> = (name, 0).to_socket_addrs()?.collect();
    let short = found.iter().find(|address| address.is_ipv4());
    let first = short.or_else(|| found.first());
    first
        .map(|address| address.ip())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}
