//! Bytes at rest that are not what was written: flipped bits, blocks in the wrong place, blocks of
//! an earlier time.

use std::cell::RefCell;

use odradek_engine::io::sim::SimWorld;

use crate::oracle::Oracle;
use crate::plan::{Plan, Rng};
use crate::story;

/// What a disk loses or misplaces at once, bytes.
const BLOCK: usize = 4096;

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
    let (what, at, wrong) = match rng.range(0, 2) {
        0 => ("a flipped bit", at, vec![bytes[at] ^ 1 << rng.range(0, 7)]),
        1 => {
            // Of the same log: Kafka's format says nothing of whose a batch is, so that one with the
            // same offsets and epoch from another log would be right.
            let from = rng.range(0, end as u64) as usize / BLOCK * BLOCK;
            let at = at / BLOCK * BLOCK;
            let len = BLOCK.min(bytes.len() - from).min(bytes.len() - at);
            ("a misdirected block", at, bytes[from..from + len].to_vec())
        }
        _ => {
            let at = at / BLOCK * BLOCK;
            let len = BLOCK.min(bytes.len() - at);
            ("a block that was never written", at, vec![0; len])
        }
    };
    if bytes[at..at + wrong.len()] == wrong {
        return;
    }
    story::tell(world.now(), format_args!("{what} in {path} at {at}"));
    oracle.borrow_mut().spoil(partition);
    world.corrupt(path, at as u64, &wrong);
}
