//! Accepting connections.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::{Errno, Handle};

use super::hand_over::Arrival;
use super::server::{Server, Service};

/// Accepts until the task is dropped.
pub async fn accept_all<S: Service>(server: Rc<Server<S>>, listener: Handle) {
    loop {
        match server.io.accept(listener).await {
            Ok(socket) => {
                let max = server.settings.max_connections as usize;
                if server.connections.get() >= max {
                    server.refusals.log(&server.io, || {
                        tracing::warn!("connection refused: max.connections is {max}");
                    });
                    server.io.close(socket).await;
                    continue;
                }
                server.begin(Arrival::Accepted(socket));
            }
            Err(Errno(libc::EMFILE | libc::ENFILE)) => {
                server.refusals.log(&server.io, || {
                    tracing::warn!("no file descriptor for a connection; raise ulimit -n");
                });
                server.io.sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                tracing::debug!("accept failed: {error}");
                server.io.sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
