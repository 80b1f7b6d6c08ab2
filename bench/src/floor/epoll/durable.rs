//! 4 KiB durable writes, one at a time: to a thread of the pool, and back by an eventfd.

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Instant;

use anyhow::Result;
use nix::sys::epoll::EpollFlags;
use odradek_engine::bytes::Pool as Memory;

use super::Edges;
use super::pool::{Call, Pool};
use crate::floor::files::{BLOCK, Blocks};
use crate::floor::probe::{Course, Probe};

pub(super) fn run(driver: &TcpStream, course: Course, mut blocks: Blocks) -> Result<()> {
    // What the driver is told may wait.
    driver.set_nonblocking(false)?;
    let memory = Memory::new();
    let block = memory.take(BLOCK);
    let pool = Pool::start()?;
    let mut edges = Edges::new()?;
    edges.watch(pool.woken(), 0, EpollFlags::EPOLLIN)?;
    let mut probe = Probe::new(driver, course)?;
    loop {
        let position = blocks.next()?;
        let fd = blocks.kept.file.as_raw_fd();
        let started = Instant::now();
        pool.submit(Call::Write(libc::RWF_DSYNC), fd, &block, BLOCK, position, 0)?;
        while pool.back()?.is_none() {
            edges.wait()?.for_each(drop);
            pool.quiet();
        }
        if !probe.took(started.elapsed())? {
            return probe.finish();
        }
    }
}
