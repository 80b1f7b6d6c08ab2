//! A connection on its way from one shard to another.
//!
//! It goes at a request boundary, when every reply has been sent and no receive is under way, so
//! that it consists of its socket, of bytes that were received and not taken, and of what the
//! service keeps of it. The peer notices nothing; if it has left meanwhile, the next receive says
//! so.

use std::net::SocketAddr;

use odradek_engine::io::Handle;

use super::gate::Pass;

/// See the module. `L`: what the service sends along.
///
/// The socket is open for as long as nobody serves it: whoever drops this instead leaves it to the
/// end of the process.
pub struct HandOver<L> {
    pub(super) socket: Handle,
    pub(super) address: Option<SocketAddr>,
    pub(super) software: Option<(String, String)>,
    /// Begins with a request.
    pub(super) unread: Vec<u8>,
    pub(super) luggage: L,
    /// Its place among the node's connections.
    pub(super) pass: Pass,
}

/// How a connection comes to a shard.
pub(super) enum Arrival<L> {
    Accepted(Handle, Pass),
    HandedOver(HandOver<L>),
}
