//! Sends: from memory, of a resident file, of a cold one.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use futures_lite::AsyncWriteExt;
use glommio::io::{BufferedFile, DmaFile, ReadResult};
use glommio::net::TcpStream;
use glommio::{Task, spawn_local};

use super::{told, whole};
use crate::floor::calls::{CALL_BYTES, CHUNKS};
use crate::floor::files::{CHUNK, READ_BYTES};
use crate::floor::then::AHEAD;

pub(super) async fn send(stream: &mut TcpStream) -> Result<()> {
    let chunks: Vec<Vec<u8>> = (0..CHUNKS).map(|_| vec![0x6f; CHUNK]).collect();
    loop {
        for chunk in &chunks {
            stream.write_all(chunk).await?;
        }
    }
}

pub(super) async fn read_send(stream: &mut TcpStream, path: &Path) -> Result<()> {
    let file = BufferedFile::open(path).await.map_err(told)?;
    let mut offset = 0;
    loop {
        let piece = file.read_at(offset, CALL_BYTES).await.map_err(told)?;
        whole(piece.len(), CALL_BYTES)?;
        stream.write_all(&piece).await?;
        offset = (offset + CALL_BYTES as u64) % READ_BYTES;
    }
}

pub(super) async fn cold(stream: &mut TcpStream, path: &Path) -> Result<()> {
    let file = Rc::new(DmaFile::open(path).await.map_err(told)?);
    let mut ahead: VecDeque<Task<Result<ReadResult>>> = VecDeque::new();
    let mut asked = 0;
    loop {
        while ahead.len() < AHEAD {
            let (file, offset) = (file.clone(), asked * CHUNK as u64 % READ_BYTES);
            asked += 1;
            ahead.push_back(spawn_local(async move {
                file.read_at_aligned(offset, CHUNK).await.map_err(told)
            }));
        }
        let chunk = ahead.pop_front().context("one is asked for")?.await?;
        whole(chunk.len(), CHUNK)?;
        stream.write_all(&chunk).await?;
    }
}
