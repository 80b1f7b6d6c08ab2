//! Resident ranges by sendfile, cold ones read past the page cache (as the file is written): a cold
//! page is never met on the shard's thread.

use super::{Outlet, sendfile};
use crate::io::{Errno, SegmentFile};

pub(super) async fn send(
    outlet: &Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    let cached = file.cached().await?;
    if outlet.io.resident(cached, pos, len).await {
        return sendfile::send(outlet, file, pos, len).await;
    }
    outlet.fetch_and_send(file.handle(), pos, len).await
}
