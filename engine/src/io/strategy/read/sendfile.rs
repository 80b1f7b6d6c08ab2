//! sendfile, on the shard's thread.

use super::Outlet;
use crate::io::{Errno, SegmentFile};

pub(super) async fn send(
    outlet: &Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    let (io, cached) = (&outlet.io, file.cached().await?);
    let sent = io
        .sendfile(outlet.socket, cached, pos, len as usize)
        .await?;
    Ok(sent as u64)
}
