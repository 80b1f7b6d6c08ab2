//! Recovery of partitions in a log directory that was made durable at the start, and in one that was
//! not: what it takes in survives, and which of the two costs a sync of the partition's own.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::bytes::{PAGE, Pool};
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimFaults, SimWorld};
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::task::{Executor, Spawner};
use odradek_shards::partition::{Ground, Mark, Standing};
use odradek_shards::runtime::LogDirs;
use odradek_sim::plan::Rng;

use super::durable::{append, ground, open, write};

const SEEDS: u64 = 150;
const DATA: &str = "/data";
const LOG: &str = "/data/t-0/00000000000000000000.log";

/// As [`ground`], of a log directory; `settled` as a start settles it.
async fn on_dir(io: &Io, spawner: &Spawner, rng: &mut Rng, settled: bool) -> Rc<Ground> {
    let mut ground = ground(io, spawner, rng);
    let dirs = LogDirs::new(&[DATA.into()], Path::new(DATA));
    if settled {
        let synced = io.sync_file_system(Path::new(DATA)).await;
        synced.expect("a sync of all");
        dirs.settle(0);
    }
    let mine = Rc::get_mut(&mut ground).expect("nobody else's yet");
    mine.dirs = Arc::new(dirs);
    ground
}

/// A life that opens partition 0 and writes to it for so many microseconds; then all goes but what was
/// completed, or with `power_cut`, durable.
fn live(
    world: &SimWorld,
    rng: &mut Rng,
    life: i32,
    settled: bool,
    length: Option<u64>,
    power_cut: bool,
) -> Standing {
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let mut rng = rng.fork();
    let found: Rc<RefCell<Option<Standing>>> = Rc::default();
    let out = found.clone();
    executor.run(async move {
        let ground = on_dir(&io, &spawner, &mut rng, settled).await;
        let partition = open(&ground, 0, life).await;
        *out.borrow_mut() = Some(partition.standing());
        if let Some(length) = length {
            let task = write(io.clone(), spawner.clone(), partition.clone(), rng);
            spawner.spawn(task).detach();
            io.sleep(Duration::from_micros(length)).await;
        }
    });
    match power_cut {
        true => world.power_cut(),
        false => world.kill_process(),
    }
    drop(executor);
    found.take().expect("it was opened")
}

#[test]
fn what_recovery_took_in_after_a_kill_survives_a_power_cut() {
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir(DATA);
        let mut rng = Rng::new(seed);
        for life in [0, 3] {
            let length = rng.range(300, 6_000);
            live(&world, &mut rng, life, false, Some(length), false);
            let settled = rng.one_in(2);
            // Sometimes it is written to at once, over what was left behind the log's end.
            let length = rng.one_in(2).then(|| rng.range(1, 2_000));
            let took = live(&world, &mut rng, life + 1, settled, length, true);
            assert_eq!(took.durable, took.next, "seed {seed}: all of it is shown");
            let after = live(&world, &mut rng, life + 2, true, None, true);
            assert!(
                after.next >= took.next,
                "seed {seed}, life {life}: the log ends at {}, and recovery had taken it in up to \
                 {}; settled: {settled}",
                after.next.0,
                took.next.0
            );
        }
    }
}

/// Opens partition 0 after a kill; gives what was asked of the disk since.
fn opening(world: &SimWorld, life: i32, settled: bool, unsettle: bool) -> Vec<String> {
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let machine = world.clone();
    let lines = executor.run(async move {
        let ground = on_dir(&io, &spawner, &mut Rng::new(1), settled).await;
        if unsettle {
            ground.dirs.unsettle(Path::new("/data/t-7"));
        }
        let before = machine.trace().lines().last().map(str::to_owned);
        let partition = open(&ground, 0, life).await;
        assert_eq!(partition.standing().next.0, 3);
        let trace = machine.trace();
        let lines = trace.lines().map(str::to_owned);
        let lines = lines.skip_while(|line| Some(line) != before.as_ref());
        let lines: Vec<String> = lines.collect();
        assert!(
            lines.len() > 3,
            "the trace does not reach so far: {lines:?}"
        );
        lines
    });
    world.kill_process();
    drop(executor);
    lines
}

