//! Shards: how they reach each other, and small pieces of asynchronous work.
//!
//! Absent on purpose: what a shard is made of; that is the mailboxes' type parameter.

mod abreast;
mod directory_sync;
mod gate;
mod inbox;
mod lane;
mod log_dirs;
/// What `inbox` is made of.
mod locks {
    pub(super) use std::sync::Mutex;
}
mod mailbox;
mod notice;
mod quiet;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use odradek_engine::io::Io;

pub use abreast::abreast;
pub use directory_sync::DirectorySync;
pub use gate::Gate;
pub use lane::Lane;
pub use log_dirs::{LogDirs, Nowhere};
pub use mailbox::{Gone, LocalFuture, Mailboxes};
pub use notice::Notice;
pub use quiet::Quiet;

/// Waits until what has completed meanwhile was reaped and had its turn: for work in slices.
pub async fn next_pass(io: &Io) {
    io.sleep_until(io.now() + 1).await;
}

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
