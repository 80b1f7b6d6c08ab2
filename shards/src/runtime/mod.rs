//! Shards: how they reach each other, and small pieces of asynchronous work.

mod mailbox;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

pub use mailbox::{Gone, LocalFuture, Mailboxes};

/// Waits for the first of two; the other is dropped.
pub async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        if one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}
