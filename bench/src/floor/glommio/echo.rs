//! Small frames in, small frames out: a task for each connection.

use anyhow::Result;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::{Task, spawn_local};

use super::is_hang_up;
use crate::floor::answers::{Partial, Reply};

const BUFFER_BYTES: usize = 16 << 10;

pub(super) async fn run(streams: Vec<TcpStream>, reply_bytes: usize) -> Result<()> {
    let serve = |stream| spawn_local(one(stream, reply_bytes));
    let tasks: Vec<Task<Result<()>>> = streams.into_iter().map(serve).collect();
    for task in tasks {
        match task.await {
            Err(error) if !is_hang_up(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn one(mut stream: TcpStream, reply_bytes: usize) -> Result<()> {
    let (mut reply, mut partial) = (Reply::new(reply_bytes)?, Partial::default());
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut waiting = Vec::new();
    loop {
        let bytes = stream.read(&mut buffer).await?;
        if bytes == 0 {
            return Ok(());
        }
        partial.landed(&buffer[..bytes], &mut reply, &mut waiting)?;
        stream.write_all(&waiting).await?;
        waiting.clear();
    }
}
