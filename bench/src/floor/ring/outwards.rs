//! sendfile and splice beside a ring: the calls never block, the ring waits for the socket's room.
//!
//! IORING_OP_SPLICE would always run in a worker thread, and sendfile is no operation of the ring.

use std::fs::File;
use std::net::TcpStream;

use anyhow::{Result, bail};
use io_uring::opcode;

use super::{fd, os, push, ring};
use crate::floor::Kind;
use crate::floor::calls::{Sent, Source};

pub(super) fn run(stream: &TcpStream, kind: Kind, file: &File) -> Result<()> {
    stream.set_nonblocking(true)?;
    let mut source = Source::file(kind, file)?;
    let mut ring = ring(8)?;
    loop {
        match source.send(stream)? {
            Sent::Some => continue,
            Sent::HungUp => return Ok(()),
            Sent::Full => {}
        }
        let room = opcode::PollAdd::new(fd(stream), libc::POLLOUT as u32);
        push(&mut ring, room.build())?;
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            if completion.result() < 0 {
                bail!("poll: {}", os(completion.result()));
            }
        }
    }
}
