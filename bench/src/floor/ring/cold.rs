//! Direct reads of what no cache holds, a few ahead, then sends: a consumer far behind.

use std::fs::File;
use std::net::TcpStream;

use anyhow::{Result, bail, ensure};
use io_uring::opcode;
use odradek_engine::bytes::{Block, Pool};

use super::{fd, hung_up, os, push, reap, ring};
use crate::floor::files::{CHUNK, READ_BYTES};
use crate::floor::then::AHEAD;

const SEND: u64 = u64::MAX;

pub(super) fn run(stream: &TcpStream, file: &File) -> Result<()> {
    let pool = Pool::new();
    let chunks: Vec<Block> = (0..=AHEAD).map(|_| pool.take(CHUNK)).collect();
    let mut ring = ring(16)?;
    let mut completions = Vec::with_capacity(16);
    let mut whole = [false; AHEAD + 1];
    // Chunks are read and sent in turn: `asked` from the file, `sent` of them sent whole.
    let (mut asked, mut sent, mut part) = (0u64, 0u64, 0);
    let mut sending = false;
    let at = |nth: u64| (nth % (AHEAD as u64 + 1)) as usize;
    loop {
        while asked < sent + AHEAD as u64 {
            let offset = asked * CHUNK as u64 % READ_BYTES;
            let read = opcode::Read::new(fd(file), chunks[at(asked)].ptr(0), CHUNK as u32);
            push(
                &mut ring,
                read.offset(offset).build().user_data(at(asked) as u64),
            )?;
            asked += 1;
        }
        if !sending && whole[at(sent)] {
            let left = (CHUNK - part) as u32;
            let send = opcode::Send::new(fd(stream), chunks[at(sent)].ptr(part), left)
                .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL);
            push(&mut ring, send.build().user_data(SEND))?;
            sending = true;
        }
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut completions);
        for completion in &completions {
            let result = completion.result();
            if completion.user_data() != SEND {
                if result < 0 {
                    bail!("read: {}", os(result));
                }
                ensure!(result as usize == CHUNK, "a read of {result} bytes");
                whole[completion.user_data() as usize] = true;
                continue;
            }
            sending = false;
            match result {
                result if hung_up(result) => return Ok(()),
                result if result < 0 => bail!("send: {}", os(result)),
                result => part += result as usize,
            }
            if part == CHUNK {
                part = 0;
                whole[at(sent)] = false;
                sent += 1;
            }
        }
    }
}
