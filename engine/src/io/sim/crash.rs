//! What a power cut leaves.
//!
//! Each write not yet synced is lost, kept, or kept in some of its sectors; a file's length
//! stops at some point of its history since the last sync; each change of names is lost or
//! kept, those that rest on a lost one are lost.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::{Disk, Node};
use super::file::{File, Mask};
use super::rng::Rng;

/// The fate of one write.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// Each sector for itself.
    Torn,
}

fn fate(rng: &mut Rng) -> Fate {
    match rng.range(0, 3) {
        0 => Fate::Lost,
        1 => Fate::Kept,
        _ => Fate::Torn,
    }
}

/// Cuts the power of a disk whose process is gone already.
pub(super) fn power_cut(disk: &mut Disk, rng: &mut Rng) {
    cut_names(disk, rng);
    for node in disk.nodes.values_mut() {
        match node {
            Node::File(file) => cut_file(file, rng),
            Node::Directory(directory) => directory.entries.clone_from(&directory.durable),
        }
    }
    disk.collect();
}

fn cut_names(disk: &mut Disk, rng: &mut Rng) {
    let changes = std::mem::take(&mut disk.changes);
    // Half of the time as a journal would leave it, otherwise in any consistent way.
    let journal = rng.one_in(2);
    let kept = rng.range(0, changes.len() as u64 + 1);
    let mut lost = BTreeSet::new();
    for (at, change) in changes.into_iter().enumerate() {
        let names = change.edits.iter().map(|(d, name, _)| (*d, name.clone()));
        let names: Vec<_> = names.collect();
        let rests_on_lost = names.iter().any(|name| lost.contains(name));
        let keep = if journal {
            (at as u64) < kept
        } else {
            rng.one_in(2)
        };
        if keep && !rests_on_lost {
            disk.keep(change);
        } else {
            lost.extend(names);
        }
    }
}

fn cut_file(file: &mut File, rng: &mut Rng) {
    let count = file.lengths().len() as u64;
    let kept = match rng.range(0, 3) {
        0 => 0,
        1 => count,
        _ => rng.range(0, count + 1),
    };
    if kept > 0 {
        let sequence = file.lengths()[kept as usize - 1].sequence;
        file.keep_lengths(sequence);
    }
    // What was written after a truncation that did not happen went to blocks that the file
    // does not have.
    let undone = file.lengths().iter().find(|l| l.shrinks);
    let undone = undone.map_or(u64::MAX, |l| l.sequence);
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    for page in file.dirty_pages() {
        while let Some(version) = page.versions.first() {
            let sequence = version.sequence;
            let lost = version.cut || sequence > undone;
            let fate = *fates.entry(sequence).or_insert_with(|| fate(rng));
            let mask: Mask = match fate {
                _ if lost => 0,
                Fate::Lost => 0,
                Fate::Kept => version.mask,
                Fate::Torn => version.mask & rng.next() as Mask,
            };
            page.keep(0, mask);
        }
    }
    file.settle();
}
