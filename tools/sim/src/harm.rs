//! What it means for a log that some of its bytes are others now, and whether `odradek log verify`
//! sees it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::{parse_file_name, state_file};
use odradek_engine::record::{Rules, batch_end, validate};
use odradek_shards::catalog::split_key;
use odradek_verify::{Checks, Fault, Files, verify_partition_in};
use odradek_wire::Uuid;

use crate::oracle::Partition;
use crate::reports;

/// Whole batches of a log that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harm {
    /// From the first one's base offset to the end of the last one.
    pub offsets: Range<i64>,
    /// The base offset of their segment,
    segment: i64,
    /// and where the first one begins in its file.
    position: u64,
    /// From there on nothing is left but what a log looks like that was never written farther, and
    /// nothing on the disk says otherwise: a write that was lost, of the last that was written, can
    /// not be told from one that never was. (Kafka has no more to tell it by, either.)
    pub silent: bool,
    /// Lines that the node had said before.
    pub since: usize,
}

/// The whole batches that a segment begins with, each with its place and its offsets.
fn batches(base: i64, bytes: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<i64>)> {
    let (mut at, mut next) = (0, base);
    std::iter::from_fn(move || {
        let size = batch_end(&bytes[at..]).ok()??;
        let info = validate(&bytes[at..at + size], &Rules::LOG).ok()?;
        if info.base_offset.0 != next {
            return None;
        }
        let found = (at..at + size, next..info.next_offset().0);
        (at, next) = (found.0.end, found.1.end);
        Some(found)
    })
}

/// The disk's files, to be verified.
struct Disk<'a>(&'a BTreeMap<String, Vec<u8>>);

impl Disk<'_> {
    fn get(&self, path: &Path) -> Option<&[u8]> {
        self.0.get(path.to_str()?).map(Vec::as_slice)
    }
}

impl Files for Disk<'_> {
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let paths = self.0.keys().map(PathBuf::from);
        Ok(paths
            .filter(|path| path.parent() == Some(directory))
            .collect())
    }

    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + '_>, u64)> {
        let bytes = self.get(path).ok_or(ErrorKind::NotFound)?;
        Ok((Box::new(bytes), bytes.len() as u64))
    }
}

/// A segment's file, as `files` have it, whose `bytes` are others now.
pub struct Changed<'a> {
    pub files: &'a BTreeMap<String, Vec<u8>>,
    pub partition: Partition,
    pub path: &'a str,
    pub bytes: Range<usize>,
    /// What the state file says may be a lie.
    pub meddled: bool,
}

