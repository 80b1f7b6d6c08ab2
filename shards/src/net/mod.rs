//! Sockets: listening, reading requests, sending replies in order.
//!
//! Absent on purpose: what requests mean; [`Service`] answers them.

mod addresses;
mod admission;
mod connection;
mod frame;
mod gate;
mod hand_over;
mod idle;
mod listener;
mod pace;
mod replies;
mod reply;
mod request;
mod send;
mod server;

pub use admission::Room;
pub use connection::Peer;
pub use frame::{FrameError, cut};
pub use gate::Gate;
pub use hand_over::HandOver;
pub use listener::accept_all;
pub use reply::{Later, Outcome, Pledge, Refusal, Reply, ReplyPiece, Unserved};
pub use request::{Kept, Request};
pub use server::{Server, Service, close_idle};
