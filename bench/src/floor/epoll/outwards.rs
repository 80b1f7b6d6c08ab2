//! Sends of whatever source, until the driver hangs up.

use std::net::TcpStream;

use anyhow::Result;
use nix::sys::epoll::EpollFlags;

use super::Edges;
use crate::floor::calls::{Sent, Source};

pub(super) fn run(stream: &TcpStream, mut source: Source) -> Result<()> {
    let mut edges = Edges::new()?;
    edges.watch(stream, 0, EpollFlags::EPOLLOUT)?;
    loop {
        match source.send(stream)? {
            Sent::Some => {}
            Sent::HungUp => return Ok(()),
            Sent::Full => edges.wait()?.for_each(drop),
        }
    }
}
