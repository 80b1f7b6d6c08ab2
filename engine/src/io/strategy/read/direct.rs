//! Read past the page cache into memory, and sent from there.

use super::Outlet;
use crate::io::{Errno, Source};

pub(super) async fn send(outlet: &Outlet, file: &Source, pos: u64, len: u64) -> Result<u64, Errno> {
    outlet.fetch_and_send(file.direct().await?, pos, len).await
}
