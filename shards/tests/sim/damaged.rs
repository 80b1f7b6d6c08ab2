//! Files beside a log that are not what was written: what they said is found elsewhere.

use std::time::Duration;

use odradek_engine::log::Aborted;
use odradek_engine::record::{BatchBuilder, Origin, Rules, batch_end, validate};
use odradek_engine::types::{
    Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TransactionEnd as End,
};
use odradek_shards::partition::{Mark, Partition, Piece, ReadError};
use odradek_sim::reports;

use super::durable::{OTHER, append, open, open_of};
use super::left_behind::{live, machine};

const OURS: &str = "mM1vQzqGQ4u0wVd3kXn8Bw";
const DIRECTORY: &str = "/data/t-0";

/// A block of another partition's file came to lie there.
#[test]
fn a_directory_that_seems_to_be_an_other_living_topics_keeps_its_log() {
    let (world, mut rng) = machine(1);
    live(&world, &mut rng, false, async |ground| {
        let partition = open_of(&ground, 0, 0, OURS).await;
        append(&partition, 500);
        partition.close().await.expect("closed");
    });
    let path = format!("{DIRECTORY}/partition.metadata");
    let sound = world.files()[&path].clone();
    let at = sound.len() - OTHER.len();
    world.corrupt(&path, at as u64, OTHER.as_bytes());
    let found = live(&world, &mut rng, true, async |ground| {
        open_of(&ground, 0, 0, OURS).await.standing()
    });
    assert_eq!(found.next.0, 1);
    assert_eq!(world.files()[&path], sound, "it was said again, durably");
}

/// A transaction that is aborted.
fn abort(partition: &Partition, sequence: i32) {
    let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(0));
    let mut builder = BatchBuilder::new().transactional().producer(
        producer_id,
        producer_epoch,
        Sequence(sequence),
    );
    let appended = builder.append(Timestamp(1), None, Some(b"never seen"), &[]);
    appended.expect("a record");
    let bytes = builder.build().expect("a batch");
    let info = validate(&bytes, &Rules::NODE).expect("valid");
    let appended = partition.append(&bytes, &info, Origin::Node, None, Timestamp(1));
    appended.expect("appended");
    let end = End {
        producer_id,
        producer_epoch,
        coordinator_epoch: Epoch(0),
        commit: false,
        version: 1,
    };
    partition.end_transaction(end, Timestamp(1)).expect("ended");
}

fn aborted(partition: &Partition) -> Vec<Aborted> {
    partition.with_log(|log| {
        let active = log.segments().last().expect("a segment");
        active.aborted.known().to_vec()
    })
}

#[test]
fn a_list_of_aborted_transactions_that_is_damaged_is_made_again() {
    let (world, mut rng) = machine(2);
    let before = live(&world, &mut rng, false, async |ground| {
        let partition = open(&ground, 0, 0).await;
        for sequence in 0..3 {
            append(&partition, 100);
            abort(&partition, sequence);
        }
        let before = aborted(&partition);
        partition.close().await.expect("closed");
        before
    });
    assert_eq!(before.len(), 3);
    let files = world.files();
    let mut indexes = files.iter().filter(|(path, _)| path.ends_with(".txnindex"));
    let (path, bytes) = indexes.next().expect("a clean stop leaves it");
    world.corrupt(path, 0, &vec![0; bytes.len()]);
    let after = live(&world, &mut rng, false, async |ground| {
        aborted(&*open(&ground, 0, 0).await)
    });
    assert_eq!(after, before);
}

/// While a segment is being finished, or is about to be written to again.
#[test]
fn no_loss_of_power_leaves_an_index_without_its_list_of_aborted_transactions() {
    for seed in 0..1_000 {
        let (world, mut rng) = machine(seed);
        let stopped = rng.one_in(2);
        let cut_at = Duration::from_micros(rng.range(1, 15_000));
        let before = live(&world, &mut rng, !stopped, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            for sequence in 0..3 {
                append(&partition, 100);
                abort(&partition, sequence);
            }
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect("stored");
            let before = aborted(&partition);
            let close = async move { partition.close().await.expect("closed") };
            let closing = ground.spawner.spawn(close);
            match stopped {
                true => closing.await,
                false => {
                    closing.detach();
                    ground.io.sleep(cut_at).await;
                }
            }
            before
        });
        if stopped {
            live(&world, &mut rng, true, async move |ground| {
                append(&*open(&ground, 0, 1).await, 100);
                ground.io.sleep(cut_at).await;
            });
        }
        let after = live(&world, &mut rng, false, async |ground| {
            aborted(&*open(&ground, 0, 2).await)
        });
        assert_eq!(after, before, "seed {seed}");
    }
}

