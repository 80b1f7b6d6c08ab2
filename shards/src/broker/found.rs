//! In which log directory each partition is, as a start finds it; see [`LogDirs`].
//!
//! Nothing is asked of a node that has one directory, and never had more.
//!
//! Source: Kafka `LogManager.loadLogs`, `BrokerServer` (`AssignReplicasToDirs` of what is elsewhere
//! than the metadata says).

use std::collections::{BTreeMap, BTreeSet};

use odradek_engine::io::Io;
use odradek_wire::Uuid;
use odradek_wire::metadata_records::MetadataRecord;

use super::boot::BootError;
use crate::catalog::placement::Fill;
use crate::catalog::records::new_directory;
use crate::catalog::{Image, Topic, swap};
use crate::partition::{self, Aside};
use crate::runtime::{LogDirs, Nowhere};

/// The metadata log's directory.
pub(crate) const METADATA_LOG: &str = "__cluster_metadata-0";

/// Whether the metadata names directories that are not there.
pub(super) fn elsewhere(image: &Image, dirs: &LogDirs) -> bool {
    let mut entries = image.topics().flat_map(|topic| &topic.partitions);
    entries.any(|entry| dirs.of(entry.directory).is_err())
}

/// The names in each directory that can be listed.
pub(super) struct Found(Vec<(usize, BTreeSet<String>)>);

impl Found {
    /// Lists all of them. One where that is not possible has failed.
    ///
    /// # Errors
    /// The metadata's failed, or is not where the metadata log is.
    pub(super) async fn look(io: &Io, dirs: &LogDirs) -> Result<Found, BootError> {
        let mut found = Vec::new();
        for number in dirs.all().filter(|number| dirs.failed(*number).is_none()) {
            match io.list(dirs.path(number)).await {
                Ok(names) => found.push((number, names.into_iter().collect::<BTreeSet<_>>())),
                Err(error) if number == dirs.metadata() => {
                    let fail = BootError::in_directory(dirs.path(number), "listing it");
                    return Err(fail(error));
                }
                Err(error) => dirs.fail(number, &format!("listing it: {error}")),
            }
        }
        let logs = found
            .iter()
            .filter(|(_, names)| names.contains(METADATA_LOG));
        let logs: Vec<usize> = logs.map(|(number, _)| *number).collect();
        match logs.first() {
            Some(other) if !logs.contains(&dirs.metadata()) => Err(BootError::Meta(format!(
                "the metadata log is in {}, not in {}: set metadata.log.dir={0}, or put it first in \
                 log.dirs",
                dirs.path(*other).display(),
                dirs.path(dirs.metadata()).display()
            ))),
            _ => Ok(Found(found)),
        }
    }

    /// Finishes moves between directories that a kill has cut short after they were recorded, and
    /// removes what is of no use. Those that were not: they begin again.
    ///
    /// # Errors
    /// The disk's: it would not be known which of two directories is the partition's.
    pub(super) async fn finish_moves(
        &mut self,
        io: &Io,
        dirs: &LogDirs,
        image: &Image,
    ) -> Result<Vec<(Uuid, i32, usize)>, BootError> {
        let aside = self.0.iter().flat_map(|(number, names)| {
            let parsed = names.iter().map(|name| (name, Aside::parse(name)));
            parsed.filter_map(|(name, aside)| Some((*number, name.clone(), aside?)))
        });
        let aside: Vec<_> = aside.collect();
        let mut again = Vec::new();
        for (number, name, (what, id, index)) in aside {
            let path = dirs.path(number);
            let known = image
                .topic_by_id(id)
                .and_then(|topic| Some((topic, topic.entry(index)?)));
            match known {
                Some((topic, entry)) if what == Aside::Future => {
                    if dirs.of(entry.directory) != Ok(number) {
                        again.push((id, index, number));
                        continue;
                    }
                    let finished = swap::finish(io, dirs, topic, index, number).await;
                    let fail = BootError::in_directory(path, "finishing a move");
                    finished.map_err(fail)?;
                    let plain = format!("{}-{index}", topic.name);
                    for (other, names) in &mut self.0 {
                        match *other == number {
                            true => names.insert(plain.clone()),
                            false => names.remove(&plain),
                        };
                    }
                }
                _ => {
                    let path = path.join(&name);
                    if let Err(error) = swap::removed(io, &path).await {
                        let path = path.display();
                        tracing::error!("cannot remove {path}: {error}; remove it by hand");
                    }
                }
            }
        }
        Ok(again)
    }

