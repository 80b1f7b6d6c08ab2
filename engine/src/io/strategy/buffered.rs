//! Through the page cache, at once (ext4 would hand a ring's buffered write to a worker thread);
//! durable by an fdatasync behind it.

use crate::bytes::Parts;
use crate::io::{Errno, Handle, Io};

pub(super) async fn write(
    io: &Io,
    file: Handle,
    pos: u64,
    parts: Parts,
    durable: bool,
) -> Result<(), Errno> {
    io.write_now(file, pos, parts).await?;
    if durable {
        io.data_sync(file).await?;
    }
    Ok(())
}
