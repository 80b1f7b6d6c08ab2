//! Shards: their threads' tasks and how they reach each other.

mod mailbox;

pub use mailbox::{Gone, LocalFuture, Mailboxes};
