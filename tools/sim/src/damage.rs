//! Bytes at rest that are not what was written: flipped bits, blocks in the wrong place, blocks of
//! an earlier time.

use std::collections::BTreeMap;

use odradek_engine::io::sim::SimWorld;

use crate::plan::Rng;

/// What a disk loses or misplaces at once, bytes.
const BLOCK: usize = 4096;

/// All files by path.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// What a file is to the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A segment of a partition's log.
    Log(String, i32),
    Journal,
    /// Where a partition's leader epochs began. Neither that file nor the epochs of batches have a
    /// check of their own, so one that is changed and can be read is believed, as in Kafka.
    Epochs(String, i32),
    /// What can be rebuilt, and must be when it is wrong.
    Beside,
}

impl Kind {
    /// Of a file that may be damaged here. Left out are those of Kafka's text files whose numbers
    /// stand nowhere else (`log-start-offset-checkpoint`, the two of compaction), and
    /// `meta.properties`, without which a start is refused.
    pub fn of(path: &str) -> Option<Kind> {
        let mut names = path.split('/').skip(2);
        let (first, second) = (names.next()?, names.next());
        let Some(file) = second else {
            return first.starts_with("checkpoints.").then_some(Kind::Beside);
        };
        if first.starts_with("journal.") {
            return Some(Kind::Journal);
        }
        let (topic, index) = first.rsplit_once('-')?;
        let index = index.parse().ok()?;
        let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
        match (file, extension) {
            (_, "log") => Some(Kind::Log(topic.to_owned(), index)),
            ("leader-epoch-checkpoint", _) => Some(Kind::Epochs(topic.to_owned(), index)),
            ("partition.metadata", _) | (_, "index" | "timeindex" | "txnindex" | "snapshot") => {
                Some(Kind::Beside)
            }
            _ => None,
        }
    }
}

/// Other bytes in a file's place.
#[derive(Clone, Debug)]
pub struct Damage {
    pub what: &'static str,
    pub path: String,
    pub at: usize,
    pub bytes: Vec<u8>,
    /// They are another file's.
    pub foreign: bool,
}

impl Damage {
    /// Draws one for a file. `past`: the files as they were earlier. `None`: it would change nothing.
    pub fn draw(
        world: &SimWorld,
        files: &Tree,
        past: &Tree,
        path: &str,
        rng: &mut Rng,
    ) -> Option<Damage> {
        let now = &files[path];
        let end = now.iter().rposition(|byte| *byte != 0)?;
        // Now and then in what was allocated ahead.
        let last = if rng.one_in(10) { now.len() - 1 } else { end };
        let byte = rng.range(0, last as u64) as usize;
        let at = byte / BLOCK * BLOCK;
        let len = BLOCK.min(now.len() - at);
        let block = |of: &[u8], from: usize| {
            let mut block = of.get(from..).unwrap_or(&[]).to_vec();
            block.resize(len, 0);
            block
        };
        let mut foreign = false;
        let (what, at, bytes) = match rng.range(0, 6) {
            0 | 1 => (
                "a flipped bit",
                byte,
                vec![now[byte] ^ 1 << rng.range(0, 7)],
            ),
            2 => {
                let from = rng.range(0, end as u64) as usize / BLOCK * BLOCK;
                ("a misdirected block", at, block(now, from))
            }
            3 => {
                let others: Vec<&Vec<u8>> =
                    files.values().filter(|other| !other.is_empty()).collect();
                let other = others[rng.range(0, others.len() as u64 - 1) as usize];
                let from = rng.range(0, other.len() as u64 - 1) as usize / BLOCK * BLOCK;
                foreign = true;
                ("another file's block", at, block(other, from))
            }
            4 => ("a block that was never written", at, vec![0; len]),
            5 => {
                let page = (at / BLOCK) as u64;
                let before = world.before_last_write(path, page)?;
                ("a block whose last write was lost", at, block(&before, 0))
            }
            _ => ("a block of an earlier life", at, block(past.get(path)?, at)),
        };
        let damage = Damage {
            what,
            path: path.to_owned(),
            at,
            bytes,
            foreign,
        };
        damage.first(now).map(|_| damage)
    }

    /// The first byte that it changes.
    pub fn first(&self, before: &[u8]) -> Option<usize> {
        let mut pairs = before[self.at..].iter().zip(&self.bytes);
        pairs
            .position(|(before, now)| before != now)
            .map(|at| self.at + at)
    }

    /// Does it to a copy of the files.
    pub fn done_to(&self, files: &Tree) -> Tree {
        let mut after = files.clone();
        let file = after.get_mut(&self.path).expect("a file");
        file[self.at..self.at + self.bytes.len()].copy_from_slice(&self.bytes);
        after
    }

    /// Does it.
    pub fn strike(&self, world: &SimWorld) {
        world.corrupt(&self.path, self.at as u64, &self.bytes);
    }
}

/// A random file of these, if there is one that holds anything.
pub fn pick<'a>(files: &'a Tree, rng: &mut Rng, such: impl Fn(&Kind) -> bool) -> Option<&'a str> {
    let holds = |bytes: &[u8]| bytes.iter().any(|byte| *byte != 0);
    let such = |path: &str| Kind::of(path).is_some_and(|kind| such(&kind));
    let found = files
        .iter()
        .filter(|(path, bytes)| such(path) && holds(bytes));
    let found: Vec<&str> = found.map(|(path, _)| path.as_str()).collect();
    let last = found.len().checked_sub(1)?;
    Some(found[rng.range(0, last as u64) as usize])
}
