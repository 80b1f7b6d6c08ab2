//! The files beside a segment's `.log`.

use std::path::Path;

use odradek_engine::io::{Errno, Io};
use odradek_engine::log::index::{OffsetIndex, SegmentIndex, TimeIndex};
use odradek_engine::log::{Aborted, file_stem};
use odradek_engine::types::{Offset, Position};

/// Largest index, snapshot or checkpoint file that is believed.
const SIDE_FILE_BYTES_MAX: usize = 64 << 20;

/// A file beside a segment; `None` if there is none, or none that is believed.
///
/// # Errors
/// The disk's, or too many open files: what it says is not known then, and must not be taken for
/// nothing.
pub(super) async fn read_side(io: &Io, path: &Path) -> Result<Option<Vec<u8>>, Errno> {
    match io.read_file(path, SIDE_FILE_BYTES_MAX).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Errno(libc::ENOENT | libc::EFBIG)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The `.index` comes last: its presence says that the segment is whole.
pub(super) async fn write_index(
    io: &Io,
    stem: &Path,
    times: Vec<u8>,
    offsets: Vec<u8>,
    aborted: &[Aborted],
) -> Result<(), Errno> {
    if !aborted.is_empty() {
        let aborted = Aborted::to_index(aborted);
        io.replace_file(&stem.with_extension("txnindex"), aborted)
            .await?;
    }
    io.replace_file(&stem.with_extension("timeindex"), times)
        .await?;
    io.replace_file(&stem.with_extension("index"), offsets)
        .await
}

/// A segment's aborted transactions by its `.txnindex`; `None` if there is none that is believed.
pub(super) async fn read_aborted(
    io: &Io,
    directory: &Path,
    base: Offset,
) -> Result<Option<Vec<Aborted>>, Errno> {
    let path = directory.join(file_stem(base)).with_extension("txnindex");
    let bytes = read_side(io, &path).await?;
    let all = bytes.and_then(|bytes| Aborted::from_index(&bytes));
    // Their markers are in the segment.
    Ok(all.filter(|all| all.iter().all(|one| one.last >= base)))
}

/// A segment's index from its two files, if they can be read and are sane; else the segment says
/// the same.
pub(super) async fn read_index(
    io: &Io,
    stem: &Path,
    base: Offset,
    size: u64,
    next: Offset,
) -> Option<SegmentIndex> {
    let offsets = read_side(io, &stem.with_extension("index")).await.ok()??;
    let times = read_side(io, &stem.with_extension("timeindex"))
        .await
        .ok()??;
    let offsets = OffsetIndex::parse(base, &offsets, Position(size)).ok()?;
    let times = TimeIndex::parse(base, &times, next).ok()?;
    Some(SegmentIndex::from_parts(offsets, times))
}
/// Segments that do not continue the log are kept under another name, for a person to look at.
pub(super) async fn set_aside(io: &Io, directory: &Path, bases: &[Offset]) -> Result<(), Errno> {
    for base in bases {
        let from = directory.join(format!("{}.log", file_stem(*base)));
        let to = from.with_extension("log.aside");
        io.rename(&from, &to).await?;
    }
    // What stands beside a segment stays until that has lost its name for good.
    io.sync_directory(directory).await?;
    for base in bases {
        let stem = directory.join(file_stem(*base));
        for extension in ["index", "timeindex", "txnindex", "snapshot"] {
            let _ = io.remove(&stem.with_extension(extension)).await;
        }
    }
    io.sync_directory(directory).await
}
