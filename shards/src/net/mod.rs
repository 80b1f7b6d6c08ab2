//! Sockets: listening, reading requests, sending replies in order.
//!
//! Absent on purpose: what requests mean; [`Service`] answers them.

mod admission;
mod connection;
mod frame;
mod gate;
mod idle;
mod listener;
mod replies;
mod reply;
mod send;
mod server;

pub use connection::Peer;
pub use frame::{FrameError, cut};
pub use gate::Gate;
pub use listener::accept_all;
pub use reply::{Later, Outcome, Pledge, Refusal, Reply, ReplyPiece, Unserved};
pub use server::{Server, Service, close_idle};
