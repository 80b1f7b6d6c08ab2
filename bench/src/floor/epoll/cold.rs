//! Direct reads by the pool, a few ahead, and sends.

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use anyhow::Result;
use nix::sys::epoll::EpollFlags;
use odradek_engine::bytes::{Block, Pool as Blocks};

use super::pool::{Call, Pool};
use super::{Edges, send};
use crate::floor::files::{CHUNK, READ_BYTES};
use crate::floor::then::AHEAD;

const SOCKET: u64 = 0;
const POOL: u64 = 1;

pub(super) fn run(stream: &TcpStream, file: &File) -> Result<()> {
    let blocks = Blocks::new();
    let chunks: Vec<Block> = (0..=AHEAD).map(|_| blocks.take(CHUNK)).collect();
    let pool = Pool::start()?;
    let mut edges = Edges::new()?;
    edges.watch(stream, SOCKET, EpollFlags::EPOLLOUT)?;
    edges.watch(pool.woken(), POOL, EpollFlags::EPOLLIN)?;
    let mut whole = [false; AHEAD + 1];
    let (mut asked, mut sent, mut part) = (0u64, 0u64, 0);
    let mut writable = true;
    let at = |nth: u64| (nth % (AHEAD as u64 + 1)) as usize;
    loop {
        while asked < sent + AHEAD as u64 {
            let (chunk, offset) = (&chunks[at(asked)], asked * CHUNK as u64 % READ_BYTES);
            let id = at(asked) as u64;
            pool.submit(Call::Read, file.as_raw_fd(), chunk, CHUNK, offset, id)?;
            asked += 1;
        }
        while let Some(id) = pool.back()? {
            whole[id as usize] = true;
        }
        if writable && whole[at(sent)] {
            match send(stream, chunks[at(sent)].bytes(part, CHUNK - part))? {
                None => writable = false,
                Some(0) => return Ok(()),
                Some(bytes) => part += bytes,
            }
            if part == CHUNK {
                part = 0;
                whole[at(sent)] = false;
                sent += 1;
            }
            continue;
        }
        for edge in edges.wait()? {
            match edge.id {
                SOCKET => writable |= edge.writable,
                _ => pool.quiet(),
            }
        }
    }
}
