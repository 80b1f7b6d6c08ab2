//! Bytes at rest that are not what was written: flipped bits, blocks in the wrong place, blocks of
//! an earlier time.

use std::cell::RefCell;

use odradek_engine::io::sim::SimWorld;

use crate::harm::Changed;
use crate::oracle::Oracle;
use crate::plan::{Plan, Rng};
use crate::story;

/// What a disk loses or misplaces at once, bytes.
const BLOCK: usize = 4096;
/// What it writes whole, bytes.
const SECTOR: usize = 512;

/// Spoils one segment, if there is one that holds anything.
pub fn at_rest(world: &SimWorld, plan: &Plan, oracle: &RefCell<Oracle>, rng: &mut Rng) {
    let files = world.files();
    let mut logs = Vec::new();
    for (path, bytes) in &files {
        let Some(place) = path
            .strip_prefix("/data/")
            .and_then(|it| it.split_once('/'))
        else {
            continue;
        };
        let Some((topic, index)) = place.0.rsplit_once('-') else {
            continue;
        };
        let index = index.parse().unwrap_or(-1);
        let end = bytes.iter().rposition(|byte| *byte != 0);
        // Of a damaged log neither gaps nor markers say anything.
        let known = oracle.borrow().partition(topic, index);
        let known = known.filter(|(topic, _)| plan.is_simple(topic));
        if let (Some(partition), Some(end), true) = (known, end, place.1.ends_with(".log")) {
            logs.push((path, bytes, partition, end));
        }
    }
    if logs.is_empty() || rng.one_in(2) {
        return;
    }
    let (path, bytes, partition, end) = logs[rng.range(0, logs.len() as u64 - 1) as usize];
    let at = rng.range(0, end as u64) as usize;
    let (what, at, wrong) = match rng.range(0, 3) {
        0 => ("flipped bits", at, vec![bytes[at] ^ 1 << rng.range(0, 7)]),
        1 => {
            // Of the same log: Kafka's format says nothing of whose a batch is, so that one with the
            // same offsets and epoch from another log would be right.
            let from = rng.range(0, end as u64) as usize / BLOCK * BLOCK;
            let at = at / BLOCK * BLOCK;
            let len = BLOCK.min(bytes.len() - from).min(bytes.len() - at);
            ("misdirected blocks", at, bytes[from..from + len].to_vec())
        }
        2 => {
            let at = at / BLOCK * BLOCK;
            let len = BLOCK.min(bytes.len() - at);
            ("blocks that were never written", at, vec![0; len])
        }
        _ => match stale(world, path, at, rng) {
            Some((at, wrong)) => ("stale blocks", at, wrong),
            None => return,
        },
    };
    let mut changed = (at..).zip(&wrong).filter(|(at, byte)| bytes[*at] != **byte);
    let Some((first, _)) = changed.next() else {
        return;
    };
    let last = changed.last().map_or(first, |(last, _)| last);
    story::tell(
        world.now(),
        format_args!("{what} in {path}, from {first} to {last}"),
    );
    world.corrupt(path, at as u64, &wrong);
    let changed = Changed {
        files: &world.files(),
        partition,
        path,
        bytes: first..last + 1,
        meddled: plan.meddling,
    };
    let harm = changed.harm(bytes);
    let mut oracle = oracle.borrow_mut();
    if harm
        .as_ref()
        .is_some_and(|harm| changed.is_seen_by_verify(harm))
    {
        oracle.detected("by log verify");
    }
    for before in oracle.harms(partition) {
        changed.reconsider(before);
    }
    oracle.spoil(partition, what, harm);
}

/// What a file holds if a write that was acknowledged, and flushed, never came to the disk: all of it,
/// or some of its sectors.
fn stale(world: &SimWorld, path: &str, at: usize, rng: &mut Rng) -> Option<(usize, Vec<u8>)> {
    let (from, mut before) = world.before(path, at as u64)?;
    let from = from as usize;
    if rng.one_in(2) {
        return Some((from, before));
    }
    let sectors = before.len().div_ceil(SECTOR) as u64;
    let first = rng.range(0, sectors - 1);
    let end = rng.range(first + 1, sectors) as usize * SECTOR;
    before.truncate(end);
    let first = first as usize * SECTOR;
    Some((from + first, before.split_off(first)))
}
