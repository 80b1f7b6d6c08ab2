//! Memory is sent without being copied into the socket (SEND_ZC); file ranges are read into memory
//! first. It pays on a real network card: loopback copies in the end.

use super::Outlet;
use crate::bytes::{Parts, parts_len};
use crate::io::{Errno, SegmentFile};

/// Pinning pages costs more than copying less than this (the kernel's own advice is 10 KB).
const BYTES_MIN: usize = 16 << 10;

pub(super) async fn memory(outlet: &Outlet, parts: Parts) -> Result<(), Errno> {
    match parts_len(&parts) {
        BYTES_MIN.. => outlet.io.send_zero_copy(outlet.socket, parts).await,
        _ => outlet.io.send(outlet.socket, parts).await,
    }
}

pub(super) async fn send(
    outlet: &Outlet,
    file: &SegmentFile,
    pos: u64,
    len: u64,
) -> Result<u64, Errno> {
    outlet.fetch_and_send(file.cached().await?, pos, len).await
}
