//! What the connections of a shard have in common, and who answers their requests.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::io::Io;
use odradek_engine::task::Spawner;

use super::admission::Admission;
use super::connection::Peer;
use super::gate::Gate;
use super::idle::Idle;
use super::reply::{Outcome, Pledge, Unserved};
use crate::config::Settings;
use crate::metrics::Meter;
use crate::runtime::Quiet;

/// Answers requests.
pub trait Service: 'static {
    /// Replies of which there are many.
    type Pledge: Pledge;

    /// Takes a request that needs no waiting to be taken. `None`: nothing has been done about it,
    /// and it is for [`handle`](Self::handle).
    fn at_once(self: &Rc<Self>, request: &[u8]) -> Option<Outcome<Self::Pledge>>;

    /// Answers one request: its bytes after its length.
    ///
    /// # Errors
    /// The connection is closed.
    fn handle(
        self: &Rc<Self>,
        peer: &Rc<Peer>,
        request: &[u8],
    ) -> impl Future<Output = Result<Outcome<Self::Pledge>, Unserved>>;
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
    /// Rate limits of log lines: about connections that are refused, that wait for a place, that
    /// get no file descriptor.
    pub(super) refusals: Quiet,
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
        let request_bytes_max = settings.memory_request_bytes.max(1) as usize;
        Rc::new(Server {
            io,
            spawner,
            admission: Admission::new(request_bytes_max, meter.clone()),
            meter,
            gate,
            idle: Idle::default(),
            refusals: Quiet::default(),
            full: Quiet::default(),
            scarce: Quiet::default(),
            service,
            settings,
        })
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
