//! Work that travels between shards: control, never the hot path.
//!
//! Each shard has one bounded inbox; a task there runs what arrives, in order. Whoever finds an
//! inbox full waits a moment and tries again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use futures_channel::oneshot;

use crate::broker::Broker;

/// Messages that wait in one inbox, at most.
const INBOX_MAX: usize = 4096;

type Work = Box<dyn FnOnce(Rc<Broker>) + Send>;
/// A task of the shard that runs it.
pub type LocalFuture<R> = Pin<Box<dyn Future<Output = R>>>;

struct Inbox {
    queue: ArrayQueue<Work>,
    waker: Mutex<Option<Waker>>,
}

/// All shards' inboxes.
#[derive(Clone)]
pub struct Mailboxes(Arc<[Inbox]>);

/// The other shard is gone: the node is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Mailboxes {
    /// Inboxes for `shards` shards.
    pub fn new(shards: u32) -> Self {
        let inbox = |_| Inbox {
            queue: ArrayQueue::new(INBOX_MAX),
            waker: Mutex::new(None),
        };
        Mailboxes((0..shards).map(inbox).collect())
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        self.0.len() as u32
    }

    /// Puts work into a shard's inbox; gives it back if the inbox is full.
    fn post(&self, shard: u32, work: Work) -> Result<(), Work> {
        let inbox = &self.0[shard as usize];
        inbox.queue.push(work)?;
        let waker = inbox.waker.lock().expect("no panic under this lock").take();
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The same, from a thread that is no shard: tries until there is room.
    pub fn post_blocking(&self, shard: u32, work: impl FnOnce(Rc<Broker>) + Send + 'static) {
        let mut work: Work = Box::new(work);
        while let Err(back) = self.post(shard, work) {
            work = back;
            std::thread::yield_now();
        }
    }

    /// Runs a task on another shard and gives its result. `from`: the asking shard.
    ///
    /// # Errors
    /// [`Gone`] if that shard stops before the task is done.
    pub async fn call<R, F>(&self, from: &Broker, shard: u32, task: F) -> Result<R, Gone>
    where
        R: Send + 'static,
        F: FnOnce(Rc<Broker>) -> LocalFuture<R> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        let mut work: Work = Box::new(move |broker| {
            let future = task(broker.clone());
            let answer = async move {
                // The asker may have gone; nobody minds.
                let _ = send.send(future.await);
            };
            broker.spawner.spawn(answer).detach();
        });
        while let Err(back) = self.post(shard, work) {
            work = back;
            from.io.sleep(Duration::from_millis(1)).await;
        }
        receive.await.map_err(|_| Gone)
    }

    /// Runs what arrives for this shard, until the task is dropped.
    pub async fn serve(&self, broker: Rc<Broker>) {
        let inbox = &self.0[broker.shard as usize];
        loop {
            let work = poll_fn(|context| {
                if let Some(work) = inbox.queue.pop() {
                    return Poll::Ready(work);
                }
                *inbox.waker.lock().expect("no panic under this lock") =
                    Some(context.waker().clone());
                // What came in between found no waker to wake.
                match inbox.queue.pop() {
                    Some(work) => Poll::Ready(work),
                    None => Poll::Pending,
                }
            })
            .await;
            work(broker.clone());
        }
    }
}
