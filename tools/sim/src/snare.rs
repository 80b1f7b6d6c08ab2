//! Lives that end in the middle of what must not be left half done: recovery, a roll, a compaction's
//! exchange of files, a deletion.

use odradek_engine::io::sim::SimWorld;
use odradek_shards::broker::Broker;

use crate::oracle::Oracle;
use crate::plan::{Plan, Rng};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What a node is busy with while a path with this in it is made, renamed or removed. (A partition
/// moves between cores without a file's being touched.)
const BUSY: [(&str, &str); 4] = [
    ("a roll", ".timeindex"),
    ("a compaction", ".cleaned"),
    ("an exchange of segments", ".swap"),
    ("a deletion", "/fleeting-0/"),
];
/// Steps from there to the end, at most.
const STEPS: u64 = 200;

/// An end that waits for a moment.
#[derive(Clone, Copy, Debug)]
pub struct Snare {
    /// What the node is busy with then.
    pub what: &'static str,
    path: &'static str,
    /// Steps of tasks after it has begun.
    pub steps: u64,
}

impl Snare {
    pub fn draw(rng: &mut Rng) -> Snare {
        let (what, path) = rng.pick(&BUSY);
        Snare {
            what,
            path,
            steps: rng.range(1, STEPS),
        }
    }

    /// From now on the world looks out for the moment.
    pub fn lay(&self, world: &SimWorld) {
        world.watch(self.path);
    }
}

/// Whether a node is recovering now what a kill or a cut has left: not all of the workload's
/// partitions that have a log are open yet.
pub fn is_recovering(
    world: &SimWorld,
    plan: &Plan,
    oracle: &Oracle,
    brokers: &[Rc<Broker>],
) -> bool {
    if !oracle.must_recover() {
        return false;
    }
    let mut open = BTreeSet::new();
    for broker in brokers {
        for hosted in broker.holdings.open_partitions() {
            let name = hosted.partition.name();
            open.extend(oracle.partition(&name.topic, name.index));
        }
    }
    let files = world.files();
    let is_there = |(topic, index): &(&str, i32)| {
        let segments = format!("/data/{topic}-{index}/");
        files
            .keys()
            .any(|path| path.starts_with(&segments) && path.ends_with(".log"))
    };
    let mut all = plan.partitions(|_| true).into_iter();
    all.any(|partition| is_there(&partition) && !open.contains(&partition))
}
