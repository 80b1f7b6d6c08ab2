//! Replies of one connection, in the order of its requests, and the task that sends them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use odradek_engine::io::strategy::read::ReadStrategy;
use odradek_engine::io::{Handle, Io};

use super::idle::Activity;
use super::reply::{Later, Outcome, Pledge, Refusal, Reply};
use super::send::Sender;
use crate::metrics::{Meter, Taken};

/// Replies that may wait on one connection before its requests are not read any more.
const REPLIES_MAX: usize = 256;

enum Queued<P> {
    Ready(Reply),
    Later(Later, Taken),
    Pledged(P, Taken),
}

/// What the two tasks of a connection share.
pub(super) struct Replies<P> {
    activity: Rc<Activity>,
    meter: Rc<Meter>,
    queue: RefCell<VecDeque<Queued<P>>>,
    /// No more will come.
    ended: Cell<bool>,
    /// Nothing can be sent any more.
    broken: Cell<bool>,
    sender: RefCell<Option<Waker>>,
    reader: RefCell<Option<Waker>>,
}

impl<P: Pledge> Replies<P> {
    /// None yet.
    pub(super) fn new(activity: Rc<Activity>, meter: Rc<Meter>) -> Self {
        Replies {
            activity,
            meter,
            queue: RefCell::default(),
            ended: Cell::new(false),
            broken: Cell::new(false),
            sender: RefCell::default(),
            reader: RefCell::default(),
        }
    }

    /// When something last happened on the connection.
    pub(super) fn activity(&self) -> &Rc<Activity> {
        &self.activity
    }

    /// Takes what a handler came to at `now`; in its place the reply is sent.
    pub(super) fn take(&self, outcome: Outcome<P>, taken: Taken, now: u64) {
        let queued = match outcome {
            Outcome::Reply(reply) => {
                self.meter.answered(taken, reply.length(), now);
                Queued::Ready(reply)
            }
            Outcome::Later(later) => Queued::Later(later, taken),
            Outcome::Pledged(pledge) => Queued::Pledged(pledge, taken),
            Outcome::Silent => return self.meter.answered(taken, 0, now),
        };
        self.queue.borrow_mut().push_back(queued);
        wake(&self.sender);
    }

    /// No more will come.
    pub(super) fn end(&self) {
        self.ended.set(true);
        wake(&self.sender);
    }

    /// Whether nothing can be sent any more.
    pub(super) fn broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether another reply may wait.
    pub(super) fn has_room(&self) -> bool {
        self.queue.borrow().len() < REPLIES_MAX
    }

    /// Waits until another reply may wait, or none is of use.
    pub(super) async fn room(&self) {
        poll_fn(|context| {
            if self.has_room() || self.broken() {
                return Poll::Ready(());
            }
            self.reader.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    async fn next(&self) -> Option<Queued<P>> {
        poll_fn(|context| {
            if let Some(reply) = self.queue.borrow_mut().pop_front() {
                wake(&self.reader);
                return Poll::Ready(Some(reply));
            }
            if self.ended.get() {
                return Poll::Ready(None);
            }
            self.sender.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Appends a pledged reply if its moment has come.
    fn redeem_one(&self, pledge: &P, taken: Taken, small: &mut Vec<u8>, now: u64) -> bool {
        let before = small.len();
        let redeemed = pledge.redeem(small);
        if redeemed {
            let bytes = small.len() - before;
            self.meter.answered(taken, bytes as u64, now);
        }
        redeemed
    }

    /// Gathers the pledged replies at the front whose moment has come.
    fn redeem(&self, sender: &mut Sender, now: u64) {
        let mut queue = self.queue.borrow_mut();
        let before = queue.len();
        while sender.takes_small()
            && let Some(Queued::Pledged(pledge, taken)) = queue.front()
            && self.redeem_one(pledge, *taken, sender.small(), now)
        {
            queue.pop_front();
        }
        if queue.len() < before {
            wake(&self.reader);
        }
    }

    /// Sends replies as they become ready, in order; what is ready together goes out together.
    pub(super) async fn send(&self, io: &Io, socket: Handle, strategy: ReadStrategy) {
        let mut sender = Sender::new(io, socket, strategy, self.activity.clone());
        loop {
            self.redeem(&mut sender, io.now());
            let empty = self.queue.borrow().is_empty();
            if empty && sender.flush().await.is_err() {
                break;
            }
            self.activity.touch(io.now());
            let Some(next) = self.next().await else {
                let _ = sender.flush().await;
                return;
            };
            let sent = match next {
                Queued::Ready(reply) => sender.push(reply).await.is_ok(),
                Queued::Later(later, taken) => match resolve(&mut sender, later).await {
                    Ok(reply) => {
                        self.meter.answered(taken, reply.length(), io.clock());
                        sender.push(reply).await.is_ok()
                    }
                    Err(_) => false,
                },
                Queued::Pledged(pledge, taken) => {
                    // What has gathered is sent first.
                    if sender.flush().await.is_err() {
                        break;
                    }
                    pledge.wait().await;
                    self.redeem_one(&pledge, taken, sender.small(), io.now())
                }
            };
            if !sent {
                break;
            }
        }
        // The reader waits for requests that nobody will answer: end it.
        self.broken.set(true);
        wake(&self.reader);
        io.shutdown(socket).await;
    }
}

fn wake(waker: &RefCell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Waits for a reply; if it is not ready at once, what has gathered is sent first.
async fn resolve(sender: &mut Sender, mut later: Later) -> Result<Reply, Refusal> {
    let ready = poll_fn(|context| match later.as_mut().poll(context) {
        Poll::Ready(reply) => Poll::Ready(Some(reply)),
        Poll::Pending => Poll::Ready(None),
    })
    .await;
    if let Some(reply) = ready {
        return reply;
    }
    if sender.flush().await.is_err() {
        return Err(Refusal::Closed("the peer takes no replies"));
    }
    later.await
}
