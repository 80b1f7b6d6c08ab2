//! Accepting connections.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::{Errno, Handle};

use super::connection::serve;
use crate::broker::Broker;

/// Accepts until the task is dropped.
pub async fn accept_all(broker: Rc<Broker>, listener: Handle) {
    loop {
        match broker.io.accept(listener).await {
            Ok(socket) => {
                let max = broker.settings.max_connections as usize;
                if broker.connections.get() >= max {
                    broker.refusals.log(&broker.io, || {
                        tracing::warn!("connection refused: max.connections is {max}");
                    });
                    broker.io.close(socket).await;
                    continue;
                }
                broker.connections.set(broker.connections.get() + 1);
                let served = broker.clone();
                let task = async move {
                    serve(served.clone(), socket).await;
                    served.connections.set(served.connections.get() - 1);
                };
                broker.spawner.spawn(task).detach();
            }
            Err(Errno(libc::EMFILE | libc::ENFILE)) => {
                broker.refusals.log(&broker.io, || {
                    tracing::warn!("no file descriptor for a connection; raise ulimit -n");
                });
                broker.io.sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                tracing::debug!("accept failed: {error}");
                broker.io.sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
