//! 4 KiB durable writes, one at a time.

use std::net::TcpStream;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use glommio::io::OpenOptions;

use super::{told, whole};
use crate::floor::files::{BLOCK, Blocks};
use crate::floor::probe::{Course, Probe};

/// What is told to the driver blocks this thread, which has nothing else to do then.
pub(super) async fn run(driver: TcpStream, course: Course, mut blocks: Blocks) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_DSYNC);
    let file = options.dma_open(&blocks.kept.path).await.map_err(told)?;
    let block = Rc::new(file.alloc_dma_buffer(BLOCK));
    let mut probe = Probe::new(&driver, course)?;
    loop {
        let position = blocks.next()?;
        let started = Instant::now();
        let written = file.write_rc_at(block.clone(), position).await;
        whole(written.map_err(told)?, BLOCK)?;
        if !probe.took(started.elapsed())? {
            return probe.finish();
        }
    }
}
