//! 4 KiB durable writes through the ring, one at a time.

use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use io_uring::opcode;
use odradek_engine::bytes::Pool;

use super::{fd, os, push, ring};
use crate::floor::files::{BLOCK, Blocks};
use crate::floor::probe::{Course, Probe};

pub(super) fn run(driver: &TcpStream, course: Course, mut blocks: Blocks) -> Result<()> {
    let pool = Pool::new();
    let block = pool.take(BLOCK);
    let mut ring = ring(8)?;
    let mut probe = Probe::new(driver, course)?;
    loop {
        let position = blocks.next()?;
        let started = Instant::now();
        let write = opcode::Write::new(fd(&blocks.kept.file), block.ptr(0), BLOCK as u32)
            .offset(position)
            .rw_flags(libc::RWF_DSYNC);
        push(&mut ring, write.build())?;
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            let result = completion.result();
            if result < 0 {
                bail!("write: {}", os(result));
            }
            ensure!(result as usize == BLOCK, "a write of {result} bytes");
        }
        if !probe.took(started.elapsed())? {
            return probe.finish();
        }
    }
}
