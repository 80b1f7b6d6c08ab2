//! Sockets: listening, reading requests, sending replies in order.

mod connection;
mod frame;
mod listener;
mod send;

pub use connection::{Admission, Peer};
pub use listener::accept_all;
