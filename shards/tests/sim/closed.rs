//! What stands beside a log that was closed: it is read when somebody needs it, and kept when the
//! log is written to.

use std::collections::BTreeMap;
use std::rc::Rc;

use odradek_engine::io::sim::SimWorld;
use odradek_engine::record::{BatchBuilder, Origin, Rules, validate};
use odradek_engine::types::{Offset, Timestamp};
use odradek_shards::broker::Broker;
use odradek_shards::partition::{Mark, Partition, Piece};

use crate::clean_start::{create, hosted, live};

const BATCHES: i64 = 200;

/// Appends small batches of one record, each a millisecond later, until so many are there.
async fn append_up_to(partition: &Partition, end: i64) {
    for number in partition.standing().next.0..end {
        let mut builder = BatchBuilder::new();
        let value = [number as u8; 300];
        let time = Timestamp(1_000 + number);
        let appended = builder.append(time, None, Some(&value), &[]);
        appended.expect("a record");
        let bytes = builder.build().expect("a batch");
        let info = validate(&bytes, &Rules::NODE).expect("valid");
        let appended = partition.append(&bytes, &info, Origin::Node, None, time);
        appended.expect("appended");
    }
    let visible = partition.wait(Mark::Visible, Offset(end)).done().await;
    visible.expect("visible");
}

async fn filled(broker: Rc<Broker>) {
    create(&broker, 1, &[]).await;
    append_up_to(&hosted(&broker, 0).await.partition, BATCHES).await;
}

/// Offsets and times lead to their records.
async fn all_is_found(partition: &Partition) {
    for offset in (0..partition.standing().next.0).step_by(17) {
        let read = partition.read(Offset(offset), 100, true).await;
        let read = read.unwrap_or_else(|error| panic!("offset {offset}: {error}"));
        // In memory, or where its batch begins: all batches are of the same length.
        let from = match &read.pieces[0] {
            Piece::File(range) => range.pos,
            Piece::Memory(parts) => {
                let base = parts[0].bytes().first_chunk().expect("a batch");
                assert_eq!(i64::from_be_bytes(*base), offset);
                continue;
            }
        };
        let batch = partition.copy(Offset(offset), 1).await.expect("readable");
        let size = batch.len() as u64;
        assert_eq!(from, offset as u64 * size, "offset {offset}");
        let time = Timestamp(1_000 + offset);
        let found = partition.offset_for_time(time).await.expect("readable");
        assert_eq!(found, Some((time, Offset(offset))));
    }
}

/// Bytes read so far of the files beside the log that have these extensions.
fn read_beside(world: &SimWorld, extensions: &[&str]) -> u64 {
    let all = world.bytes_read();
    let beside = all.iter().filter(|(path, _)| {
        let extension = path.rsplit('.').next();
        path.starts_with("/data/t-0/") && extensions.iter().any(|one| extension == Some(one))
    });
    beside.map(|(_, bytes)| bytes).sum()
}

fn beside(world: &SimWorld) -> BTreeMap<String, Vec<u8>> {
    let mut files = world.files();
    files.retain(|path, _| path.starts_with("/data/t-0/"));
    files
}

const INDEX: &str = "/data/t-0/00000000000000000000.index";

#[test]
fn it_is_read_when_it_is_needed_and_stays_as_it_is() {
    for seed in 0..10 {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        live(&world, true, |broker, _| filled(broker));
        let left = beside(&world);
        assert!(!left[INDEX].is_empty(), "there are entries to be read");
        live(&world, true, move |broker, world| async move {
            let before = read_beside(&world, &["index", "timeindex", "snapshot"]);
            let hosted = hosted(&broker, 0).await;
            assert_eq!(hosted.partition.standing().next.0, BATCHES);
            let opened = read_beside(&world, &["index", "timeindex", "snapshot"]);
            assert_eq!(opened, before, "seed {seed}: an opening reads none of them");
            let logs = read_beside(&world, &["log"]);
            all_is_found(&hosted.partition).await;
            assert!(read_beside(&world, &["index"]) > before);
            let walked = read_beside(&world, &["log"]) - logs;
            assert!(walked > 0, "batches are looked at, from entries on");
        });
        assert_eq!(beside(&world), left, "seed {seed}: nothing was written");
    }
}

#[test]
fn a_write_keeps_its_entries_and_a_kill_does_not_need_them() {
    for (seed, stop) in (0..20).zip([true, false].into_iter().cycle()) {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        live(&world, true, |broker, _| filled(broker));
        let before = beside(&world)[INDEX].clone();
        live(&world, stop, move |broker, _| async move {
            let hosted = hosted(&broker, 0).await;
            let partition = &hosted.partition;
            append_up_to(partition, 2 * BATCHES).await;
            let gap = partition.with_log(|log| log.gap(Offset(0)));
            assert_eq!(gap, None, "seed {seed}: the entries were taken over");
            all_is_found(partition).await;
        });
        if stop {
            let after = &beside(&world)[INDEX];
            assert!(after.starts_with(&before) && after.len() >= 2 * before.len());
        }
        live(&world, true, |broker, _| async move {
            let hosted = hosted(&broker, 0).await;
            assert_eq!(hosted.partition.standing().next.0, 2 * BATCHES);
            all_is_found(&hosted.partition).await;
        });
    }
}

/// The last batch is not the one that the checkpoint names, or what is beside the log says nothing.
#[test]
fn what_is_damaged_is_not_believed() {
    for (seed, damaged) in (0..20).zip(["log", "index", "timeindex", "snapshot"].iter().cycle()) {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        live(&world, true, |broker, _| filled(broker));
        for (path, bytes) in beside(&world) {
            if path.rsplit('.').next() == Some(damaged) && !bytes.is_empty() {
                // Within the last batch's value, or all over the first entries.
                let (at, length) = match *damaged {
                    "log" => (bytes.len() - 20, 4),
                    _ => (0, bytes.len().min(16)),
                };
                world.corrupt(&path, at as u64, &vec![0xEE; length]);
            }
        }
        live(&world, true, move |broker, _| async move {
            let hosted = hosted(&broker, 0).await;
            let partition = &hosted.partition;
            assert_eq!(partition.standing().next.0, BATCHES, "seed {seed}");
            for offset in [0, 17, BATCHES - 2] {
                let read = partition.read(Offset(offset), 100, true).await;
                let read = read.unwrap_or_else(|error| panic!("seed {seed}: {offset}: {error}"));
                assert!(!read.pieces.is_empty());
            }
            if *damaged != "log" {
                all_is_found(partition).await;
            }
        });
    }
}
