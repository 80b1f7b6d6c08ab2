//! What a life leaves on the disk for the next one to take for something else: pages that only page
//! cache has, files of a stop that was cut off, files of a topic that is deleted.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::sim::{SimDriver, SimFaults, SimWorld};
use odradek_engine::io::{Errno, Io};
use odradek_engine::log::LogRules;
use odradek_engine::record::{Rules, batch_end, validate};
use odradek_engine::task::Executor;
use odradek_engine::types::{Offset, Timestamp};
use odradek_shards::partition::{Ground, Mark, Partition, Standing, remove_directory};
use odradek_sim::plan::Rng;

use super::durable::{append, ground, open, open_of};

const FIRST: &str = "mM1vQzqGQ4u0wVd3kXn8Bw";
const SECOND: &str = "b7Jt2rIyR9eHcF5sLZaTUg";
const DIRECTORY: &str = "/data/t-0";

/// A process on the world's machine; it is killed when `body` is over, or with `cut` loses its
/// power. Gives what `body` gave.
pub fn live<T: 'static, F>(
    world: &SimWorld,
    rng: &mut Rng,
    cut: bool,
    body: impl FnOnce(Rc<Ground>) -> F + 'static,
) -> T
where
    F: Future<Output = T> + 'static,
{
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let ground = ground(&io, &executor.spawner(), rng);
    let found: Rc<RefCell<Option<T>>> = Rc::default();
    let out = found.clone();
    executor.run(async move {
        let value = body(ground).await;
        *out.borrow_mut() = Some(value);
    });
    match cut {
        true => world.power_cut(),
        false => world.kill_process(),
    }
    drop(executor);
    found.take().expect("the life came to its end")
}

pub fn machine(seed: u64) -> (SimWorld, Rng) {
    let world = SimWorld::new(seed);
    world.make_dir("/data");
    (world, Rng::new(seed))
}

async fn store(partition: &Partition, len: usize) {
    append(partition, len);
    let end = partition.standing().next;
    let stored = partition.wait(Mark::Visible, end).done().await;
    stored.expect("stored");
}

/// Recovers it; gives how it stands then.
fn recovered(world: &SimWorld, rng: &mut Rng, epoch: i32, cut: bool) -> Standing {
    live(world, rng, cut, async move |ground| {
        open(&ground, 0, epoch).await.standing()
    })
}

/// After a failed flush page cache shows what the disk does not have.
#[test]
fn what_only_page_cache_has_is_not_called_durable() {
    let mut lost = 0;
    for seed in 0..100 {
        let (world, mut rng) = machine(seed);
        let failing = world.clone();
        let before = live(&world, &mut rng, false, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            store(&partition, 3_000).await;
            failing.set_faults(|faults| faults.sync_fails = 1);
            append(&partition, 20_000);
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect_err("it cannot be durable");
            partition.standing()
        });
        world.set_faults(|faults| *faults = SimFaults::default());
        let found = recovered(&world, &mut rng, 1, true);
        let after = recovered(&world, &mut rng, 2, true);
        assert!(found.next >= before.durable, "seed {seed}: {found:?}");
        assert!(
            after.next >= found.durable,
            "seed {seed}: the log ends at {}, and was called durable up to {}",
            after.next.0,
            found.durable.0
        );
        lost += u64::from(found.next < before.next);
    }
    assert!(lost > 0, "no flush that failed has lost anything");
}

/// The producers' snapshot of a clean stop tells where the log ended then. It must not tell so of
/// what was stored since, when the power is cut while the next stop finishes the segment.
#[test]
fn a_stop_that_is_cut_off_takes_nothing_with_it() {
    for seed in 0..400 {
        let (world, mut rng) = machine(seed);
        live(&world, &mut rng, false, async |ground| {
            let partition = open(&ground, 0, 0).await;
            store(&partition, 100).await;
            partition.close().await.expect("closed");
        });
        let moment = Duration::from_micros(rng.range(1, 3_000));
        live(&world, &mut rng, true, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            store(&partition, 100).await;
            let closing = partition.clone();
            let close = async move { closing.close().await };
            ground.spawner.spawn(close).detach();
            ground.io.sleep(moment).await;
        });
        let found = recovered(&world, &mut rng, 1, false);
        assert_eq!(found.next.0, 2, "seed {seed}: {found:?}");
    }
}

