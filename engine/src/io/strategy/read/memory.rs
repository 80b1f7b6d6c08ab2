//! What the tail's memory does not hold is read first.

use super::{Outlet, read_send};
use crate::io::{Errno, Source};

pub(super) async fn send(outlet: &Outlet, file: &Source, pos: u64, len: u64) -> Result<u64, Errno> {
    read_send::send(outlet, file, pos, len).await
}
