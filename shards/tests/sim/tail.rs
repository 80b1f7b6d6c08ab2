//! How long the tail stays in memory: as long as somebody reads it.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::Executor;
use odradek_engine::types::Offset;
use odradek_shards::broker::Broker;
use odradek_shards::partition::{Mark, Piece};
use odradek_sim::plan::Rng;

use crate::clean_start::{fill, hosted, live};
use crate::durable::{append, ground, open};

/// Whether the last five batches come from memory.
async fn in_memory(broker: &Rc<Broker>) -> bool {
    let partition = hosted(broker, 0).await.partition.clone();
    let end = partition.standing().next;
    let read = partition.read(Offset(end.0 - 5), 1 << 20, true).await;
    let pieces = read.expect("readable").pieces;
    assert!(!pieces.is_empty(), "they are visible");
    pieces.iter().all(|piece| matches!(piece, Piece::Memory(_)))
}

#[test]
fn a_tail_that_is_read_stays_in_memory_and_another_does_not() {
    let world = SimWorld::new(0);
    world.make_dir("/data");
    live(&world, true, |broker, _| async move {
        fill(broker.clone()).await;
        for second in 0..120 {
            assert!(in_memory(&broker).await, "after {second} s");
            broker.io.sleep(Duration::from_secs(1)).await;
        }
        broker.io.sleep(Duration::from_secs(120)).await;
        assert!(!in_memory(&broker).await, "nobody had read it for long");
        let ground = broker.holdings.ground();
        assert_eq!(ground.tail_bytes.get(), 0, "all partitions rest");
        assert!(!ground.look(), "and nobody looks at them");
    });
}

#[test]
fn the_memory_of_tails_stays_within_its_bound_whatever_the_batches() {
    let world = SimWorld::new(0);
    world.make_dir("/data");
    let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
    let executor = Executor::new(io.clone());
    let ground = ground(&io, &executor.spawner(), &mut Rng::new(0));
    executor.run(async move {
        let partition = open(&ground, 0, 0).await;
        // Some stay where they were received, some take a block, some share one.
        for length in [250_000, 200, 500_000, 70_000, 255_000].repeat(100) {
            append(&partition, length);
            let end = partition.standing().next;
            let written = partition.wait(Mark::Visible, end).done().await;
            written.expect("written");
            ground.trim();
            // The last block is held in any case.
            let held = ground.tail_bytes.get();
            assert!(held <= ground.tail_bytes_max + (2 << 20), "{held} bytes");
        }
    });
}