/// A flush that fails beside the finishing of a segment, or the other way round: one of them is told.
#[test]
fn what_is_called_durable_beside_a_failed_flush_can_be_read_after_a_power_cut() {
    let mut refused = 0;
    for seed in 0..300 {
        let (world, mut rng) = machine(seed);
        let (failing, mut own) = (world.clone(), rng.fork());
        let (before, failed) = live(&world, &mut rng, true, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            store(&partition, 3_000).await;
            failing.set_faults(|faults| faults.sync_fails = 3);
            for _ in 0..own.range(2, 12) {
                append(&partition, own.range(50_000, 250_000) as usize);
                let pause = Duration::from_micros(own.range(1, 1_500));
                ground.io.sleep(pause).await;
                if own.one_in(2) {
                    let end = partition.standing().next;
                    let waiting = partition.clone();
                    let wait = async move { waiting.wait(Mark::Visible, end).done().await };
                    ground.spawner.spawn(wait).detach();
                }
                if partition.poisoned().is_some() {
                    break;
                }
            }
            ground.io.sleep(Duration::from_millis(20)).await;
            (partition.standing(), partition.poisoned().is_some())
        });
        refused += u64::from(failed);
        world.set_faults(|faults| *faults = SimFaults::default());
        live(&world, &mut rng, true, async move |ground| {
            let partition = open(&ground, 0, 1).await;
            let found = partition.standing();
            assert!(
                found.next >= before.durable,
                "seed {seed}: {before:?}, then {found:?}"
            );
            let mut next = Offset(0);
            while next < found.next {
                let bytes = partition.copy(next, 1 << 20).await.expect("it can be read");
                let size = batch_end(&bytes).expect("a batch").expect("a whole one");
                let info = validate(&bytes[..size], &Rules::LOG);
                let info = info.unwrap_or_else(|error| panic!("seed {seed}, {next:?}: {error}"));
                assert_eq!(info.base_offset, next, "seed {seed}");
                next = info.next_offset();
            }
        });
    }
    assert!(refused > 0, "no flush failed");
}

async fn names(io: &Io) -> Result<Vec<String>, Errno> {
    io.list(Path::new(DIRECTORY)).await
}

#[test]
fn what_is_under_way_when_a_topic_is_deleted_makes_no_files_afterwards() {
    for seed in 0..100 {
        let (world, mut rng) = machine(seed);
        let moment = Duration::from_micros(rng.range(0, 1_000));
        let lens = [rng.range(1, 90_000), 550_000, rng.range(1, 300_000)];
        live(&world, &mut rng, false, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            for len in lens {
                append(&partition, len as usize);
            }
            ground.io.sleep(moment).await;
            partition.destroy().await.expect("destroyed");
            let gone = Err(Errno(libc::ENOENT));
            assert_eq!(names(&ground.io).await, gone, "seed {seed}: at once");
            // Its successor, which takes over what it finds.
            let next = open_of(&ground, 0, 0, SECOND).await;
            let before = names(&ground.io).await;
            ground.io.sleep(Duration::from_secs(5)).await;
            assert_eq!(names(&ground.io).await, before, "seed {seed}: later");
            assert_eq!(next.standing().next.0, 0, "seed {seed}");
        });
    }
}

/// What is being closed writes files yet: none of them outlives the topic, to tell the next one of its
/// name where to begin.
#[test]
fn a_topic_that_is_deleted_while_the_node_stops_leaves_nothing() {
    for seed in 0..200 {
        let (world, mut rng) = machine(seed);
        let lens = [rng.range(1, 90_000), 550_000, rng.range(1, 300_000)];
        let moment = Duration::from_micros(rng.range(0, 2_000));
        live(&world, &mut rng, false, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            for len in lens {
                append(&partition, len as usize);
            }
            let closing = partition.clone();
            let close = ground.spawner.spawn(async move { closing.close().await });
            ground.io.sleep(moment).await;
            partition.destroy().await.expect("destroyed");
            let _ = close.await;
            let gone = Err(Errno(libc::ENOENT));
            assert_eq!(names(&ground.io).await, gone, "seed {seed}");
        });
        let found = live(&world, &mut rng, false, async |ground| {
            open_of(&ground, 0, 0, SECOND).await.standing()
        });
        assert_eq!(found.next.0, 0, "seed {seed}: {found:?}");
    }
}

