//! A disk that is full, and that fails as well: what the one forgives, the other does not.

use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::Executor;
use odradek_shards::partition::{Mark, RETRY_NS};
use odradek_sim::plan::Rng;

use super::durable::{append, ground, open};

const SEEDS: u64 = 200;

#[test]
fn a_flush_that_fails_while_its_disk_is_full_is_not_forgotten_before_the_next_start() {
    let (mut both, mut full_only) = (0, 0);
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
        let executor = Executor::new(io.clone());
        let spawner = executor.spawner();
        let machine = world.clone();
        let due = executor.run(async move {
            let mut rng = Rng::new(seed);
            let ground = ground(&io, &spawner, &mut rng);
            let partition = open(&ground, 0, 0).await;
            append(&partition, 1_000);
            let end = partition.standing().next;
            let written = partition.wait(Mark::Written, end).done().await;
            written.expect("written");
            let used = machine.disk_used();
            machine.set_faults(|faults| {
                faults.disk_bytes_max = Some(used);
                faults.sync_fails = 2;
            });
            let durable = partition.wait(Mark::Visible, end);
            // More than there is room for.
            append(&partition, 100_000);
            let _ = durable.done().await;
            io.sleep(Duration::from_nanos(2 * RETRY_NS)).await;
            assert!(partition.poisoned().is_some(), "seed {seed}");
            partition.reopen_due()
        });
        drop(executor);
        let faults = world.faults();
        let failed = faults.keys().any(|name| name.starts_with("failed"));
        match failed {
            true => assert!(!due, "seed {seed}: {faults:?}"),
            false => assert!(due, "seed {seed}: {faults:?}"),
        }
        both += u32::from(failed && faults.contains_key("disk full"));
        full_only += u32::from(!failed);
    }
    assert!(both > 0 && full_only > 0, "{both} and {full_only} times");
}
