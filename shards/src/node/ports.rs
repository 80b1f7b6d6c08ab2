//! Binding the bootstrap port and one port per shard.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::io::{self, Errno, Handle, Listening};

use super::NodeError;
use crate::broker::Endpoint;
use crate::config::{Settings, ShardLayout, ShardPorts};

/// How often, and after what pause, a port in use is tried again: three seconds in all.
const IN_USE_TRIES: u32 = 60;
const IN_USE_PAUSE: Duration = Duration::from_millis(50);

/// Tries at finding a contiguous free range.
const RANGE_TRIES: u32 = 64;

/// What was bound.
pub(super) struct Bound {
    /// For each shard: the bootstrap port's listener and its own.
    pub listeners: Vec<Vec<Handle>>,
    /// As clients see them: each shard's, or the node's.
    pub endpoints: Arc<[Endpoint]>,
    pub bootstrap: String,
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, NodeError> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let fail = |error| NodeError::Listen {
        address: format!("{host}:{port}"),
        error,
    };
    let mut found = (host, port).to_socket_addrs().map_err(fail)?;
    found
        .next()
        .ok_or_else(|| fail(std::io::ErrorKind::NotFound.into()))
}

/// Listens. A port in use is tried again for a while: the rings of a process that was just killed
/// keep its sockets for some milliseconds after it is gone.
fn listen(address: SocketAddr, how: &Listening) -> Result<(Handle, SocketAddr), NodeError> {
    let mut tries = IN_USE_TRIES;
    loop {
        match io::listen(address, how) {
            Err(Errno(libc::EADDRINUSE)) if tries > 0 => {
                tries -= 1;
                std::thread::sleep(IN_USE_PAUSE);
            }
            result => {
                return result.map_err(|errno| NodeError::Listen {
                    address: address.to_string(),
                    error: errno.into(),
                });
            }
        }
    }
}

/// Binds the first listener; every shard binds the bootstrap port (SO_REUSEPORT).
pub(super) fn bind(settings: &Settings, layout: &ShardLayout) -> Result<Bound, NodeError> {
    let listener = &settings.listeners[0];
    let advertised = &settings.advertised[0];
    let count = layout.count;
    // Without SO_REUSEPORT first: another server on the port must be noticed.
    let buffer = |bytes: i32| (bytes >= 0).then_some(bytes);
    let alone = Listening {
        shared: false,
        backlog: settings.socket_listen_backlog_size,
        send_buffer: buffer(settings.socket_send_buffer_bytes),
        receive_buffer: buffer(settings.socket_receive_buffer_bytes),
    };
    let shared = Listening {
        shared: count > 1,
        ..alone
    };
    drop_probe(resolve(&listener.host, listener.port)?, &alone)?;
    let (first, address) = listen(resolve(&listener.host, listener.port)?, &shared)?;
    let mut bootstraps = vec![first];
    for _ in 1..count {
        bootstraps.push(listen(address, &shared)?.0);
    }
    let host = if advertised.host.is_empty() || advertised.host == "0.0.0.0" {
        local_name(&listener.host)
    } else {
        advertised.host.clone()
    };
    let own: Vec<(Handle, u16)> = match layout.ports[0] {
        ShardPorts::Listener => Vec::new(),
        ShardPorts::From(base) => (0..count)
            .map(|shard| {
                let at = SocketAddr::new(address.ip(), base + shard);
                listen(at, &alone).map(|(handle, at)| (handle, at.port()))
            })
            .collect::<Result<_, _>>()?,
        ShardPorts::Free => free_range(address, count, &alone)?,
    };
    let port = |shard: usize| match own.get(shard) {
        Some((_, port)) => *port,
        None if advertised.port != 0 => advertised.port,
        None => address.port(),
    };
    let brokers = match settings.one_address() {
        true => 1,
        false => usize::from(count),
    };
    let endpoints = (0..brokers)
        .map(|shard| Endpoint {
            host: host.clone(),
            port: port(shard),
        })
        .collect();
    let listeners = bootstraps
        .into_iter()
        .enumerate()
        .map(|(shard, bootstrap)| {
            let own = own.get(shard).map(|(handle, _)| *handle);
            [Some(bootstrap), own].into_iter().flatten().collect()
        })
        .collect();
    Ok(Bound {
        listeners,
        endpoints,
        bootstrap: format!("{host}:{}", address.port()),
    })
}

fn drop_probe(address: SocketAddr, how: &Listening) -> Result<(), NodeError> {
    if address.port() == 0 {
        return Ok(());
    }
    let (probe, _) = listen(address, how)?;
    io::close(probe);
    Ok(())
}

/// A contiguous range of free ports, wherever there is one.
fn free_range(
    address: SocketAddr,
    count: u16,
    how: &Listening,
) -> Result<Vec<(Handle, u16)>, NodeError> {
    for _ in 0..RANGE_TRIES {
        let (handle, start) = listen(SocketAddr::new(address.ip(), 0), how)?;
        let start = start.port();
        let mut range = vec![(handle, start)];
        for next in 1..count {
            let Some(port) = start.checked_add(next) else {
                break;
            };
            match io::listen(SocketAddr::new(address.ip(), port), how) {
                Ok((handle, _)) => range.push((handle, port)),
                Err(_) => break,
            }
        }
        if range.len() == usize::from(count) {
            return Ok(range);
        }
        for (handle, _) in range {
            io::close(handle);
        }
    }
    Err(NodeError::NoPorts { count })
}

/// What clients are told if nothing is configured: the host that is listened on, or this
/// machine's name where that is every address.
fn local_name(host: &str) -> String {
    let any = matches!(host, "" | "0.0.0.0" | "::");
    if !any {
        return host.to_owned();
    }
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| (name.as_str(), 0).to_socket_addrs().is_ok())
        .unwrap_or_else(|| "localhost".to_owned())
}
