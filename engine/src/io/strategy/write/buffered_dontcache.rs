//! As [`super::buffered`], with RWF_DONTCACHE (Linux 6.14): writing to disk begins with the write,
//! and what is on disk leaves the page cache.

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
        false => io.write_now(file, pos, parts, true).await,
        true => io.write_through(file, pos, parts, true).await,
    }
}
