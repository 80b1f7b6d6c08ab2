//! The last steps of a move between log directories, by this life or the next; see
//! [`relocation`](super::relocation).

use std::path::Path;

use odradek_engine::io::{Errno, Io};

use super::image::Topic;
use crate::partition::{self, Aside, PartitionName};
use crate::runtime::LogDirs;

/// As its directory is called.
pub(super) fn name(topic: &Topic, index: i32) -> PartitionName {
    PartitionName {
        topic: topic.name.clone(),
        index,
    }
}

/// Sees to it that a partition of which the metadata says that it is in directory `number` is there
/// under its name, and nowhere else. Nothing is to be done, or the last steps of a move.
///
/// # Errors
/// The disk's; it can be done again.
pub async fn finish(
    io: &Io,
    dirs: &LogDirs,
    topic: &Topic,
    index: i32,
    number: usize,
) -> Result<(), Errno> {
    let of = name(topic, index);
    let (Some(future), Some(deleted)) = (
        Aside::Future.name(&of, topic.id),
        Aside::Deleted.name(&of, topic.id),
    ) else {
        return Ok(());
    };
    let (to, plain) = (dirs.path(number), of.to_string());
    if io.list(&to.join(&future)).await == Err(Errno(libc::ENOENT)) {
        return Ok(());
    }
    if io.list(&to.join(&plain)).await.is_ok() {
        // Nothing was moved: somebody called it off, or did it by hand.
        return removed(io, &to.join(&future)).await;
    }
    let mut old = Vec::new();
    for other in dirs.online().filter(|other| *other != number) {
        let (from, away) = (
            dirs.path(other).join(&plain),
            dirs.path(other).join(&deleted),
        );
        match io.rename(&from, &away).await {
            Ok(()) => {
                io.sync_directory(dirs.path(other)).await?;
                old.push(away);
            }
            Err(Errno(libc::ENOENT)) => {}
            Err(error) => {
                dirs.suspect(&from, error);
                if dirs.failed(other).is_none() {
                    return Err(error);
                }
            }
        }
    }
    io.rename(&to.join(&future), &to.join(&plain)).await?;
    io.sync_directory(to).await?;
    for away in old {
        if let Err(error) = removed(io, &away).await {
            tracing::warn!(
                "cannot remove {}: {error}; the next start does",
                away.display()
            );
        }
    }
    Ok(())
}

/// Removes a directory and what is in it, if it is there.
pub async fn removed(io: &Io, path: &Path) -> Result<(), Errno> {
    match partition::remove_directory(io, path).await {
        Ok(()) | Err(Errno(libc::ENOENT)) => Ok(()),
        Err(error) => Err(error),
    }
}
