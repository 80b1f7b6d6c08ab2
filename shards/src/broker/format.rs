//! `meta.properties` in every log directory: whose it is, and by which id it goes.
//!
//! The metadata's directory has the last word on the cluster's id, and keeps the number of shards.
//! A directory without the file is new: it gets one.
//!
//! Source: Kafka `MetaPropertiesEnsemble`, `MetaPropertiesVersion`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use odradek_engine::io::{Errno, Io};
use odradek_wire::Uuid;

use super::boot::BootError;
use crate::api::Facts;
use crate::config::Settings;
use crate::runtime::LogDirs;

pub(crate) const FILE: &str = "meta.properties";
/// More than such a file can have.
const FILE_BYTES_MAX: usize = 64 << 10;

/// What such a file says.
fn parse(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let trimmed = |(key, value): (&str, &str)| (key.trim().to_owned(), value.trim().to_owned());
    pairs.map(trimmed).collect()
}

/// Whether such a file says which cluster its directory belongs to.
pub(crate) fn names_cluster(bytes: &[u8]) -> bool {
    let known = parse(bytes);
    known.get("cluster.id").is_some_and(|id| !id.is_empty())
}

/// Reads the files, or writes them on the first start. A directory where that is not possible has
/// failed; the metadata's must not.
pub(super) async fn format(
    io: &Io,
    dirs: &LogDirs,
    settings: &Settings,
    shards: u32,
) -> Result<Facts, BootError> {
    let node = settings.node_id;
    let first = File::read(io, dirs.path(dirs.metadata()), node).await?;
    let facts = Facts {
        cluster_id: first.id(io, "cluster.id"),
        directory_id: first.id(io, "directory.id"),
        relocations: Vec::new(),
        promised: Arc::default(),
    };
    if let Some(count) = first
        .known
        .get("shards")
        .filter(|count| **count != shards.to_string())
    {
        tracing::info!("the node had {count} shards and has {shards} now");
    }
    first.keep(io, node, &facts, Some(shards)).await?;
    identify(dirs, dirs.metadata(), &facts.directory_id)?;
    for number in dirs.all().filter(|number| *number != dirs.metadata()) {
        if dirs.failed(number).is_some() {
            continue;
        }
        match format_other(io, dirs.path(number), node, &facts).await {
            Ok(id) => identify(dirs, number, &id)?,
            Err(BootError::Directory { what, error, .. }) => {
                dirs.fail(number, &format!("{what}: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(facts)
}

async fn format_other(
    io: &Io,
    directory: &Path,
    node: i32,
    facts: &Facts,
) -> Result<String, BootError> {
    let file = File::read(io, directory, node).await?;
    let cluster = file.known.get("cluster.id");
    if let Some(other) = cluster.filter(|other| **other != facts.cluster_id) {
        return Err(BootError::Meta(format!(
            "{} belongs to cluster.id={other}, and the directory of the metadata log to \
             cluster.id={}: set other log.dirs, or the metadata.log.dir that goes with it",
            directory.join(FILE).display(),
            facts.cluster_id
        )));
    }
    let facts = Facts {
        cluster_id: facts.cluster_id.clone(),
        directory_id: file.id(io, "directory.id"),
        relocations: Vec::new(),
        promised: Arc::default(),
    };
    file.keep(io, node, &facts, None).await?;
    Ok(facts.directory_id)
}

fn identify(dirs: &LogDirs, number: usize, id: &str) -> Result<(), BootError> {
    let path = || dirs.path(number).join(FILE);
    let id = match id.parse::<Uuid>() {
        Ok(id) if !id.is_zero() => id,
        // Nothing is ever named by it.
        _ if !dirs.several() => return Ok(()),
        _ => {
            let path = path().display().to_string();
            let why = format!("{path}: directory.id={id} is no id: remove that line");
            return Err(BootError::Meta(why));
        }
    };
    let same = |other: &usize| *other != number && dirs.id(*other) == Some(id);
    if let Some(other) = dirs.all().find(same) {
        return Err(BootError::Meta(format!(
            "{} and {} have the same directory.id={id}: one is a copy; remove it from log.dirs, or \
             that line from its file",
            dirs.path(other).join(FILE).display(),
            path().display()
        )));
    }
    dirs.identify(number, id);
    Ok(())
}

/// One directory's.
struct File<'a> {
    directory: &'a Path,
    before: Vec<u8>,
    known: BTreeMap<String, String>,
}

impl File<'_> {
    async fn read<'a>(io: &Io, directory: &'a Path, node: i32) -> Result<File<'a>, BootError> {
        let path = directory.join(FILE);
        let mut file = File {
            directory,
            before: Vec::new(),
            known: BTreeMap::new(),
        };
        match io.read_file(&path, FILE_BYTES_MAX).await {
            Ok(bytes) => {
                file.known = parse(&bytes);
                file.before = bytes;
            }
            Err(Errno(libc::ENOENT)) => {}
            Err(error) => {
                let fail = BootError::in_directory(directory, "reading meta.properties");
                return Err(fail(error));
            }
        }
        let known = file.known.get("node.id");
        if let Some(other) = known.filter(|other| **other != node.to_string()) {
            return Err(BootError::Meta(format!(
                "{} belongs to node.id={other}, and this node has node.id={node}: \
                 set node.id={other} or another log.dirs",
                path.display()
            )));
        }
        Ok(file)
    }

    /// The id that stands there, or a new one.
    fn id(&self, io: &Io, key: &str) -> String {
        let new = || {
            let (a, b) = (io.random(), io.random());
            Uuid((u128::from(a) << 64 | u128::from(b)).to_be_bytes()).to_string()
        };
        self.known.get(key).cloned().unwrap_or_else(new)
    }

    /// Writes it, but not without need: a node starts on a full disk, too.
    async fn keep(
        &self,
        io: &Io,
        node: i32,
        facts: &Facts,
        shards: Option<u32>,
    ) -> Result<(), BootError> {
        let mut text = format!(
            "version=1\nnode.id={node}\ncluster.id={}\ndirectory.id={}\n",
            facts.cluster_id, facts.directory_id
        );
        if let Some(shards) = shards {
            text.push_str(&format!("shards={shards}\n"));
        }
        if self.before == text.as_bytes() {
            return Ok(());
        }
        let path = self.directory.join(FILE);
        let written = io.replace_file(&path, text.into_bytes()).await;
        let fail = BootError::in_directory(self.directory, "writing meta.properties");
        written.map_err(fail)
    }
}
