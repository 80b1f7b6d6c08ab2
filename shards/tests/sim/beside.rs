//! Partitions that are opened and closed beside each other: what is true of one of them holds,
//! whatever the others are at.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::Executor;
use odradek_engine::types::Timestamp;
use odradek_shards::broker::Broker;
use odradek_shards::runtime::DirectorySync;
use odradek_sim::plan::Rng;
use odradek_sim::state_file::alone;

use super::clean_start::{create, fill_with, hosted, live};
use super::durable::{ground, open};

const MANY: i32 = 24;

/// The partitions that were open when the power was cut.
fn open_until_cut(world: &SimWorld, seed: u64) -> Vec<i32> {
    let mut rng = Rng::new(seed);
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let ground = ground(&io, &spawner, &mut rng);
    let opened = Rc::new(RefCell::new(Vec::new()));
    let out = opened.clone();
    executor.run(async move {
        for index in 0..MANY {
            let (io, ground, opened) = (io.clone(), ground.clone(), opened.clone());
            let pause = Duration::from_micros(rng.range(0, 4_000));
            let opening = async move {
                io.sleep(pause).await;
                open(&ground, index, 0).await;
                opened.borrow_mut().push(index);
            };
            spawner.spawn(opening).detach();
        }
        io.sleep(Duration::from_micros(rng.range(3_000, 15_000)))
            .await;
    });
    world.power_cut();
    drop(executor);
    out.take()
}

#[test]
fn what_was_opened_beside_others_is_there_after_a_power_cut() {
    let mut all = 0;
    for seed in 0..200 {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let opened = open_until_cut(&world, seed);
        all += opened.len();
        alone(&world, async move |io| {
            for index in opened {
                let directory = format!("/data/t-{index}");
                let names = io.list(Path::new(&directory)).await;
                let names = names.unwrap_or_else(|error| {
                    panic!("seed {seed}: partition {index} was open, and is not there: {error}")
                });
                for name in ["leader-epoch-checkpoint", "partition.metadata"] {
                    let there = names.iter().any(|one| one == name);
                    assert!(there, "seed {seed}: {directory} has no {name}: {names:?}");
                }
            }
        });
    }
    let most = 200 * MANY as usize;
    assert!(all > most / 4 && all < most, "{all} of {most} were opened");
}

/// The directories whose makers were told that they are durable, when the power was cut.
fn make_until_cut(world: &SimWorld, seed: u64) -> Vec<i32> {
    let mut rng = Rng::new(seed);
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let (sync, made) = (Rc::new(DirectorySync::default()), Rc::default());
    let out: Rc<RefCell<Vec<i32>>> = Rc::clone(&made);
    executor.run(async move {
        for number in 0..MANY {
            let (io, sync, made) = (io.clone(), sync.clone(), made.clone());
            let pause = Duration::from_micros(rng.range(0, 2_000));
            let making = async move {
                io.sleep(pause).await;
                let path = format!("/data/{number}");
                io.make_dir(Path::new(&path)).await.expect("made");
                sync.sync(&io, Path::new("/data")).await.expect("synced");
                made.borrow_mut().push(number);
            };
            spawner.spawn(making).detach();
        }
        io.sleep(Duration::from_micros(rng.range(500, 3_000))).await;
    });
    world.power_cut();
    drop(executor);
    out.take()
}

#[test]
fn a_shared_sync_is_one_that_began_after_the_entries_of_all_who_share_it() {
    for seed in 0..200 {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let made = make_until_cut(&world, seed);
        alone(&world, async move |io| {
            let names = io.list(Path::new("/data")).await.expect("the directory");
            for number in made {
                let there = names.contains(&number.to_string());
                assert!(there, "seed {seed}: {number} was durable, and is not there");
            }
        });
    }
}

async fn starts(broker: &Rc<Broker>) -> Vec<i64> {
    let mut starts = Vec::new();
    for index in 0..4 {
        let hosted = hosted(broker, index).await;
        starts.push(hosted.partition.log_start().0);
    }
    starts
}

/// A stop that is fast must not overtake retention: whoever was told of the new start would find
/// the old one.
#[test]
fn what_retention_has_let_go_of_is_not_back_after_a_stop() {
    for seed in 0..20 {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let told: Rc<RefCell<Vec<i64>>> = Rc::default();
        let telling = told.clone();
        live(&world, true, move |broker, _| async move {
            let config = [
                ("internal.segment.bytes", "100000"),
                ("retention.bytes", "300000"),
            ];
            fill_with(broker.clone(), &config).await;
            for index in 0..4 {
                let hosted = hosted(&broker, index).await;
                let expiring = async move { hosted.partition.expire(Timestamp(2), i64::MAX).await };
                broker.spawner.spawn(expiring).detach();
            }
            let moment = Duration::from_micros(1 + 100 * seed);
            broker.io.sleep(moment).await;
            *telling.borrow_mut() = starts(&broker).await;
        });
        let told = told.take();
        assert!(
            told.iter().all(|start| *start > 0),
            "retention had begun: {told:?}"
        );
        live(&world, true, move |broker, _| async move {
            let found = starts(&broker).await;
            assert_eq!(
                found, told,
                "seed {seed}: where the logs begin, and began before"
            );
        });
    }
}

#[test]
fn a_partition_that_many_ask_for_at_once_is_opened_once() {
    let world = SimWorld::new(5);
    world.make_dir("/data");
    live(&world, true, |broker, _| async move {
        create(&broker, MANY, &[]).await;
        let topic = broker.image().topic("t").expect("the topic").clone();
        let asking = (0..3).map(|_| {
            let (broker, topic) = (broker.clone(), topic.clone());
            broker.clone().spawner.spawn(async move {
                let wanted = (0..MANY).map(|index| (topic.clone(), index));
                broker.holdings.open_all(wanted).await;
                let open = (0..MANY).map(|index| broker.open_now(&topic, index));
                open.collect::<Option<Vec<_>>>().expect("all are open")
            })
        });
        let asking: Vec<_> = asking.collect();
        let mut answers = Vec::new();
        for task in asking {
            answers.push(task.await);
        }
        for other in &answers[1..] {
            let mut pairs = answers[0].iter().zip(other);
            assert!(pairs.all(|(one, other)| Rc::ptr_eq(&one.partition, &other.partition)));
        }
    });
}
