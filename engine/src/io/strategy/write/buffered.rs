//! Through the page cache, at once (ext4 would hand a ring's buffered write to a worker thread).
//! With RWF_DSYNC the write waits for the disk, so a worker thread makes it.

use crate::bytes::Parts;
use crate::io::{Errno, Handle, Io};

pub(super) async fn write(
    io: &Io,
    file: Handle,
    pos: u64,
    parts: Parts,
    dsync: bool,
) -> Result<(), Errno> {
    match dsync {
        false => io.write_now(file, pos, parts, false).await,
        true => io.write_through(file, pos, parts, false).await,
    }
}
