//! Resident ranges by sendfile, cold ones read past the page cache (as the file is written): a cold
//! page is never met on the shard's thread.
//!
//! A range of which most is resident is in use: what the kernel has taken of it is read back through the
//! page cache, or it would be cold for good.

use super::{Outlet, sendfile};
use crate::io::{Errno, Source};

pub(super) async fn send(outlet: &Outlet, file: &Source, pos: u64, len: u64) -> Result<u64, Errno> {
    let cached = file.cached().await?;
    let resident = outlet.io.resident_bytes(cached, pos, len).await;
    if resident >= len {
        return sendfile::send(outlet, file, pos, len).await;
    }
    let most = resident > len / 2;
    let handle = if most { cached } else { file.handle() };
    outlet.fetch_and_send(handle, pos, len).await
}
