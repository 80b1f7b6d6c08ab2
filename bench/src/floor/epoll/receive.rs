//! recv → crc32c → write: page cache writes by this thread, direct ones by the pool's.

use std::net::TcpStream;

use anyhow::Result;
use nix::sys::epoll::EpollFlags;
use odradek_engine::bytes::{Block, Pool as Blocks};
use odradek_engine::record::crc32c_append;

use super::pool::{Call, Pool};
use super::{Edges, receive};
use crate::floor::files::{CHUNK, Mode};
use crate::floor::then::{DEPTH, Then};

const SOCKET: u64 = 0;
const POOL: u64 = 1;

pub(super) fn run(stream: &TcpStream, mut then: Then) -> Result<()> {
    let blocks = Blocks::new();
    let chunks: Vec<Block> = (0..=DEPTH).map(|_| blocks.take(CHUNK)).collect();
    let landing = blocks.take(CHUNK);
    let mut edges = Edges::new()?;
    edges.watch(stream, SOCKET, EpollFlags::EPOLLIN)?;
    let mode = then.writes.as_ref().map(|segments| segments.mode);
    let pool = match mode {
        None | Some(Mode::Buffered) => None,
        Some(Mode::Direct | Mode::Durable) => Some(Pool::start()?),
    };
    if let Some(pool) = &pool {
        edges.watch(pool.woken(), POOL, EpollFlags::EPOLLIN)?;
    }
    let mut free: Vec<usize> = (0..chunks.len()).collect();
    let mut filling: Option<usize> = None;
    let (mut filled, mut writing) = (0, 0);
    let (mut readable, mut open) = (true, true);
    loop {
        while let Some(id) = pool.as_ref().map_or(Ok(None), Pool::back)? {
            free.push(id as usize);
            writing -= 1;
        }
        if filling.is_none() && writing < DEPTH {
            filling = free.pop();
        }
        if let Some(at) = filling.filter(|_| open && readable) {
            let into = if then.copies { &landing } else { &chunks[at] };
            // SAFETY: this chunk is on neither the free list nor in flight.
            let room = unsafe { into.bytes_mut(filled, CHUNK - filled) };
            match receive(stream, room)? {
                None => readable = false,
                Some(0) => open = false,
                Some(bytes) => filled += bytes,
            }
            if filled == CHUNK {
                filled = 0;
                if landed(&mut then, into, &chunks[at], pool.as_ref(), at as u64)? {
                    filling = None;
                    writing += 1;
                }
            }
            continue;
        }
        if !open && writing == 0 {
            return Ok(());
        }
        for edge in edges.wait()? {
            match edge.id {
                SOCKET => readable |= edge.readable,
                _ => pool.iter().for_each(Pool::quiet),
            }
        }
    }
}

/// A chunk is there: its steps. True: the pool has it until `id` is back.
fn landed(
    then: &mut Then,
    landed: &Block,
    chunk: &Block,
    pool: Option<&Pool>,
    id: u64,
) -> Result<bool> {
    if then.checks {
        std::hint::black_box(crc32c_append(0, landed.bytes(0, CHUNK)));
    }
    if then.copies {
        // SAFETY: this chunk is on neither the free list nor in flight, and `landed` is another.
        unsafe { chunk.bytes_mut(0, CHUNK) }.copy_from_slice(landed.bytes(0, CHUNK));
    }
    match (&mut then.writes, pool) {
        (Some(segments), Some(pool)) => {
            let (fd, position) = segments.next(CHUNK)?;
            let call = Call::Write(segments.mode.write_flags());
            pool.submit(call, fd, chunk, CHUNK, position, id)?;
            Ok(true)
        }
        // It blocks only where the kernel has too much to write back.
        (Some(segments), None) => segments.write(chunk.bytes(0, CHUNK)).map(|()| false),
        (None, _) => Ok(false),
    }
}
