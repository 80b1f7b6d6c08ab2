//! O_DIRECT through the ring; durable by RWF_DSYNC on the write itself.

use crate::bytes::Parts;
use crate::io::{Errno, Handle, Io};

pub(super) async fn write(
    io: &Io,
    file: Handle,
    pos: u64,
    parts: Parts,
    durable: bool,
) -> Result<(), Errno> {
    io.write(file, pos, parts, durable).await
}
