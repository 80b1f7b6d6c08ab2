//! Partitions that share a journal: what each says of *durable* and *written* holds, whether the
//! power is cut or the process is killed, many times around a small journal.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::log::state_file::Key;
use odradek_engine::task::{Executor, Spawner};
use odradek_shards::partition::{
    Ground, Journal, Mark, Partition, Standing, journal_directory, replay,
};
use odradek_shards::runtime::LogDirs;
use odradek_sim::plan::Rng;

use super::durable::{append, ground, open_as};

const SEEDS: u64 = 200;
const PARTITIONS: i32 = 6;

fn key(index: i32) -> Key {
    let mut key = [7; 20];
    key[16..].copy_from_slice(&index.to_be_bytes());
    key
}

fn place(key: &Key) -> Option<PathBuf> {
    let index = i32::from_be_bytes(*key.last_chunk().expect("20 bytes"));
    Some(PathBuf::from(format!("/data/t-{index}")))
}

pub fn with_journal(io: &Io, spawner: &Spawner, rng: &mut Rng) -> Rc<Ground> {
    let ground = Rc::into_inner(ground(io, spawner, rng)).expect("nobody has it yet");
    let directory = journal_directory(Path::new("/data"), 0);
    let journal = Journal::new(
        io.clone(),
        spawner.clone(),
        ground.strategy,
        directory,
        rng.pick(&[1 << 20, 4 << 20]),
    );
    let dirs = LogDirs::new(&["/data".into()], Path::new("/data"));
    Rc::new(Ground {
        journals: vec![journal],
        dirs: Arc::new(dirs),
        ..ground
    })
}

/// Writes until it is cut off: mostly little that somebody waits for.
async fn write(io: Io, partition: Rc<Partition>, mut rng: Rng) {
    loop {
        for _ in 0..rng.range(1, 4) {
            let most = rng.pick(&[100, 100, 3_000, 20_000, 100_000]);
            append(&partition, rng.range(1, most) as usize);
        }
        let end = partition.standing().next;
        match rng.range(0, 5) {
            0 => {}
            1 => {
                let _ = partition.wait(Mark::Written, end).done().await;
            }
            _ => {
                let _ = partition.wait(Mark::Visible, end).done().await;
                assert!(partition.standing().durable >= end);
            }
        }
        if rng.one_in(8) {
            partition.flush_if_due();
        }
        io.sleep(Duration::from_micros(rng.range(1, 200))).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Cut,
    Kill,
    Stop,
}

/// One life; gives where the partitions' logs ended when it had recovered, and how they stood when
/// it ended.
fn live(
    world: &SimWorld,
    rng: &mut Rng,
    epoch: i32,
    length: u64,
    end: End,
) -> (Vec<i64>, Vec<Standing>) {
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let ground = with_journal(&io, &spawner, rng);
    let mut rng = rng.fork();
    let out: Rc<RefCell<(Vec<i64>, Vec<Standing>)>> = Rc::default();
    let found = out.clone();
    executor.run(async move {
        let promised = replay(&io, &spawner, Path::new("/data"), place).await;
        let promised = promised.unwrap_or_else(|error| panic!("{error}"));
        let journal = ground.journals[0].clone();
        journal.begin();
        let mut partitions = Vec::new();
        for index in 0..PARTITIONS {
            let partition = open_as(&ground, index, epoch, key(index)).await;
            let next = partition.standing().next;
            assert!(
                promised
                    .get(&key(index))
                    .is_none_or(|promised| *promised <= next)
            );
            out.borrow_mut().0.push(next.0);
            partitions.push(partition);
        }
        let tasks: Vec<_> = partitions
            .iter()
            .map(|partition| spawner.spawn(write(io.clone(), partition.clone(), rng.fork())))
            .collect();
        io.sleep(Duration::from_micros(length)).await;
        if end == End::Stop {
            drop(tasks);
            for partition in &partitions {
                partition.close().await.expect("closed");
            }
            journal.end().await.expect("gone");
            let names = io.list(Path::new("/data")).await.expect("the directory");
            assert!(
                !names.iter().any(|name| name.starts_with("journal")),
                "{names:?}"
            );
        } else {
            tasks.into_iter().for_each(|task| task.detach());
        }
        let standings = partitions.iter().map(|partition| {
            assert_eq!(partition.poisoned(), None);
            partition.standing()
        });
        out.borrow_mut().1.extend(standings);
    });
    match end {
        End::Cut => world.power_cut(),
        End::Kill | End::Stop => world.kill_process(),
    }
    drop(executor);
    found.take()
}

#[test]
fn what_is_called_durable_or_written_survives() {
    let mut appended = 0;
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let mut rng = Rng::new(seed);
        let (mut before, mut how) = (Vec::<Standing>::new(), End::Stop);
        for life in 0..4 {
            let length = match life {
                3 => 0,
                _ => rng.range(1_000, 30_000),
            };
            let end = match life {
                3 => End::Stop,
                _ => rng.pick(&[End::Cut, End::Cut, End::Kill, End::Stop]),
            };
            let (found, after) = live(&world, &mut rng, life, length, end);
            for (index, (before, found)) in before.iter().zip(found).enumerate() {
                let least = match how {
                    End::Cut => before.durable,
                    End::Kill => before.written,
                    End::Stop => before.next,
                };
                assert!(
                    found >= least.0 && found <= before.next.0,
                    "seed {seed}, life {life}: partition {index} ends at {} and was promised up \
                     to {} before a {how:?}: {before:?}",
                    found,
                    least.0
                );
            }
            (before, how) = (after, end);
        }
        appended += before.iter().map(|one| one.next.0).sum::<i64>();
    }
    assert!(appended > 10_000, "{appended} records are not much");
}
