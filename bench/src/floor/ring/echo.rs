//! Small frames in, small frames out: what a one-record produce costs at least.
//!
//! Multishot receives into provided buffers, replies of one receive in one send.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};
use io_uring::types::BufRingEntry;
use io_uring::{IoUring, cqueue, opcode};
use odradek_engine::bytes::{Block, Pool};

use super::{fd, hung_up, os, push, reap, ring};
use crate::floor::answers::{Partial, Reply};

const BUFFERS: u16 = 64;
const BUFFER_BYTES: usize = 16 << 10;
/// Added to a connection's number: its send, not its receive.
const SEND: u64 = 1 << 32;

/// One connection's state.
#[derive(Default)]
struct Peer {
    partial: Partial,
    /// Replies on their way, and those that wait for them.
    sending: Vec<u8>,
    sent: usize,
    waiting: Vec<u8>,
}

pub(super) fn run(streams: &[TcpStream], reply_bytes: usize) -> Result<()> {
    let mut reply = Reply::new(reply_bytes)?;
    let pool = Pool::new();
    let mut peers: Vec<Peer> = streams.iter().map(|_| Peer::default()).collect();
    let mut ring = ring(64)?;
    let mut buffers = Buffers::register(&ring, &pool)?;
    for (at, stream) in streams.iter().enumerate() {
        receive(&mut ring, stream, at)?;
    }
    let mut completions = Vec::with_capacity(256);
    let mut open = streams.len();
    while open > 0 {
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut completions);
        for completion in &completions {
            let (data, result) = (completion.user_data(), completion.result());
            let at = (data & (SEND - 1)) as usize;
            let (peer, stream) = (&mut peers[at], &streams[at]);
            if data & SEND != 0 {
                match result {
                    result if hung_up(result) => continue,
                    result if result < 0 => bail!("send: {}", os(result)),
                    result => peer.sent += result as usize,
                }
            } else {
                match result {
                    0 => {
                        open -= 1;
                        continue;
                    }
                    result if hung_up(result) => {
                        open -= 1;
                        continue;
                    }
                    result if result == -libc::ENOBUFS => {
                        receive(&mut ring, stream, at)?;
                        continue;
                    }
                    result if result < 0 => bail!("recv: {}", os(result)),
                    result => {
                        let id = cqueue::buffer_select(completion.flags())
                            .context("a receive without a buffer")?;
                        let bytes = buffers.bytes(id, result as usize);
                        peer.partial.landed(bytes, &mut reply, &mut peer.waiting)?;
                        buffers.give(id);
                        if !cqueue::more(completion.flags()) {
                            receive(&mut ring, stream, at)?;
                        }
                    }
                }
            }
            peer.reply(&mut ring, stream, at, data & SEND != 0)?;
        }
    }
    for stream in streams {
        stream.shutdown(std::net::Shutdown::Both).ok();
    }
    drop(ring);
    Ok(())
}

fn receive(ring: &mut IoUring, stream: &TcpStream, at: usize) -> Result<()> {
    let entry = opcode::RecvMulti::new(fd(stream), 0);
    push(ring, entry.build().user_data(at as u64))
}

impl Peer {
    /// Sends what waits, unless a send is in flight (`sent`: it has just completed).
    fn reply(
        &mut self,
        ring: &mut IoUring,
        stream: &TcpStream,
        at: usize,
        sent: bool,
    ) -> Result<()> {
        if !self.sending.is_empty() && !sent {
            return Ok(());
        }
        if self.sent == self.sending.len() {
            self.sending.clear();
            self.sent = 0;
            if self.waiting.is_empty() {
                return Ok(());
            }
            std::mem::swap(&mut self.sending, &mut self.waiting);
        }
        let left = &self.sending[self.sent..];
        let entry = opcode::Send::new(fd(stream), left.as_ptr(), left.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
        push(ring, entry.build().user_data(at as u64 | SEND))
    }
}

/// Provided buffers: a ring of free ones that the kernel takes from.
struct Buffers {
    entries: Block,
    memory: Vec<Block>,
    tail: u16,
}

impl Buffers {
    fn register(ring: &IoUring, pool: &Pool) -> Result<Self> {
        let entries = pool.take(usize::from(BUFFERS) * size_of::<BufRingEntry>());
        // SAFETY: page-aligned memory for as many entries; the ring is dropped before it.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(entries.ptr(0) as u64, BUFFERS, 0, 0)?;
        }
        let memory = (0..BUFFERS).map(|_| pool.take(BUFFER_BYTES)).collect();
        let mut buffers = Self {
            entries,
            memory,
            tail: 0,
        };
        for id in 0..BUFFERS {
            buffers.give(id);
        }
        Ok(buffers)
    }

    fn bytes(&self, id: u16, len: usize) -> &[u8] {
        self.memory[usize::from(id)].bytes(0, len)
    }

    fn give(&mut self, id: u16) {
        let at = usize::from(self.tail % BUFFERS) * size_of::<BufRingEntry>();
        let entry = self.entries.ptr(at).cast::<BufRingEntry>();
        // SAFETY: within the block and aligned; the kernel reads entries below the tail only.
        unsafe {
            (*entry).set_addr(self.memory[usize::from(id)].ptr(0) as u64);
            (*entry).set_len(BUFFER_BYTES as u32);
            (*entry).set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in entry 0's spare field, aligned; the kernel only reads it.
        let shared = unsafe {
            let base = self.entries.ptr(0).cast::<BufRingEntry>();
            AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut())
        };
        shared.store(self.tail, Ordering::Release);
    }
}
