//! Read past the page cache into memory, and sent from there.

use super::Outlet;
use crate::io::{Errno, SegmentFile};

pub(super) async fn send(
    outlet: &Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    outlet.fetch_and_send(file.direct().await?, pos, len).await
}