    /// What the metadata must be told.
    ///
    /// # Errors
    /// A partition is in two directories.
    pub(super) async fn settle(
        self,
        io: &Io,
        dirs: &LogDirs,
        image: &Image,
    ) -> Result<Vec<MetadataRecord<'static>>, BootError> {
        let mut fill = Fill::of(image, dirs);
        let mut change = Vec::new();
        let mut lost = BTreeMap::<Uuid, usize>::new();
        for topic in image.topics() {
            for (index, entry) in (0..).zip(&topic.partitions) {
                let recorded = dirs.of(entry.directory);
                let mut at = self.at(dirs, topic, index);
                if at.len() > 1 || at.first().is_some_and(|one| recorded != Ok(*one)) {
                    at = ours(io, dirs, image, (topic, index), at).await;
                }
                match (&at[..], recorded) {
                    ([one], Ok(recorded)) if *one == recorded => {}
                    ([one], _) => {
                        let id = dirs.id(*one).expect("a directory that was listed");
                        let path = dirs.path(*one).display();
                        tracing::info!("{}-{index} was found in {path}", topic.name);
                        change.push(new_directory(topic.id, index, id));
                        fill.add(id);
                    }
                    ([one, other, ..], _) => {
                        return Err(BootError::Twice {
                            partition: format!("{}-{index}", topic.name),
                            one: dirs.path(*one).display().to_string(),
                            other: dirs.path(*other).display().to_string(),
                        });
                    }
                    // What was never used can be anywhere, if it is known that it was not.
                    ([], Err(Nowhere::Unplaced)) if dirs.failures() == 0 => {
                        change.push(new_directory(topic.id, index, fill.place()));
                    }
                    ([], Err(Nowhere::Unknown(id))) => *lost.entry(id).or_default() += 1,
                    ([], _) => {}
                }
            }
        }
        for (id, partitions) in lost {
            tracing::error!(
                "{partitions} partitions are in a log directory that is not there, of \
                 directory.id={id}: they are offline until it stands in log.dirs again"
            );
        }
        Ok(change)
    }

    fn at(&self, dirs: &LogDirs, topic: &Topic, index: i32) -> Vec<usize> {
        let name = format!("{}-{index}", topic.name);
        let holding = self.0.iter().filter(|(_, names)| names.contains(&name));
        let numbers = holding.map(|(number, _)| *number);
        numbers
            .filter(|number| dirs.logs().contains(number))
            .collect()
    }
}

/// Those of the directories in which the partition's files are this topic's, and no deleted one's.
async fn ours(
    io: &Io,
    dirs: &LogDirs,
    image: &Image,
    (topic, index): (&Topic, i32),
    at: Vec<usize>,
) -> Vec<usize> {
    let is_topic = |id: &str| image.knows(id);
    let mut ours = Vec::new();
    for number in at {
        let path = dirs.path(number).join(format!("{}-{index}", topic.name));
        match partition::is_foreign(io, &path, &topic.id.to_string(), is_topic).await {
            Ok(false) => ours.push(number),
            Ok(true) => {
                let shown = path.display();
                tracing::warn!("{shown} is a deleted topic's: it is removed");
                if let Err(error) = partition::remove_directory(io, &path).await {
                    tracing::error!("cannot remove {shown}: {error}; remove it by hand");
                }
            }
            Err(error) => dirs.fail(number, &format!("{}: {error}", path.display())),
        }
    }
    ours
}
