//! Every way of writing and of sending gives back what was stored.

use odradek_engine::io::strategy::read::ReadStrategy;
use odradek_engine::io::strategy::write::{Durability, WriteStrategy};

use crate::common::{Client, TestNode, batch};

/// Rolls a few times below.
const SEGMENT: (&str, &str) = ("log.segment.bytes", "1048576");
/// Lets older records go from memory.
const TAIL: (&str, &str) = ("memory.tail.bytes", "1048576");

/// The value of record `number`: its number, then as many bytes as its number says, of sizes that
/// end writes within pages.
fn value(number: u32) -> Vec<u8> {
    let len = (number as usize * 7919) % 60_000;
    let mut value: Vec<u8> = (0..len).map(|at| (at as u32 ^ number) as u8).collect();
    value.splice(..0, number.to_be_bytes());
    value
}

fn store(client: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let stored = client.store("t", 0, &batch(&[&value(number)]));
        assert_eq!(stored, i64::from(number));
    }
}

/// Everything from `from` on is there, up to `end`.
fn check(client: &mut Client, from: u32, end: u32) {
    let records = client.consume("t", 0, i64::from(from));
    assert_eq!(records.len() as u32, end - from);
    for (record, number) in records.iter().zip(from..) {
        assert!(record.value == value(number), "record {number}");
    }
}

/// A node that writes so; none where the file system has no such writes, which the node must say.
fn node(write: WriteStrategy, settings: &[(&str, &str)]) -> Option<TestNode> {
    let mut node = TestNode::prepare(settings);
    node.set("log.write.strategy", write.name());
    match node.try_run() {
        Ok(()) => Some(node),
        Err(failure) => {
            assert_eq!(write, WriteStrategy::BufferedDontcache, "{failure:?}");
            assert!(failure.log.contains("refuses writes"), "{failure:?}");
            None
        }
    }
}

#[test]
fn every_write_strategy_with_every_durability() {
    for write in WriteStrategy::ALL {
        for durability in Durability::NAMES {
            let settings = [
                SEGMENT,
                TAIL,
                ("log.durable.method", *durability),
                ("log.journal.bytes", "4194304"),
            ];
            let Some(mut node) = node(*write, &settings) else {
                continue;
            };
            node.create("t");
            store(&mut node.client(), 0..100);
            check(&mut node.client(), 0, 100);
            node.kill();
            node.run();
            check(&mut node.client(), 0, 100);
            store(&mut node.client(), 100..110);
            node.stop();
            node.run();
            check(&mut node.client(), 0, 110);
        }
    }
}

#[test]
fn every_read_strategy_on_everything_that_is_written() {
    for read in ReadStrategy::ALL {
        for write in [WriteStrategy::Direct, WriteStrategy::Buffered] {
            let settings = [SEGMENT, TAIL, ("log.read.strategy", read.name())];
            let node = node(write, &settings).expect("it writes so");
            node.create("t");
            let (mut writer, mut reader) = (node.client(), node.client());
            // The page at the end is read and written over, again and again.
            for number in 0..100 {
                store(&mut writer, number..number + 1);
                check(&mut reader, number, number + 1);
            }
            check(&mut reader, 0, 100);
            check(&mut reader, 37, 100);
        }
    }
}

#[test]
fn every_read_strategy_on_what_no_cache_holds() {
    for write in [WriteStrategy::Direct, WriteStrategy::Buffered] {
        let mut node = node(write, &[SEGMENT]).expect("it writes so");
        node.create("t");
        store(&mut node.client(), 0..100);
        for read in ReadStrategy::ALL {
            node.stop();
            for (_, path) in node.files("t", 0, "log") {
                let file = std::fs::File::open(&path).expect("a segment");
                file.sync_all().expect("synced");
                use std::os::fd::AsRawFd;
                // SAFETY: numbers only.
                let evicted = unsafe {
                    libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED)
                };
                assert_eq!(evicted, 0);
            }
            node.set("log.read.strategy", read.name());
            node.run();
            // Once from the disk, once from wherever that left it.
            check(&mut node.client(), 0, 100);
            check(&mut node.client(), 3, 100);
        }
    }
}
