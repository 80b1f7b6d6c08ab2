//! What a start reads of the logs: after a clean stop nothing, after a kill what must be judged.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::bytes::{PAGE, Pool};
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::record::{BatchBuilder, Origin, Rules, validate};
use odradek_engine::task::{Executor, Spawner};
use odradek_engine::types::Timestamp;
use odradek_shards::api::throttle::Mutations;
use odradek_shards::api::topics::{self, NewTopic};
use odradek_shards::broker::{Boot, Broker, Endpoint, log_dirs, start, until_stopped};
use odradek_shards::catalog::Hosted;
use odradek_shards::config::Settings;
use odradek_shards::net::Gate;
use odradek_shards::partition::Mark;
use odradek_shards::runtime::Mailboxes;

const PARTITIONS: i32 = 4;
const BATCHES: usize = 60;

/// Runs a node on the world's machine until `life` is over; then it is stopped, or killed.
pub(crate) fn live<F>(
    world: &SimWorld,
    stop: bool,
    life: impl FnOnce(Rc<Broker>, SimWorld) -> F + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let machine = world.clone();
    executor.run(async move {
        let broker = boot(io, spawner).await;
        life(broker.clone(), machine).await;
        if stop {
            broker.request_stop(true);
            until_stopped(broker).await;
        }
    });
    world.kill_process();
    drop(executor);
}

async fn boot(io: Io, spawner: Spawner) -> Rc<Broker> {
    let set = [("log.dirs", "/data"), ("log.segment.bytes", "1048576")];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (settings, _) = Settings::load(None, &set).expect("the settings are right");
    let boot = Boot {
        shard: 0,
        log_dirs: log_dirs(&settings),
        gate: Gate::new(&settings, None),
        settings: Arc::new(settings),
        endpoints: Into::into([Endpoint {
            host: "127.0.0.1".into(),
            port: 9092,
        }]),
        mail: Mailboxes::new(1),
        listeners: Vec::new(),
        first: None,
    };
    let started = start(io, spawner, boot).await;
    started.unwrap_or_else(|error| panic!("the node does not start: {error}"))
}

pub(crate) async fn hosted(broker: &Rc<Broker>, index: i32) -> Rc<Hosted> {
    let image = broker.image();
    let topic = image.topic("t").expect("the topic");
    let hosted = broker.hosted(topic, index).await;
    hosted.unwrap_or_else(|error| panic!("partition {index}: {error:?}"))
}

/// Makes the topic.
pub(crate) async fn create(broker: &Rc<Broker>, partitions: i32, config: &[(&str, &str)]) {
    let config = config.iter();
    let new = NewTopic {
        name: "t".into(),
        partitions: partitions as usize,
        shards: None,
        config: config
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    };
    let made = topics::create(broker, vec![new], false, &mut Mutations::default())
        .await
        .remove(0);
    made.expect("a new topic");
}

/// Stores batches of 20 to 40 KB in every partition: some segments, the last one part full.
pub(crate) async fn fill(broker: Rc<Broker>) {
    fill_with(broker, &[]).await;
}

/// The same in a topic of these settings.
pub(crate) async fn fill_with(broker: Rc<Broker>, config: &[(&str, &str)]) {
    create(&broker, PARTITIONS, config).await;
    for index in 0..PARTITIONS {
        let hosted = hosted(&broker, index).await;
        for number in 0..BATCHES {
            let mut builder = BatchBuilder::new();
            let value = vec![number as u8; 20_000 + number * 300];
            builder
                .append(Timestamp(1), None, Some(&value), &[])
                .expect("a record");
            let bytes = builder.build().expect("a batch");
            let info = validate(&bytes, &Rules::NODE).expect("valid");
            let partition = &hosted.partition;
            let appended = partition.append(&bytes, &info, Origin::Node, None, Timestamp(1));
            appended.expect("appended");
        }
        let end = hosted.partition.standing().next;
        let stored = hosted.partition.wait(Mark::Visible, end).done().await;
        stored.expect("stored");
    }
}

/// Bytes read so far of the topic's segments.
fn read_of_logs(world: &SimWorld) -> u64 {
    let all = world.bytes_read();
    let of_logs = all.iter().filter(|(path, _)| {
        let path = PathBuf::from(path);
        let log = path.extension().is_some_and(|extension| extension == "log");
        log && path.starts_with("/data") && path.to_string_lossy().contains("/t-")
    });
    of_logs.map(|(_, bytes)| bytes).sum()
}

/// Opens all partitions; gives what the start and what the opening read of their segments.
async fn open_all(broker: Rc<Broker>, world: SimWorld, before: u64) -> (u64, u64) {
    let at_start = read_of_logs(&world) - before;
    for index in 0..PARTITIONS {
        let hosted = hosted(&broker, index).await;
        assert_eq!(hosted.partition.standing().next.0, BATCHES as i64);
    }
    (at_start, read_of_logs(&world) - before - at_start)
}

#[test]
fn a_clean_start_reads_no_log_data() {
    for seed in 0..10 {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        live(&world, true, |broker, _| fill(broker));
        for _ in 0..2 {
            let before = read_of_logs(&world);
            live(&world, true, move |broker, world| async move {
                let (start, opening) = open_all(broker, world, before).await;
                assert_eq!(start, 0, "seed {seed}: a start opens no partition");
                // The unfinished last page, which the next write completes; no more of it.
                let most = PARTITIONS as u64 * PAGE as u64;
                assert!(opening <= most, "seed {seed}: {opening} bytes were read");
            });
        }
    }
}

#[test]
fn after_a_kill_the_logs_are_read_and_that_is_counted() {
    let world = SimWorld::new(1);
    world.make_dir("/data");
    live(&world, false, |broker, _| fill(broker));
    let before = read_of_logs(&world);
    live(&world, true, move |broker, world| async move {
        let settled = world.trace().contains(" syncfs ");
        assert!(
            settled,
            "all that the last life left is made durable at once"
        );
        let (start, opening) = open_all(broker, world, before).await;
        assert_eq!(start, 0, "a start opens no partition");
        assert!(opening > 1 << 20, "{opening} bytes were read");
    });
}
