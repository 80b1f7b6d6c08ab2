//! recv → crc32c → write: page cache writes by this thread, direct ones by the pool's.

use std::net::TcpStream;

use anyhow::{Context, Result};
use nix::sys::epoll::EpollFlags;
use odradek_engine::bytes::{Block, Pool as Blocks};

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
    let (mut filled, mut readable, mut open) = (0, true, true);
    while open || free.len() < chunks.len() {
        while let Some(id) = pool.as_ref().map_or(Ok(None), Pool::back)? {
            free.push(id as usize);
        }
        // One chunk stays behind: the writes in flight are DEPTH at most.
        if open && readable && free.len() > 1 {
            let at = *free.last().context("there is one")?;
            let into = if then.copies { &landing } else { &chunks[at] };
            // SAFETY: this chunk is on the free list: in nobody's hands.
            let room = unsafe { into.bytes_mut(filled, CHUNK - filled) };
            match receive(stream, room)? {
                None => readable = false,
                Some(0) => open = false,
                Some(bytes) => filled += bytes,
            }
            if filled == CHUNK {
                filled = 0;
                let id = (!matches!(mode, None | Some(Mode::Buffered))).then_some(at as u64);
                landed(&mut then, into, &chunks[at], pool.as_ref(), id)?;
                if id.is_some() {
                    free.pop();
                }
            }
            continue;
        }
        if !open && free.len() == chunks.len() {
            break;
        }
        for edge in edges.wait()? {
            match edge.id {
                SOCKET => readable |= edge.readable,
                _ => pool.iter().for_each(Pool::quiet),
            }
        }
    }
    Ok(())
}

/// A chunk is there: its steps. With an id its write goes to the pool.
fn landed(
    then: &mut Then,
    landed: &Block,
    chunk: &Block,
    pool: Option<&Pool>,
    id: Option<u64>,
) -> Result<()> {
    if then.checks {
        std::hint::black_box(crc32c::crc32c(landed.bytes(0, CHUNK)));
    }
    if then.copies {
        // SAFETY: the caller took this chunk from the free list, and `landed` is another.
        unsafe { chunk.bytes_mut(0, CHUNK) }.copy_from_slice(landed.bytes(0, CHUNK));
    }
    match (&mut then.writes, pool, id) {
        (Some(segments), Some(pool), Some(id)) => {
            let (fd, position) = segments.next(CHUNK)?;
            let call = Call::Write(segments.mode.write_flags());
            pool.submit(call, fd, chunk, CHUNK, position, id)
        }
        // It blocks only where the kernel has too much to write back.
        (Some(segments), _, _) => segments.write(chunk.bytes(0, CHUNK)),
        (None, _, _) => Ok(()),
    }
}