impl Changed<'_> {
    /// The batches that were changed; none if there were none, as behind the log's end, or behind
    /// what was damaged before. `before`: the file as it was.
    pub fn harm(&self, before: &[u8]) -> Option<Harm> {
        let base = self.segment()?;
        let here = |(place, _): &(Range<usize>, _)| {
            place.start < self.bytes.end && self.bytes.start < place.end
        };
        let mut changed = batches(base, before).filter(here);
        let (place, offsets) = changed.next()?;
        let end = changed.last().map_or(offsets.end, |(_, last)| last.end);
        Some(Harm {
            offsets: offsets.start..end,
            segment: base,
            position: place.start as u64,
            silent: self.is_silent(base, place.start),
            since: reports::count(),
        })
    }

    /// What was damaged before may look otherwise now.
    pub fn reconsider(&self, harm: &mut Harm) {
        if self.segment() == Some(harm.segment) {
            harm.silent = self.is_silent(harm.segment, harm.position as usize);
        }
    }

    /// The base offset of the file's segment.
    fn segment(&self) -> Option<i64> {
        let (base, _) = parse_file_name(self.path.rsplit('/').next()?)?;
        Some(base.0)
    }

    /// Whether nothing tells that there was more than what is before this position.
    fn is_silent(&self, base: i64, position: usize) -> bool {
        let index = Path::new(self.path).with_extension("index");
        // The file of a segment that was finished is as long as its log.
        let finished = Disk(self.files).get(&index).is_some();
        let unvouched = || self.meddled || !self.is_vouched(base, position as u64);
        self.ends_at(position) && !finished && unvouched()
    }

    /// Whether the log looks as if it had never been written beyond this position.
    fn ends_at(&self, position: usize) -> bool {
        let directory = Path::new(self.path).parent();
        let follows = |other: &str| {
            let beside = Path::new(other).parent() == directory && other.ends_with(".log");
            beside && other > self.path
        };
        let zeros = self.files[self.path][position..]
            .iter()
            .all(|byte| *byte == 0);
        zeros && !self.files.keys().any(|other| follows(other))
    }

    /// Whether recovery will be told by the checkpoint that the segment's log reached beyond
    /// `position`. Where there are several shards it may be another one's that is read.
    fn is_vouched(&self, base: i64, position: u64) -> bool {
        let files = self.files.iter();
        let mut of_shards = files.filter(|(path, _)| path.starts_with("/data/checkpoints."));
        let (Some((_, bytes)), None) = (of_shards.next(), of_shards.next()) else {
            return false;
        };
        let (topic, index) = self.partition;
        let metadata = format!("/data/{topic}-{index}/partition.metadata");
        let id = self.files.get(&metadata).and_then(|bytes| {
            let text = std::str::from_utf8(bytes).ok()?;
            let id = text
                .lines()
                .find_map(|line| line.strip_prefix("topic_id:"))?;
            id.trim().parse::<Uuid>().ok()
        });
        let entries = state_file::read(bytes).unwrap_or_default();
        let mine = |(key, _): &(_, &[u8])| {
            let (topic, of) = split_key(key);
            Some(topic) == id && of == index
        };
        let entry = entries.into_iter().find(mine);
        let checkpoint = entry.and_then(|(_, entry)| Checkpoint::decode(entry).ok());
        checkpoint.is_some_and(|kept| kept.segment.0 == base && kept.end.position.0 > position)
    }

    /// Whether `odradek log verify` says that the partition is damaged there; panics if it does not
    /// and could.
    pub fn is_seen_by_verify(&self, harm: &Harm) -> bool {
        let (topic, index) = self.partition;
        let directory = PathBuf::from(format!("/data/{topic}-{index}"));
        let verified = verify_partition_in(&Disk(self.files), &directory, Checks::default());
        let faults = verified.expect("files that can be read").faults;
        let names = |fault: &Fault| {
            let here = fault.path == Path::new(self.path) && fault.position == harm.position;
            // Zeros up to the end of a segment's file are no fault, but what follows is.
            here || fault.path.as_path() > Path::new(self.path) && fault.position == 0
        };
        let seen = faults.iter().any(names);
        assert!(
            seen || self.ends_at(harm.position as usize),
            "{} is damaged at {}, and log verify says only {faults:?}",
            self.path,
            harm.position
        );
        seen
    }
}

#[cfg(test)]
impl Harm {
    /// Of these offsets, at the beginning of the first segment.
    pub fn at(offsets: Range<i64>) -> Harm {
        Harm {
            offsets,
            segment: 0,
            position: 0,
            silent: false,
            since: reports::count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use odradek_engine::record::BatchBuilder;
    use odradek_engine::types::{Epoch, Offset, Timestamp};

    use super::*;
    use crate::keys;

    const PATH: &str = "/data/t-0/00000000000000000000.log";

    #[test]
    fn zeros_over_what_was_damaged_before_leave_nothing_that_tells_of_it() {
        let mut builder = BatchBuilder::new().base_offset(Offset(0));
        keys::append(&mut builder, (1, 0), 3, false, Timestamp(1));
        let whole = builder.leader_epoch(Epoch(0)).build().expect("a batch");
        let mut flipped = whole.clone();
        flipped[40] ^= 1;
        let zeros = vec![0; whole.len()];
        let held = |bytes: &[u8]| BTreeMap::from([(PATH.to_owned(), bytes.to_vec())]);
        let changed = |files, bytes| Changed {
            files,
            partition: ("t", 0),
            path: PATH,
            bytes,
            meddled: false,
        };
        let files = held(&flipped);
        let mut harm = changed(&files, 40..41).harm(&whole).expect("a harm");
        assert!(!harm.silent);
        let files = held(&zeros);
        let again = changed(&files, 0..zeros.len());
        assert_eq!(again.harm(&flipped), None);
        again.reconsider(&mut harm);
        assert!(harm.silent);
        let files = held(&whole);
        changed(&files, 0..1).reconsider(&mut harm);
        assert!(!harm.silent);
    }
}
