//! Work that travels between shards: control, never the hot path.
//!
//! Each shard has one bounded inbox; a task there runs what arrives, in order. Whoever finds an
//! inbox full waits a moment and tries again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use odradek_engine::io::Io;
use odradek_engine::task::Spawner;

use super::inbox::Inbox;

/// Messages that wait in one inbox, at most.
const INBOX_MAX: usize = 4096;

type Work<S> = Box<dyn FnOnce(&Spawner, Rc<S>) + Send>;
/// A task of the shard that runs it.
pub type LocalFuture<R> = Pin<Box<dyn Future<Output = R>>>;

/// All shards' inboxes. `S`: what a shard is, to the work that reaches it; it stays on its thread.
pub struct Mailboxes<S>(Arc<[Inbox<Work<S>>]>);

/// The other shard is gone: the node is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl<S> Clone for Mailboxes<S> {
    fn clone(&self) -> Self {
        Mailboxes(self.0.clone())
    }
}

impl<S: 'static> Mailboxes<S> {
    /// Inboxes for `shards` shards.
    pub fn new(shards: u32) -> Self {
        Mailboxes((0..shards).map(|_| Inbox::new(INBOX_MAX)).collect())
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        self.0.len() as u32
    }

    /// Puts work into a shard's inbox; gives it back if the inbox is full.
    fn post(&self, shard: u32, work: Work<S>) -> Result<(), Work<S>> {
        self.0[shard as usize].push(work)
    }

    /// The same, from a thread that is no shard: tries until there is room.
    pub fn post_blocking(&self, shard: u32, work: impl FnOnce(Rc<S>) + Send + 'static) {
        let mut work: Work<S> = Box::new(move |_, state| work(state));
        while let Err(back) = self.post(shard, work) {
            work = back;
            std::thread::yield_now();
        }
    }

    /// Runs a task on a shard for a thread that is none. Nothing if its inbox is full; the answer
    /// is dropped if it stops before the task is done.
    pub fn ask<R, F>(&self, shard: u32, task: F) -> Option<oneshot::Receiver<R>>
    where
        R: Send + 'static,
        F: FnOnce(Rc<S>) -> LocalFuture<R> + Send + 'static,
    {
        let (work, receive) = answered(task);
        self.post(shard, work).ok().map(|()| receive)
    }

    /// Runs a task on another shard and gives its result. `io`: the asking shard's.
    ///
    /// # Errors
    /// [`Gone`] if that shard stops before the task is done.
    pub async fn call<R, F>(&self, io: &Io, shard: u32, task: F) -> Result<R, Gone>
    where
        R: Send + 'static,
        F: FnOnce(Rc<S>) -> LocalFuture<R> + Send + 'static,
    {
        let (work, receive) = answered(task);
        self.deliver(io, shard, work).await;
        receive.await.map_err(|_| Gone)
    }

    /// Puts work into a shard's inbox, once there is room. `io`: the sending shard's.
    pub async fn send(
        &self,
        io: &Io,
        shard: u32,
        work: impl FnOnce(&Spawner, Rc<S>) + Send + 'static,
    ) {
        self.deliver(io, shard, Box::new(work)).await;
    }

    async fn deliver(&self, io: &Io, shard: u32, mut work: Work<S>) {
        while let Err(back) = self.post(shard, work) {
            work = back;
            io.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs what arrives for a shard, on its thread, until the task is dropped.
    pub async fn serve(&self, shard: u32, spawner: Spawner, state: Rc<S>) {
        let inbox = &self.0[shard as usize];
        loop {
            let work = poll_fn(|context| inbox.poll(context)).await;
            work(&spawner, state.clone());
        }
    }
}

/// A task as work that sends its result.
fn answered<S: 'static, R, F>(task: F) -> (Work<S>, oneshot::Receiver<R>)
where
    R: Send + 'static,
    F: FnOnce(Rc<S>) -> LocalFuture<R> + Send + 'static,
{
    let (send, receive) = oneshot::channel();
    let work = Box::new(move |spawner: &Spawner, state| {
        let future = task(state);
        let answer = async move {
            // The asker may have gone; nobody minds.
            let _ = send.send(future.await);
        };
        spawner.spawn(answer).detach();
    });
    (work, receive)
}
