//! Sockets and listeners of one simulated host: what each end holds, and who waits on it.
//!
//! Bytes travel in pieces, in order; what has been sent and not yet received is bounded by the
//! receiving end's window, so a slow reader holds its sender up. Windows are small, 4 to
//! 256 KiB: two ends that both send more than that before they receive wait for each other.
//!
//! Absent on purpose: operations and time (see [`sockets`](super::sockets)), loss, other hosts.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

pub(super) type End = u32;
pub(super) type ListenerId = u32;
/// An operation in flight.
pub(super) type FlightId = u64;

/// Connections not yet accepted, per listener.
const BACKLOG_MAX: usize = 1024;

/// One end of a connection.
pub(super) struct Socket {
    pub(super) peer: End,
    pub(super) remote: SocketAddr,
    /// Arrived and not yet received.
    pub(super) inbox: VecDeque<u8>,
    /// Bytes on their way here.
    pub(super) travelling: usize,
    /// Bound of inbox and travelling together.
    pub(super) window: usize,
    /// When the last thing sent here arrives: nothing overtakes it.
    pub(super) arrives: u64,
    /// The peer's end of stream has arrived.
    pub(super) fin: bool,
    /// Ours has been sent.
    pub(super) fin_sent: bool,
    /// Shut down here.
    pub(super) shut: bool,
    /// Reset by the peer.
    pub(super) broken: bool,
    /// What the next operation is told of that.
    pub(super) error: Option<i32>,
    /// No handle and no operation holds it any more.
    pub(super) released: bool,
    pub(super) receivers: VecDeque<FlightId>,
    pub(super) sender: Option<FlightId>,
    pub(super) writers: Vec<FlightId>,
}

impl Socket {
    fn new(peer: End, remote: SocketAddr, window: usize) -> Self {
        Socket {
            peer,
            remote,
            inbox: VecDeque::new(),
            travelling: 0,
            window,
            arrives: 0,
            fin: false,
            fin_sent: false,
            shut: false,
            broken: false,
            error: None,
            released: false,
            receivers: VecDeque::new(),
            sender: None,
            writers: Vec::new(),
        }
    }

    /// Bytes that may still be sent here.
    pub(super) fn room(&self) -> usize {
        self.window
            .saturating_sub(self.inbox.len() + self.travelling)
    }

    /// Nothing more will arrive.
    pub(super) fn ended(&self) -> bool {
        self.fin || self.shut || self.broken
    }
}

/// A listening address.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) shared: bool,
    pub(super) shut: bool,
    pub(super) backlog: VecDeque<End>,
    pub(super) acceptors: VecDeque<FlightId>,
}

/// The network of one process.
#[derive(Default)]
pub(super) struct Net {
    pub(super) sockets: BTreeMap<End, Socket>,
    pub(super) listeners: BTreeMap<ListenerId, Listener>,
    next: u32,
    ports: u16,
}

const PORT_FIRST: u16 = 32_768;

impl Net {
    fn port(&mut self) -> u16 {
        loop {
            let port = PORT_FIRST + self.ports % (u16::MAX - PORT_FIRST);
            self.ports = self.ports.wrapping_add(1);
            if !self.listeners.values().any(|l| l.address.port() == port) {
                return port;
            }
        }
    }

    /// Binds and listens; the address with its port.
    pub(super) fn listen(
        &mut self,
        address: SocketAddr,
        shared: bool,
    ) -> Result<(ListenerId, SocketAddr), i32> {
        let mut address = address;
        if address.port() == 0 {
            address.set_port(self.port());
        }
        let taken = self.listeners.values().any(|other| {
            let (a, b) = (other.address.ip(), address.ip());
            other.address.port() == address.port()
                && (a == b || a.is_unspecified() || b.is_unspecified())
                && !(other.shared && shared && a == b)
        });
        if taken {
            return Err(libc::EADDRINUSE);
        }
        self.next += 1;
        self.listeners.insert(
            self.next,
            Listener {
                address,
                shared,
                shut: false,
                backlog: VecDeque::new(),
                acceptors: VecDeque::new(),
            },
        );
        Ok((self.next, address))
    }

    /// Who listens where `address` leads.
    pub(super) fn listening(&self, address: SocketAddr) -> Vec<ListenerId> {
        let reaches = |ip: IpAddr| {
            ip == address.ip()
                || ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4())
                || address.ip().is_unspecified() && ip.is_loopback()
        };
        self.listeners
            .iter()
            .filter(|(_, l)| {
                l.address.port() == address.port()
                    && reaches(l.address.ip())
                    && !l.shut
                    && l.backlog.len() < BACKLOG_MAX
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// Connects to a listener: the client's end. The server's end waits to be accepted.
    pub(super) fn connect(
        &mut self,
        address: SocketAddr,
        listener: ListenerId,
        windows: (usize, usize),
    ) -> End {
        let (client, server) = (self.next + 1, self.next + 2);
        self.next += 2;
        let from = SocketAddr::new(address.ip(), self.port());
        self.sockets
            .insert(client, Socket::new(server, address, windows.0));
        self.sockets
            .insert(server, Socket::new(client, from, windows.1));
        let listener = self.listeners.get_mut(&listener).expect("it listens");
        listener.backlog.push_back(server);
        client
    }

    /// Forgets a connection whose ends are both released.
    pub(super) fn forget(&mut self, end: End) {
        let peer = self.sockets[&end].peer;
        let gone = |end| self.sockets.get(&end).is_none_or(|s: &Socket| s.released);
        if gone(end) && gone(peer) {
            self.sockets.remove(&end);
            self.sockets.remove(&peer);
        }
    }
}