#[test]
fn a_topic_does_not_begin_with_what_a_deleted_one_of_its_name_has_left() {
    for seed in 0..200 {
        let (world, mut rng) = machine(seed);
        live(&world, &mut rng, false, async |ground| {
            let partition = open_of(&ground, 0, 0, FIRST).await;
            store(&partition, 400_000).await;
            store(&partition, 400_000).await;
            // Segments are finished beside.
            ground.io.sleep(Duration::from_secs(1)).await;
        });
        // Its files are removed, but not to the end.
        let (cut, moment) = (rng.one_in(2), Duration::from_micros(rng.range(0, 1_500)));
        live(&world, &mut rng, cut, async move |ground| {
            let io = ground.io.clone();
            let removing = async move { remove_directory(&io, Path::new(DIRECTORY)).await };
            ground.spawner.spawn(removing).detach();
            ground.io.sleep(moment).await;
        });
        let found = live(&world, &mut rng, true, async |ground| {
            open_of(&ground, 0, 0, SECOND).await.standing()
        });
        assert_eq!(found.next.0, 0, "seed {seed}: {found:?}");
        let again = live(&world, &mut rng, false, async |ground| {
            open_of(&ground, 0, 0, SECOND).await.standing()
        });
        assert_eq!(again.next.0, 0, "seed {seed}, after a power cut: {again:?}");
    }
}

/// Without a policy of durability a loss of power may leave less than was deleted: the log goes on
/// where its start was told to be.
#[test]
fn deleted_records_stay_deleted_where_the_log_was_cut_off_before() {
    for seed in 0..60 {
        let (world, mut rng) = machine(seed);
        live(&world, &mut rng, true, async move |ground| {
            let mut ground = Rc::into_inner(ground).expect("nobody else has it");
            ground.durable_policy = false;
            let partition = open(&Rc::new(ground), 0, 0).await;
            for _ in 0..5 {
                store(&partition, 3_000).await;
            }
            let start = partition.delete_before(None).await.expect("deleted");
            assert_eq!(start.0, 5, "seed {seed}");
        });
        let (begun, next) = live(&world, &mut rng, true, async |ground| {
            let partition = open(&ground, 0, 1).await;
            let begun = partition.standing();
            store(&partition, 3_000).await;
            (begun, partition.standing().next)
        });
        assert_eq!(
            (begun.log_start.0, begun.next.0, next.0),
            (5, 5, 6),
            "seed {seed}"
        );
        let again = recovered(&world, &mut rng, 2, false);
        assert_eq!((again.log_start.0, again.next.0), (5, 6), "seed {seed}");
    }
}

/// Retention takes the only segment that has a file, while what comes after it waits for its first
/// write, and a full disk refuses that.
#[test]
fn offsets_go_on_after_a_stop_with_a_full_disk() {
    for seed in 0..20 {
        let (world, mut rng) = machine(seed);
        live(&world, &mut rng, false, async |ground| {
            let partition = open(&ground, 0, 0).await;
            store(&partition, 3_000).await;
        });
        let full = world.clone();
        live(&world, &mut rng, false, async move |ground| {
            let partition = open(&ground, 0, 1).await;
            partition.set_rules(LogRules {
                retention_ms: 10,
                ..partition.with_log(|log| log.rules().clone())
            });
            let expire = async || partition.expire(Timestamp(100), 1_000).await;
            expire().await.expect("the segment is rolled");
            while partition.with_log(|log| log.finishing()) {
                ground.io.sleep(Duration::from_micros(100)).await;
            }
            let used = full.disk_used();
            full.set_faults(|faults| faults.disk_bytes_max = Some(used));
            append(&partition, 3_000);
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect_err("there is no room");
            let _ = expire().await;
            partition.close().await.expect("closed");
        });
        world.set_faults(|faults| *faults = SimFaults::default());
        let found = recovered(&world, &mut rng, 2, false);
        assert_eq!(found.next.0, 1, "seed {seed}: {found:?}");
    }
}
