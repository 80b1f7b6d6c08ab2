//! A disk that is full, and that fails as well: what the one forgives, the other does not.

use std::time::Duration;

use odradek_engine::io::sim::{SimFaults, SimWorld};
use odradek_shards::partition::{Mark, RETRY_NS};

use super::durable::{append, open};
use super::left_behind::{live, machine};

const SEEDS: u64 = 200;

/// Whether a flush failed; one that a write does through the page cache is one, too.
fn flush_failed(world: &SimWorld, aligned: bool) -> bool {
    let faults = world.faults();
    let count = |name: &str| faults.contains_key(name);
    count("failed flush")
        || count("failed flush of all")
        || count("failed durable write") && !aligned
}

#[test]
fn a_flush_that_fails_while_its_disk_is_full_is_not_forgotten_before_the_next_start() {
    for error in [libc::EIO, libc::ENOSPC] {
        let (mut both, mut full_only) = (0, 0);
        for seed in 0..SEEDS {
            let (world, mut rng) = machine(seed);
            let filling = world.clone();
            let (due, aligned) = live(&world, &mut rng, false, async move |ground| {
                let partition = open(&ground, 0, 0).await;
                append(&partition, 1_000);
                let end = partition.standing().next;
                let written = partition.wait(Mark::Written, end).done().await;
                written.expect("written");
                let used = filling.disk_used();
                filling.set_faults(|faults| {
                    faults.disk_bytes_max = Some(used);
                    faults.sync_fails = 2;
                    faults.sync_error = Some(error);
                });
                let durable = partition.wait(Mark::Visible, end);
                // More than there is room for.
                append(&partition, 100_000);
                let _ = durable.done().await;
                ground.io.sleep(Duration::from_nanos(2 * RETRY_NS)).await;
                assert!(partition.poisoned().is_some(), "seed {seed}");
                (partition.reopen_due(), ground.strategy.aligned())
            });
            let faults = world.faults();
            // Of a write past the page cache EIO is for good, and want of room is not.
            let failed = match error {
                libc::EIO => faults.keys().any(|name| name.starts_with("failed")),
                _ => flush_failed(&world, aligned),
            };
            match failed {
                true => assert!(!due, "seed {seed}: {faults:?}"),
                false => assert!(due, "seed {seed}: {faults:?}"),
            }
            both += u32::from(failed && faults.contains_key("disk full"));
            full_only += u32::from(!failed);
        }
        assert!(both > 0 && full_only > 0, "{both} and {full_only} times");
    }
}

#[test]
fn after_a_flush_that_failed_for_want_of_room_nothing_is_called_durable_that_is_not() {
    let (mut offline, mut again) = (0, 0);
    for seed in 0..SEEDS {
        let (world, mut rng) = machine(seed);
        let (failing, mut own) = (world.clone(), rng.fork());
        let promised = live(&world, &mut rng, true, async move |ground| {
            let partition = open(&ground, 0, 0).await;
            append(&partition, 3_000);
            let end = partition.standing().next;
            let durable = partition.wait(Mark::Visible, end).done().await;
            durable.expect("durable");
            failing.set_faults(|faults| {
                faults.sync_fails = 1;
                faults.sync_error = Some(libc::ENOSPC);
            });
            append(&partition, own.range(1, 100_000) as usize);
            let end = partition.standing().next;
            let refused = partition.wait(Mark::Visible, end).done().await;
            refused.expect_err("it cannot be durable");
            ground.io.sleep(Duration::from_nanos(2 * RETRY_NS)).await;
            let failed = flush_failed(&failing, ground.strategy.aligned());
            assert_eq!(partition.reopen_due(), !failed, "seed {seed}");
            failing.set_faults(|faults| *faults = SimFaults::default());
            if failed {
                return None;
            }
            partition.retire();
            let opened = open(&ground, 0, 0).await;
            Some(opened.standing().durable)
        });
        let Some(promised) = promised else {
            offline += 1;
            continue;
        };
        again += 1;
        let found = live(&world, &mut rng, false, async move |ground| {
            open(&ground, 0, 1).await.standing()
        });
        assert!(
            found.next >= promised,
            "seed {seed}: the log ends at {}, and was called durable up to {}",
            found.next.0,
            promised.0
        );
    }
    assert!(offline > 0 && again > 0, "{offline} and {again} times");
}
