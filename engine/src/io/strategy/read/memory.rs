//! What the tail's memory does not hold is read first.

use super::{Outlet, read_send};
use crate::io::{Errno, SegmentFile};

pub(super) async fn send(
    outlet: &Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    read_send::send(outlet, file, pos, len).await
}
