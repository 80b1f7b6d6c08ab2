//! Read of a resident file, then send: what a server does that knows neither sendfile nor splice.

use std::fs::File;
use std::net::TcpStream;

use anyhow::{Result, bail, ensure};
use io_uring::opcode;
use io_uring::squeue::Flags;
use odradek_engine::bytes::Pool;

use super::{fd, hung_up, os, push, ring};
use crate::floor::calls::CALL_BYTES;
use crate::floor::files::READ_BYTES;

const READ: u64 = 1;
const SEND: u64 = 2;

/// Read and send of one piece are linked: one trip through the ring.
pub(super) fn run(stream: &TcpStream, file: &File) -> Result<()> {
    let pool = Pool::new();
    let piece = pool.take(CALL_BYTES);
    let mut ring = ring(8)?;
    let mut offset = 0;
    loop {
        let len = CALL_BYTES as u32;
        let read = opcode::Read::new(fd(file), piece.ptr(0), len).offset(offset);
        let read = read.build().flags(Flags::IO_LINK).user_data(READ);
        push(&mut ring, read)?;
        let send = opcode::Send::new(fd(stream), piece.ptr(0), len)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL);
        push(&mut ring, send.build().user_data(SEND))?;
        ring.submit_and_wait(2)?;
        for completion in ring.completion() {
            let (is_send, result) = (completion.user_data() == SEND, completion.result());
            if is_send && hung_up(result) {
                return Ok(());
            }
            if result < 0 {
                bail!("{}: {}", if is_send { "send" } else { "read" }, os(result));
            }
            // A send cut short means that the driver has gone: with MSG_WAITALL it is whole.
            if is_send && result as usize != CALL_BYTES {
                return Ok(());
            }
            ensure!(result as usize == CALL_BYTES, "a read of {result} bytes");
        }
        offset = (offset + CALL_BYTES as u64) % READ_BYTES;
    }
}