/// Where reads from each offset begin; `None`: with that offset's batch, in memory.
async fn places(partition: &Partition) -> Vec<Option<u64>> {
    let mut places = Vec::new();
    for offset in 0..partition.standing().next.0 {
        let read = partition.read(Offset(offset), 100, true).await;
        let read = read.unwrap_or_else(|error| panic!("offset {offset}: {error}"));
        match &read.pieces[0] {
            Piece::File(range) => places.push(Some(range.pos)),
            // The last page is kept, whatever led to it.
            Piece::Memory(parts) => {
                let base = parts[0].bytes().first_chunk().expect("a batch");
                assert_eq!(i64::from_be_bytes(*base), offset);
                places.push(None);
            }
        }
    }
    places
}

/// Every bit of an offset index flipped: it leads to a place from which the offset is found, or is not
/// followed.
#[test]
fn an_index_that_is_damaged_hides_no_record() {
    let (world, mut rng) = machine(3);
    live(&world, &mut rng, false, async |ground| {
        let partition = open(&ground, 0, 0).await;
        for number in 0..30 {
            append(&partition, 700 + 10 * number);
        }
        partition.close().await.expect("closed");
    });
    let sound = live(&world.copy(0), &mut rng, false, async |ground| {
        places(&*open(&ground, 0, 0).await).await
    });
    assert_eq!(sound.len(), 30);
    let path = format!("{DIRECTORY}/00000000000000000000.index");
    let index = world.files()[&path].clone();
    let used = index.iter().rposition(|byte| *byte != 0).expect("entries") + 1;
    assert!(used > 3 * 8, "{used} bytes");
    for bit in 0..8 * used {
        let copy = world.copy(bit as u64);
        let (at, bit) = (bit / 8, bit % 8);
        copy.corrupt(&path, at as u64, &[index[at] ^ 1 << bit]);
        let found = live(&copy, &mut rng, false, async |ground| {
            places(&*open(&ground, 0, 0).await).await
        });
        let same = |(found, sound): (&Option<u64>, &Option<u64>)| {
            found.is_none() || sound.is_none() || found == sound
        };
        assert_eq!(found.len(), sound.len(), "bit {bit} of byte {at}");
        assert!(
            found.iter().zip(&sound).all(same),
            "bit {bit} of byte {at}: {found:?}, not {sound:?}"
        );
    }
}

/// A block that was never written looks like room for more; what follows it says that it is none.
#[test]
fn zeros_that_something_follows_are_told_of() {
    let sim = |hole: bool| {
        let (world, mut rng) = machine(4);
        live(&world, &mut rng, false, async |ground| {
            let partition = open(&ground, 0, 0).await;
            for _ in 0..10 {
                append(&partition, 3_000);
            }
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect("stored");
        });
        if hole {
            let path = format!("{DIRECTORY}/00000000000000000000.log");
            let log = &world.files()[&path];
            let place = place_of(log, 5);
            world.corrupt(&path, place as u64, &[0; 4096]);
        }
        reports::listen(|| {
            let found = live(&world, &mut rng, false, async |ground| {
                open(&ground, 0, 1).await.standing()
            });
            let end = found.next.0;
            (end, reports::tell_of_end(0, ("t", 0), end))
        })
    };
    assert_eq!(sim(true), (5, true));
    assert_eq!(sim(false), (10, false));
}

/// An index that is damaged is made again from the log, as far as one batch leads to the next.
#[test]
fn what_lies_before_damage_can_be_read_without_an_index() {
    let (world, mut rng) = machine(5);
    live(&world, &mut rng, false, async |ground| {
        let partition = open(&ground, 0, 0).await;
        for _ in 0..8 {
            append(&partition, 100_000);
        }
        let end = partition.standing().next;
        let stored = partition.wait(Mark::Visible, end).done().await;
        stored.expect("stored");
        partition.close().await.expect("closed");
    });
    let log = format!("{DIRECTORY}/00000000000000000000.log");
    let index = format!("{DIRECTORY}/00000000000000000000.index");
    let place = place_of(&world.files()[&log], 3);
    let spoiled = world.clone();
    live(&world, &mut rng, false, async move |ground| {
        let partition = open(&ground, 0, 1).await;
        let bytes = spoiled.files()[&index].len();
        spoiled.corrupt(&index, 0, &vec![0xff; bytes]);
        // Among them what says how long it is.
        spoiled.corrupt(&log, place as u64, &[0; 16]);
        let read = async |offset| partition.read(Offset(offset), 100, true).await;
        for offset in 0..3 {
            assert!(read(offset).await.is_ok(), "{offset}");
        }
        let refused = read(3).await.err();
        assert!(
            matches!(refused, Some(ReadError::Damaged { segment: 0, pos }) if pos == place as u64),
            "{refused:?}"
        );
    });
}

/// Where a log's batch of this number begins.
fn place_of(log: &[u8], number: usize) -> usize {
    (0..number).fold(0, |at, _| {
        at + batch_end(&log[at..])
            .expect("a batch")
            .expect("a whole one")
    })
}
