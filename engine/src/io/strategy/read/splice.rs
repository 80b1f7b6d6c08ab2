//! From page cache into a pipe and from there into the socket, by reference.
//!
//! A ring's splice always runs in a worker thread, so resident ranges are moved by splice(2) on the
//! shard's thread, and only cold ones on the ring. The pipe is drained without waiting: the socket's
//! window is awaited on the ring. Where there are no pipes it is sendfile, which is the same with a
//! pipe inside.

use super::{Outlet, STEP_BYTES, sendfile};
use crate::bytes::PAGE;
use crate::io::{Errno, Pipe, SegmentFile};

pub(super) async fn send(
    outlet: &mut Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    let cached = file.cached().await?;
    if outlet.pipe.is_none() {
        // A step that begins within a page touches one page more.
        outlet.pipe = Pipe::open(&outlet.io, STEP_BYTES as usize + PAGE).await;
    }
    // Taken out while it is in use: after an error it may not be empty, and goes.
    let Some(mut pipe) = outlet.pipe.take() else {
        return sendfile::send(outlet, file, pos, len).await;
    };
    let cold = !outlet.io.resident(cached, pos, len).await;
    let sent = pipe
        .carry(cached, pos, len as usize, outlet.socket, cold)
        .await?;
    outlet.pipe = Some(pipe);
    Ok(sent as u64)
}
