//! O_DIRECT through the ring.

use crate::bytes::Parts;
use crate::io::{Errno, Handle, Io};

pub(super) async fn write(
    io: &Io,
    file: Handle,
    pos: u64,
    parts: Parts,
    dsync: bool,
) -> Result<(), Errno> {
    io.write(file, pos, parts, dsync).await
}
