//! Accepting connections.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::{Errno, Handle};

use super::gate::Pass;
use super::hand_over::Arrival;
use super::server::{Server, Service};
use crate::metrics::bump;

/// How often a listener looks whether somebody has left.
const LOOK: Duration = Duration::from_millis(20);
/// The pause after a connection for which there was no file descriptor.
const SCARCE: Duration = Duration::from_millis(100);

/// Accepts until the task is dropped.
pub async fn accept_all<S: Service>(server: Rc<Server<S>>, listener: Handle) {
    loop {
        match server.io.accept(listener).await {
            Ok(socket) if server.gate.scarce(socket) => {
                server.io.close(socket).await;
                no_descriptor(&server).await;
            }
            Ok(socket) => {
                in_time(&server).await;
                let pass = place(&server).await;
                bump(&server.meter.accepted, 1);
                server.begin(Arrival::Accepted(socket, pass));
            }
            Err(Errno(libc::EMFILE | libc::ENFILE)) => no_descriptor(&server).await,
            Err(error) => {
                tracing::debug!("accept failed: {error}");
                server.io.sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn no_descriptor<S: Service>(server: &Server<S>) {
    bump(&server.meter.accept_waits, 1);
    server.scarce.log(&server.io, || {
        tracing::warn!(
            "no file descriptor can be spared for a connection: close some, or raise nofile \
             (ulimit -n)"
        );
    });
    server.io.sleep(SCARCE).await;
}

/// Lets the time pass that `max.connection.creation.rate` puts before a connection.
async fn in_time<S: Service>(server: &Server<S>) {
    if let Some(until) = server.gate.early(server.io.now()) {
        bump(&server.meter.accept_waits, 1);
        server.io.sleep_until(until).await;
    }
}

/// A place for a connection that is accepted already; waits for one.
async fn place<S: Service>(server: &Server<S>) -> Pass {
    if let Some(pass) = server.gate.enter() {
        return pass;
    }
    bump(&server.meter.accept_waits, 1);
    loop {
        server.full.log(&server.io, || {
            let max = server.gate.max();
            tracing::warn!("connections wait to be accepted: there are max.connections={max}");
        });
        server.io.sleep(LOOK).await;
        if let Some(pass) = server.gate.enter() {
            return pass;
        }
    }
}
