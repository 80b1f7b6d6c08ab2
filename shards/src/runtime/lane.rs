//! One asker's way to another shard: its errands are begun there one after the other, in the order
//! in which they were sent.
//!
//! An errand's future is awaited before the next one begins; what may go on beside the next it
//! spawns. A lane has room for so many errands; whoever sends more waits. When the lane is dropped,
//! what was sent is still done.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use futures_channel::mpsc;
use futures_core::Stream;
use odradek_engine::io::Io;

use super::mailbox::{Gone, LocalFuture, Mailboxes};

/// Errands that wait in one lane, at most.
const ERRANDS_MAX: usize = 64;

type Errand<T> = Box<dyn FnOnce(Rc<T>) -> LocalFuture<()> + Send>;

/// See the module. `T`: what errands are given there.
pub struct Lane<T>(RefCell<mpsc::Sender<Errand<T>>>);

impl<T: 'static> Lane<T> {
    /// Opens a lane. `io`: the asking shard's; `there` makes what errands are given.
    pub async fn open<S: 'static>(
        mail: &Mailboxes<S>,
        io: &Io,
        shard: u32,
        there: impl FnOnce(Rc<S>) -> T + Send + 'static,
    ) -> Lane<T> {
        // Each sender has a place of its own besides these.
        let (send, mut receive) = mpsc::channel::<Errand<T>>(ERRANDS_MAX - 1);
        mail.send(io, shard, move |spawner, state| {
            let there = Rc::new(there(state));
            let errands = async move {
                while let Some(errand) =
                    poll_fn(|context| Pin::new(&mut receive).poll_next(context)).await
                {
                    errand(there.clone()).await;
                }
            };
            spawner.spawn(errands).detach();
        })
        .await;
        Lane(RefCell::new(send))
    }

    /// Sends an errand once there is room for it.
    ///
    /// # Errors
    /// The other shard has stopped; the errand is lost.
    pub async fn send<F>(&self, errand: F) -> Result<(), Gone>
    where
        F: FnOnce(Rc<T>) -> LocalFuture<()> + Send + 'static,
    {
        poll_fn(|context| self.0.borrow_mut().poll_ready(context))
            .await
            .map_err(|_| Gone)?;
        let sent = self.0.borrow_mut().start_send(Box::new(errand));
        sent.map_err(|_| Gone)
    }
}
