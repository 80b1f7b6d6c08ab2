//! A partition moves to another shard and back before it could be given away: what its journal holds
//! of it is there for the next start.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::Executor;
use odradek_shards::catalog::moves::moves;
use odradek_shards::catalog::{Checkpoints, Holdings, Image, Released};
use odradek_shards::config::Settings;
use odradek_shards::partition::{Mark, journal_directory};
use odradek_wire::Uuid;
use odradek_wire::metadata_records::{MetadataRecord, PartitionRecord, TopicRecord};

use super::durable::append;
use super::journal::with_journal;
use super::left_behind::machine;

const TOPIC: Uuid = Uuid([9; 16]);

/// Of `t-0`, which is this shard's.
fn image(shard: u32) -> Arc<Image> {
    let mut image = Image::default();
    let (name, topic_id) = ("t", TOPIC);
    image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
    image.apply(&MetadataRecord::Partition(PartitionRecord {
        topic_id,
        leader: shard as i32,
        leader_epoch: 0,
        ..PartitionRecord::default()
    }));
    Arc::new(image)
}

/// The first shard of a node, which serves by this image until `life` is over.
fn live<F>(world: &SimWorld, image: Arc<Image>, life: impl FnOnce(Rc<Holdings>) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let (_, mut rng) = machine(1);
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let ground = with_journal(&io, &executor.spawner(), &mut rng);
    let set = [("log.dirs".to_owned(), "/data".to_owned())];
    let (settings, _) = Settings::load(None, &set).expect("the settings are right");
    executor.run(async move {
        let journal = ground.journals[0].clone();
        journal.begin();
        let checkpoints = Checkpoints::default();
        let promised = Arc::default();
        let holdings = Holdings::new(0, ground, settings.into(), image, checkpoints, promised);
        life(holdings.clone()).await;
        journal.end().await.expect("closed");
    });
    world.kill_process();
    drop(executor);
}

/// The partition comes or goes; the other shard has nothing to give.
async fn move_to(holdings: &Rc<Holdings>, shard: u32) {
    let old = holdings.replace(image(shard));
    let moved = moves(&old, &holdings.image()).remove(0);
    if moved.to == holdings.shard() {
        return holdings.arrive(&moved, Released::Stopping).await;
    }
    let released = holdings.release(TOPIC, 0).await;
    assert!(matches!(released, Released::Stopping), "it is given away");
}

#[test]
fn what_only_a_journal_has_outlives_moves_during_a_stop() {
    let (world, _) = machine(1);
    live(&world, image(0), async |holdings| {
        let image = holdings.image();
        let topic = image.topic("t").expect("the topic");
        let hosted = holdings.hosted(topic, 0).await.expect("opened");
        let partition = &hosted.partition;
        // The first make the segment's file, and the journal's.
        while !partition.held_by_journal() {
            append(partition, 100);
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect("stored");
            partition.io().sleep(Duration::from_millis(1)).await;
        }
        drop(hosted);
        holdings.begin_stop();
        for shard in [1, 0, 1] {
            move_to(&holdings, shard).await;
        }
    });
    let journal = journal_directory(Path::new("/data"), 0);
    let files = world.files();
    let mut names = files.keys().map(Path::new);
    assert!(names.any(|name| name.starts_with(&journal)), "it is gone");
}

#[test]
fn what_waits_for_the_next_start_waits_wherever_it_moves() {
    let (world, _) = machine(2);
    live(&world, image(1), async |holdings| {
        for shard in [0, 1, 0, 1] {
            move_to(&holdings, shard).await;
        }
        assert_eq!(holdings.moving(), 4, "the stop is no clean one");
    });
}
