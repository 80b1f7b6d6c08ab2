//! Send from memory: 1 MiB chunks through the ring, one send in flight, until the driver hangs up.

use std::net::TcpStream;

use anyhow::{Result, bail};
use io_uring::squeue::Entry;
use io_uring::{cqueue, opcode};
use odradek_engine::bytes::{Block, Pool};

use super::{fd, hung_up, os, push, ring};
use crate::floor::calls::CHUNKS;
use crate::floor::files::CHUNK;

/// How often the kernel copies what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    One,
    /// SEND_ZC: a second completion says when the memory may be written again. (On loopback the
    /// receiver's side copies all the same.)
    None,
}

impl Copies {
    fn entry(self, stream: &TcpStream, chunk: &Block, sent: usize) -> Entry {
        const FLAGS: i32 = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let (fd, from, left) = (fd(stream), chunk.ptr(sent), (CHUNK - sent) as u32);
        match self {
            Copies::One => opcode::Send::new(fd, from, left).flags(FLAGS).build(),
            Copies::None => opcode::SendZc::new(fd, from, left).flags(FLAGS).build(),
        }
    }
}

pub(super) fn run(stream: &TcpStream, copies: Copies) -> Result<()> {
    let pool = Pool::new();
    let chunks: Vec<_> = (0..CHUNKS).map(|_| pool.take(CHUNK)).collect();
    let mut ring = ring(8)?;
    // A chunk is sent again only after the kernel has let go of it.
    let mut held = [0usize; CHUNKS];
    let (mut chunk, mut sent) = (0, 0);
    let mut sending = false;
    loop {
        if !sending && (sent > 0 || held[chunk] == 0) {
            let entry = copies.entry(stream, &chunks[chunk], sent);
            push(&mut ring, entry.user_data(chunk as u64))?;
            sending = true;
        }
        ring.submit_and_wait(1)?;
        while let Some(completion) = ring.completion().next() {
            let of = completion.user_data() as usize;
            if cqueue::notif(completion.flags()) {
                held[of] -= 1;
                continue;
            }
            held[of] += usize::from(cqueue::more(completion.flags()));
            sending = false;
            match completion.result() {
                result if hung_up(result) => return Ok(()),
                result if result < 0 => bail!("send: {}", os(result)),
                result => sent += result as usize,
            }
            if sent == CHUNK {
                sent = 0;
                chunk = (chunk + 1) % CHUNKS;
            }
        }
    }
}
