//! recv → crc32c → write: what a produce costs at least.
//!
//! 1 MiB chunks, up to 8 writes in flight, buffers recycled last-in-first-out. Each byte is written
//! once, as a log does: overwriting would be cheaper, but no log overwrites.

use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use io_uring::{IoUring, opcode, types};
use odradek_engine::bytes::{Block, Pool};
use odradek_engine::record::crc32c_append;

use super::{fd, os, push, reap, ring};
use crate::floor::files::{CHUNK, Segments};
use crate::floor::then::{DEPTH, Then};

const RECEIVE: u64 = u64::MAX - 1;

pub(super) fn run(stream: &TcpStream, mut then: Then) -> Result<()> {
    let pool = Pool::new();
    let chunks: Vec<Block> = (0..=DEPTH).map(|_| pool.take(CHUNK)).collect();
    let landing = pool.take(CHUNK);
    let mut ring = ring(32)?;
    let mut free: Vec<usize> = (0..chunks.len()).collect();
    let mut receiving: Option<Receiving> = None;
    let mut writing = 0;
    let mut completions = Vec::with_capacity(64);
    let mut open = true;
    while open || writing > 0 {
        if open && receiving.is_none() && writing < DEPTH {
            let at = free.pop().context("one chunk more than writes in flight")?;
            let into = if then.copies { &landing } else { &chunks[at] };
            let next = Receiving { at, filled: 0 };
            next.ask(&mut ring, stream, into)?;
            receiving = Some(next);
        }
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut completions);
        for completion in &completions {
            match completion.user_data() {
                RECEIVE => {
                    let mut landed = receiving.take().context("nothing is being received")?;
                    let into = if then.copies {
                        &landing
                    } else {
                        &chunks[landed.at]
                    };
                    match completion.result() {
                        0 => open = false,
                        n if n < 0 => open = false,
                        n => landed.filled += n as usize,
                    }
                    if landed.filled < CHUNK {
                        if open {
                            landed.ask(&mut ring, stream, into)?;
                            receiving = Some(landed);
                        }
                        continue;
                    }
                    if then.checks {
                        std::hint::black_box(crc32c_append(0, into.bytes(0, CHUNK)));
                    }
                    let chunk = &chunks[landed.at];
                    if then.copies {
                        // SAFETY: this chunk is on neither the free list nor in flight.
                        unsafe { chunk.bytes_mut(0, CHUNK) }
                            .copy_from_slice(landing.bytes(0, CHUNK));
                    }
                    match &mut then.writes {
                        None => free.push(landed.at),
                        Some(segments) => {
                            let entry = write(segments, chunk, landed.at as u64)?;
                            push(&mut ring, entry)?;
                            writing += 1;
                        }
                    }
                }
                id => {
                    written(completion.result())?;
                    writing -= 1;
                    free.push(id as usize);
                }
            }
        }
    }
    // The connection is shut before the buffers go: an open receive must not outlive them.
    stream.shutdown(std::net::Shutdown::Both).ok();
    drop(ring);
    Ok(())
}

/// A chunk on its way in.
struct Receiving {
    at: usize,
    filled: usize,
}

impl Receiving {
    fn ask(&self, ring: &mut IoUring, stream: &TcpStream, into: &Block) -> Result<()> {
        let left = (CHUNK - self.filled) as u32;
        let entry = opcode::Recv::new(fd(stream), into.ptr(self.filled), left)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(RECEIVE);
        push(ring, entry)
    }
}

/// The write of a chunk at the next position.
fn write(segments: &mut Segments, chunk: &Block, id: u64) -> Result<io_uring::squeue::Entry> {
    let (file, position) = segments.next(CHUNK)?;
    let entry = opcode::Write::new(types::Fd(file), chunk.ptr(0), CHUNK as u32)
        .offset(position)
        .rw_flags(segments.mode.write_flags());
    Ok(entry.build().user_data(id))
}

fn written(result: i32) -> Result<()> {
    if result < 0 {
        bail!("write: {}", os(result));
    }
    ensure!(result as usize == CHUNK, "a write of {result} bytes");
    Ok(())
}
