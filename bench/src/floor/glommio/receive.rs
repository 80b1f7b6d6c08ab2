//! recv → crc32c → write.

use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{Context, Result};
use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions};
use glommio::net::TcpStream;
use glommio::{Task, spawn_local};
use odradek_engine::record::crc32c_append;

use super::{fill, told, whole};
use crate::floor::files::{CHUNK, Mode, Segments};
use crate::floor::then::{DEPTH, Then};

pub(super) async fn run(stream: &mut TcpStream, then: Then) -> Result<()> {
    let steps = Steps {
        checks: then.checks,
        landing: then.copies.then(|| vec![0; CHUNK]),
    };
    match then.writes {
        None => drop_all(stream, steps).await,
        Some(segments) if segments.mode == Mode::Buffered => {
            buffered(stream, steps, segments).await
        }
        Some(segments) => direct(stream, steps, segments).await,
    }
}

struct Steps {
    checks: bool,
    /// Where chunks are received, if they are copied from there.
    landing: Option<Vec<u8>>,
}

impl Steps {
    /// Receives a chunk and takes all steps but the write.
    async fn land(&mut self, stream: &mut TcpStream, chunk: &mut [u8]) -> Result<()> {
        let landing = self.landing.as_deref_mut();
        let is_copied = landing.is_some();
        let landed = landing.unwrap_or(&mut *chunk);
        fill(stream, landed).await?;
        if self.checks {
            std::hint::black_box(crc32c_append(0, landed));
        }
        if let (true, Some(landing)) = (is_copied, self.landing.as_deref()) {
            chunk.copy_from_slice(landing);
            std::hint::black_box(chunk);
        }
        Ok(())
    }
}

async fn drop_all(stream: &mut TcpStream, mut steps: Steps) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        steps.land(stream, &mut chunk).await?;
    }
}

/// Writes in flight, oldest first.
#[derive(Default)]
struct Writes(VecDeque<Task<Result<()>>>);

impl Writes {
    /// Waits for the oldest where there are as many as there may be.
    async fn room(&mut self) -> Result<()> {
        match self.0.len() < DEPTH {
            true => Ok(()),
            false => self.0.pop_front().context("one is in flight")?.await,
        }
    }
}

async fn direct(stream: &mut TcpStream, mut steps: Steps, mut segments: Segments) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if segments.mode == Mode::Durable {
        options.custom_flags(libc::O_DSYNC);
    }
    let mut open: Option<Rc<DmaFile>> = None;
    let mut writes = Writes::default();
    loop {
        let (_, position) = segments.next(CHUNK)?;
        if position == 0 {
            let file = options.dma_open(segments.path()?).await.map_err(told)?;
            open = Some(Rc::new(file));
        }
        let file = open.clone().context("a file is open")?;
        let mut chunk: DmaBuffer = file.alloc_dma_buffer(CHUNK);
        steps.land(stream, chunk.as_bytes_mut()).await?;
        writes.room().await?;
        let write =
            async move { whole(file.write_at(chunk, position).await.map_err(told)?, CHUNK) };
        writes.0.push_back(spawn_local(write));
    }
}

async fn buffered(stream: &mut TcpStream, mut steps: Steps, mut segments: Segments) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    let mut open: Option<Rc<BufferedFile>> = None;
    let mut writes = Writes::default();
    loop {
        let (_, position) = segments.next(CHUNK)?;
        if position == 0 {
            let file = options.buffered_open(segments.path()?).await;
            open = Some(Rc::new(file.map_err(told)?));
        }
        let file = open.clone().context("a file is open")?;
        // It wants the memory for good.
        let mut chunk = vec![0; CHUNK];
        steps.land(stream, &mut chunk).await?;
        writes.room().await?;
        let write =
            async move { whole(file.write_at(chunk, position).await.map_err(told)?, CHUNK) };
        writes.0.push_back(spawn_local(write));
    }
}
