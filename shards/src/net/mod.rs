//! Sockets: listening, reading requests, sending replies in order.

mod connection;
mod frame;
mod listener;
mod send;

pub use connection::{Peer, serve};
pub use listener::accept_all;