#[test]
fn a_settled_log_that_goes_on_is_opened_without_a_sync_or_a_cut() {
    let asks = |lines: &[String], what: &str| {
        let what = format!(" {what} ");
        lines.iter().any(|line| line.contains(&what))
    };
    for seed in 0..20 {
        let world = SimWorld::new(seed);
        world.make_dir(DATA);
        let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
        let executor = Executor::new(io.clone());
        let spawner = executor.spawner();
        executor.run(async move {
            let mut ground = ground(&io, &spawner, &mut Rng::new(1));
            // It leaves room behind the log's end.
            let mine = Rc::get_mut(&mut ground).expect("nobody else's yet");
            mine.strategy = WriteStrategy::ALL[0];
            let partition = open(&ground, 0, 0).await;
            for len in [10, 2_000, 300] {
                append(&partition, len);
            }
            let end = partition.standing().next;
            let written = partition.wait(Mark::Written, end).done().await;
            written.expect("written");
        });
        world.kill_process();
        drop(executor);
        let allocated = world.files()[LOG].len() as u64;
        assert!(allocated > PAGE as u64, "there is no room: {allocated}");

        let lines = opening(&world, 1, true, false);
        assert!(!asks(&lines, "fdatasync"), "seed {seed}: {lines:#?}");
        assert!(!asks(&lines, "truncate"), "seed {seed}: {lines:#?}");
        assert_eq!(world.files()[LOG].len() as u64, allocated);

        // What lies behind the end is not the log's.
        world.corrupt(LOG, allocated - 100, &[1]);
        let lines = opening(&world, 2, true, false);
        assert!(asks(&lines, "truncate"), "seed {seed}: {lines:#?}");
        assert!(asks(&lines, "fdatasync"), "seed {seed}: {lines:#?}");

        for (settled, unsettle) in [(false, false), (true, true)] {
            let lines = opening(&world, 3, settled, unsettle);
            assert!(asks(&lines, "fdatasync"), "seed {seed}: {lines:#?}");
        }
    }
}

#[test]
fn what_a_failed_flush_left_in_page_cache_does_not_stay_behind_the_end() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir(DATA);
        let mut rng = Rng::new(seed);
        let strategy = rng.pick(&[WriteStrategy::Buffered, WriteStrategy::BufferedDontcache]);
        let mut ends = Vec::new();
        for life in 0..2 {
            let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
            let executor = Executor::new(io.clone());
            let spawner = executor.spawner();
            let (machine, mut rng) = (world.clone(), rng.fork());
            let (next, size) = executor.run(async move {
                let mut ground = on_dir(&io, &spawner, &mut rng, life > 0).await;
                let mine = Rc::get_mut(&mut ground).expect("nobody else's yet");
                (mine.strategy, mine.dsync) = (strategy, false);
                let partition = open(&ground, 0, life).await;
                if life == 0 {
                    for _ in 0..rng.range(1, 4) {
                        append(&partition, rng.range(1, 3_000) as usize);
                    }
                    let end = partition.standing().next;
                    let written = partition.wait(Mark::Written, end).done().await;
                    written.expect("written");
                    machine.set_faults(|faults| faults.sync_fails = 1);
                    let durable = partition.wait(Mark::Visible, end).done().await;
                    durable.expect_err("no flush succeeds");
                }
                partition.with_log(|log| {
                    let active = log.segments().next_back().expect("an active segment");
                    (log.next(), active.size as usize)
                })
            });
            world.kill_process();
            world.set_faults(|faults| *faults = SimFaults::default());
            drop(executor);
            ends.push(next);
            if life > 0 {
                let file = &world.files()[LOG];
                assert!(
                    file[size..].iter().all(|byte| *byte == 0),
                    "seed {seed}: the log ends at {size}, and its file shows more"
                );
            }
        }
        lost += u32::from(ends[1] < ends[0]);
    }
    assert!(lost > 0, "no flush has lost anything");
}
