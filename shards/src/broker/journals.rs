//! Journals: one for each shard and log directory.
//!
//! A journal lies in the directory of the partitions it is for, so it goes with them: what fails
//! together is lost together, and what a directory's journal holds waits there until the directory
//! is back. A partition that moves to another directory has stored everything before it does, so
//! what the old directory's journal still says of it is of no use; only one that was moved by hand,
//! while the node was down, gets it where it is now.

use std::path::PathBuf;
use std::rc::Rc;

use odradek_engine::io::Io;
use odradek_engine::io::strategy::write::Durability;
use odradek_engine::log::state_file::Key;
use odradek_engine::task::Spawner;

use super::boot::BootError;
use crate::catalog::{Image, Promised, split_key};
use crate::config::Settings;
use crate::partition::{Journal, journal_directory, replay};
use crate::runtime::LogDirs;

/// A shard's journals, by the numbers of their directories; none if it is to have none.
pub(super) fn journals(
    io: &Io,
    spawner: &Spawner,
    settings: &Settings,
    dirs: &LogDirs,
    shard: u32,
) -> Vec<Rc<Journal>> {
    if settings.log_durable_method != Durability::Journal {
        return Vec::new();
    }
    let each = dirs.logs().map(|number| {
        Journal::new(
            io.clone(),
            spawner.clone(),
            settings.log_write_strategy,
            journal_directory(dirs.path(number), shard),
            settings.log_journal_bytes.max(0) as u64,
        )
    });
    each.collect()
}

/// Puts back what the journals hold of the partitions, by metadata as the last life left it, and as
/// it will be. A directory where that is not possible has failed.
///
/// # Errors
/// The metadata's has.
pub(super) async fn put_back(
    io: &Io,
    spawner: &Spawner,
    dirs: &LogDirs,
    before: &Image,
    after: &Image,
) -> Result<Promised, BootError> {
    let mut promised = Promised::new();
    for number in dirs.all() {
        if dirs.failed(number).is_some() {
            continue;
        }
        let place = |key: &Key| place(dirs, before, after, number, key);
        match replay(io, spawner, dirs.path(number), place).await {
            Ok(ends) => {
                for (key, end) in ends {
                    let most = promised.entry(key).or_insert(end);
                    *most = end.max(*most);
                }
            }
            Err(error) if number == dirs.metadata() || !dirs.several() => return Err(error.into()),
            // It stays there, and its partitions are offline: nobody misses it.
            Err(error) => dirs.fail(number, &error.to_string()),
        }
    }
    Ok(promised)
}

/// Where a partition lies of which a journal in directory `number` speaks; nowhere if it is gone, or
/// the journal is not the last word on it.
fn place(
    dirs: &LogDirs,
    before: &Image,
    after: &Image,
    number: usize,
    key: &Key,
) -> Option<PathBuf> {
    let (topic, index) = split_key(key);
    let was = before.topic_by_id(topic)?.entry(index)?.directory;
    let elsewhere = |other: usize| other != number && dirs.id(other) == Some(was);
    if !was.is_zero() && dirs.all().any(elsewhere) {
        return None;
    }
    let topic = after.topic_by_id(topic)?;
    let at = dirs.of(topic.entry(index)?.directory).ok()?;
    Some(dirs.path(at).join(format!("{}-{index}", topic.name)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use odradek_wire::Uuid;
    use odradek_wire::metadata_records::{MetadataRecord, TopicRecord};

    use super::*;
    use crate::api::topics::new_partition;
    use crate::catalog::records::new_directory;

    const TOPIC: Uuid = Uuid([9; 16]);

    fn id(byte: u8) -> Uuid {
        Uuid([byte; 16])
    }

    /// Of `t-0` in this directory.
    fn image(directory: Uuid) -> Image {
        let mut image = Image::default();
        let (name, topic_id) = ("t", TOPIC);
        image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
        image.apply(&new_partition(TOPIC, 0, 0, directory));
        image
    }

    #[test]
    fn a_journal_speaks_of_what_is_in_its_directory() {
        let dirs = LogDirs::new(&["/a".into(), "/b".into()], Path::new("/a"));
        dirs.identify(0, id(1));
        dirs.identify(1, id(2));
        let mut key = [9; 20];
        key[16..].copy_from_slice(&0_i32.to_be_bytes());
        let at = |before: &Image, after: &Image, number| place(&dirs, before, after, number, &key);
        let in_b = Some(PathBuf::from("/b/t-0"));
        let there = image(id(2));
        assert_eq!(at(&there, &there, 1), in_b);
        // It moved, and the other journal is older.
        assert_eq!(at(&there, &there, 0), None);
        // It was moved by hand, from a directory that is there, one that is not, and the only one.
        for (was, number) in [(id(1), 0), (id(7), 0), (Uuid::ZERO, 0)] {
            let before = image(was);
            let mut after = before.clone();
            after.apply(&new_directory(TOPIC, 0, id(2)));
            assert_eq!(at(&before, &after, number), in_b, "{was}");
        }
        assert_eq!(at(&there, &image(id(7)), 1), None);
        let gone = Image::default();
        assert_eq!(at(&gone, &there, 1), None);
        dirs.fail(1, "it burns");
        assert_eq!(at(&there, &there, 1), None);
    }
}
