//! What the connections of a shard have in common, and who answers their requests.

use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::io::Io;
use odradek_engine::task::Spawner;

use super::admission::Admission;
use super::connection::{Peer, serve};
use super::gate::Gate;
use super::hand_over::{Arrival, HandOver};
use super::idle::Idle;
use super::reply::{Outcome, Pledge, Unserved};
use super::request::Request;
use crate::config::Settings;
use crate::metrics::Meter;
use crate::runtime::Quiet;

/// Answers requests.
pub trait Service: 'static {
    /// Replies of which there are many.
    type Pledge: Pledge;
    /// What it keeps of each connection.
    type Aside: Default + 'static;
    /// What of that goes with a connection to another shard.
    type Luggage: Send + 'static;

    /// Somebody connects: how many milliseconds too soon. Then it is not served.
    fn connects(&self, address: IpAddr) -> u32;

    /// Takes a request that needs no waiting to be taken. `None`: nothing has been done about it,
    /// and it is for [`handle`](Self::handle).
    fn at_once(
        self: &Rc<Self>,
        peer: &Rc<Peer<Self::Aside>>,
        request: &[u8],
    ) -> Option<Outcome<Self::Pledge>>;

    /// Where in a page the first byte of a request should be received, seen what is here of it
    /// (after its length), so that what it brings need not be copied. 0 if that is all the same.
    fn place(&self, head: &[u8]) -> usize;

    /// Answers one request: its bytes after its length.
    ///
    /// # Errors
    /// The connection is closed.
    fn handle(
        self: &Rc<Self>,
        peer: &Rc<Peer<Self::Aside>>,
        request: &Request<'_>,
    ) -> impl Future<Output = Result<Outcome<Self::Pledge>, Unserved>>;

    /// The shard that a connection should go to before its next request, if that is another one.
    fn bound_for(&self, peer: &Peer<Self::Aside>) -> Option<u32>;

    /// What goes with the connection, which ends here.
    fn pack(&self, peer: &Peer<Self::Aside>) -> Self::Luggage;

    /// Takes what came with a connection.
    fn unpack(&self, peer: &Peer<Self::Aside>, luggage: Self::Luggage);

    /// Brings a connection to another shard's [`Server::adopt`].
    fn hand_over(
        &self,
        shard: u32,
        connection: HandOver<Self::Luggage>,
    ) -> impl Future<Output = ()>;
}

/// See the module.
pub struct Server<S> {
    pub(super) io: Io,
    pub(super) spawner: Spawner,
    pub(super) settings: Arc<Settings>,
    /// Bytes of requests held at once.
    pub(super) admission: Rc<Admission>,
    pub(super) meter: Rc<Meter>,
    /// The node's.
    pub(super) gate: Arc<Gate>,
    pub(super) idle: Idle,
    /// Rate limits of log lines: about connections that are refused, that are closed for what they
    /// sent, that wait for a place, that get no file descriptor. One does not mute another.
    pub(super) refusals: Quiet,
    pub(super) faults: Quiet,
    pub(super) full: Quiet,
    pub(super) scarce: Quiet,
    pub(super) service: Rc<S>,
}

impl<S: Service> Server<S> {
    /// Without connections.
    pub fn new(
        io: Io,
        spawner: Spawner,
        settings: Arc<Settings>,
        meter: Rc<Meter>,
        gate: Arc<Gate>,
        service: Rc<S>,
    ) -> Rc<Self> {
        let most = settings.memory_request_bytes.max(1);
        let request_bytes_max = match settings.queued_max_request_bytes {
            queued @ 1.. => most.min(queued) as usize,
            _ => most as usize,
        };
        Rc::new(Server {
            io,
            spawner,
            admission: Admission::new(request_bytes_max, meter.clone()),
            meter,
            gate,
            idle: Idle::default(),
            refusals: Quiet::default(),
            faults: Quiet::default(),
            full: Quiet::default(),
            scarce: Quiet::default(),
            service,
            settings,
        })
    }

    /// Goes on with a connection that another shard hands over.
    pub fn adopt(self: &Rc<Self>, connection: HandOver<S::Luggage>) {
        self.begin(Arrival::HandedOver(connection));
    }

    pub(super) fn begin(self: &Rc<Self>, arrival: Arrival<S::Luggage>) {
        let meter = &self.meter;
        meter.connections.set(meter.connections.get() + 1);
        let server = self.clone();
        let task = async move {
            serve(&server, arrival).await;
            let connections = &server.meter.connections;
            connections.set(connections.get() - 1);
        };
        self.spawner.spawn(task).detach();
    }
}

/// Closes idle connections until the task is dropped; see `connections.max.idle.ms`.
pub async fn close_idle<S: Service>(server: Rc<Server<S>>) {
    // A negative limit is none.
    if let Ok(ms) = u64::try_from(server.settings.connections_max_idle_ms) {
        let limit = Duration::from_millis(ms);
        server.idle.sweep(&server.io, limit, &server.meter).await;
    }
}
