//! Sockets: listening, reading requests, sending replies in order.

mod admission;
mod connection;
mod frame;
mod listener;
mod send;

pub use admission::Admission;
pub use connection::Peer;
pub use listener::accept_all;
