//! Read through the page cache into memory by the ring, and sent from there.

use super::Outlet;
use crate::io::{Errno, SegmentFile};

pub(super) async fn send(
    outlet: &Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    outlet.fetch_and_send(file.cached().await?, pos, len).await
}
