//! What the connections of a shard have in common, and who answers their requests.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::io::Io;
use odradek_engine::task::Spawner;

use super::admission::Admission;
use super::connection::Peer;
use super::reply::{Outcome, Pledge, Unserved};
use crate::config::Settings;
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
    /// Open connections.
    pub(super) connections: Cell<usize>,
    /// Rate limit of log lines about refused connections.
    pub(super) refusals: Quiet,
    pub(super) service: Rc<S>,
}

impl<S: Service> Server<S> {
    /// Without connections.
    pub fn new(io: Io, spawner: Spawner, settings: Arc<Settings>, service: Rc<S>) -> Rc<Self> {
        Rc::new(Server {
            io,
            spawner,
            admission: Admission::new(settings.memory_request_bytes.max(1) as usize),
            connections: Cell::new(0),
            refusals: Quiet::default(),
            service,
            settings,
        })
    }
}
