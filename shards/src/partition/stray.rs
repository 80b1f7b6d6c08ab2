//! What a deleted topic has left: a directory of the same name as that of a topic made later.
//!
//! A topic is deleted when the metadata log says so; its files go afterwards, and a crash may come
//! between. `partition.metadata` tells whose a directory is. It goes last of all, once the removal of
//! the others is durable: as long as there is something to be taken for the new topic's, it is there
//! to say that it is not.

use std::path::Path;

use odradek_engine::io::{Errno, Io};

pub(super) const METADATA: &str = "partition.metadata";
/// More than such a file can have.
const FILE_BYTES_MAX: usize = 4096;

/// Whose files are in a partition's directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    Ours,
    /// Ours: what says so is damaged.
    Unsaid,
    /// A deleted topic's.
    Foreign,
}

/// Whether a partition's directory holds another topic's files. `is_topic`: whether there is a topic
/// of this id.
///
/// # Errors
/// The disk's.
pub async fn is_foreign(
    io: &Io,
    directory: &Path,
    topic_id: &str,
    is_topic: impl Fn(&str) -> bool,
) -> Result<bool, Errno> {
    let whose = whose(io, directory, topic_id, is_topic).await?;
    Ok(whose == Whose::Foreign)
}

pub(super) async fn whose(
    io: &Io,
    directory: &Path,
    topic_id: &str,
    is_topic: impl Fn(&str) -> bool,
) -> Result<Whose, Errno> {
    let path = directory.join(METADATA);
    let bytes = match io.read_file(&path, FILE_BYTES_MAX).await {
        // It was being made, or it is older than these files.
        Err(Errno(libc::ENOENT)) => return Ok(Whose::Ours),
        read => read?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let id = lines.find_map(|line| line.strip_prefix("topic_id:"));
    Ok(match id.map(str::trim) {
        Some(id) if id == topic_id => Whose::Ours,
        // A topic that there is has its own directories: this is another's block, or a copy by hand.
        Some(id) if differ(id, topic_id) && !is_topic(id) => Whose::Foreign,
        _ => Whose::Unsaid,
    })
}

/// Says whose a directory is; durable on return.
pub(super) async fn say(io: &Io, directory: &Path, topic_id: &str) -> Result<(), Errno> {
    io.replace_file(&directory.join(METADATA), text(topic_id))
        .await
}

/// What says it.
pub(super) fn text(topic_id: &str) -> Vec<u8> {
    format!("version: 0\ntopic_id: {topic_id}").into_bytes()
}

/// Whether these are two topics' ids. They are random: two that are alike in most places are one, and
/// it is damaged; nothing is removed for that.
fn differ(one: &str, other: &str) -> bool {
    let alike = one.bytes().zip(other.bytes()).filter(|(a, b)| a == b);
    one.len() == other.len() && alike.count() * 2 < one.len()
}

/// Removes all of a partition's files but what says whose they are; durable on return.
pub(super) async fn empty(io: &Io, directory: &Path) -> Result<(), Errno> {
    for name in io.list(directory).await? {
        if name != METADATA {
            io.remove(&directory.join(name)).await?;
        }
    }
    io.sync_directory(directory).await
}

/// Removes all that is in a partition's directory.
///
/// # Errors
/// ENOENT: there is none.
pub async fn empty_directory(io: &Io, directory: &Path) -> Result<(), Errno> {
    empty(io, directory).await?;
    match io.remove(&directory.join(METADATA)).await {
        Ok(()) | Err(Errno(libc::ENOENT)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a partition's directory. It is gone for good once its parent is synced.
///
/// # Errors
/// ENOENT: there is none.
pub async fn remove_directory(io: &Io, directory: &Path) -> Result<(), Errno> {
    empty_directory(io, directory).await?;
    io.remove_dir(directory).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_damaged_is_not_another_topics() {
        let id = "mM1vQzqGQ4u0wVd3kXn8Bw";
        assert!(differ("b7Jt2rIyR9eHcF5sLZaTUg", id));
        // Zeros, say, or a block of something else.
        for same in [id, "mM1vQzqGQ5u0wVd3kXn8Bw", "mM1vQzqG", ""] {
            assert!(!differ(same, id), "{same}");
        }
    }
}
