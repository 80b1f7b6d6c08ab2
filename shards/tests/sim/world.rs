//! Lives of one node on one simulated machine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::{Executor, Spawner};
use odradek_shards::api::throttle::Mutations;
use odradek_shards::api::topics::{self, NewTopic};
use odradek_shards::broker::{Boot, Broker, Endpoint, log_dirs, start, until_stopped};
use odradek_shards::net::Gate;
use odradek_shards::partition::{PartitionName, Standing};
use odradek_shards::runtime::Mailboxes;

use super::client::{Connection, Lost};
use super::oracle::{Oracle, Partition};
use super::plan::{End, Plan, Rng};
use super::state_file::meddle;
use super::verify;
use super::workload::{Producer, Site, consume, produce};

const PLAIN_PRODUCERS: u32 = 3;

/// What outlives a life.
struct Cast {
    oracle: Rc<RefCell<Oracle>>,
    producers: Vec<Rc<RefCell<Producer>>>,
}

/// Runs a seed; gives the hash of all that happened.
pub fn run(seed: u64) -> u64 {
    let mut plan = Plan::of(seed);
    let world = SimWorld::new(seed);
    world.make_dir("/data");
    let cast = cast(&mut plan);
    let plan = Rc::new(plan);
    let mut rng = plan.rng.clone();
    let mut old = None;
    for life in 0..=plan.lives {
        let last = life == plan.lives;
        let end = match last {
            true => End::Stop,
            false => rng.pick(&[
                End::Stop,
                End::StopThenCut,
                End::Kill,
                End::Kill,
                End::Cut,
                End::Cut,
            ]),
        };
        // Some lives end while they still recover; the last one gets to see what is left.
        let length = match rng.range(0, 5) {
            _ if last => 100_000,
            0 => rng.range(10, 5_000),
            1 => rng.range(5_000, 50_000),
            2 => rng.range(100_000, 400_000),
            _ => rng.range(20_000, 100_000),
        };
        let length = Duration::from_micros(length);
        live(&world, &plan, &cast, rng.fork(), length, end);
        if plan.meddling && !last {
            meddle(&world, &mut rng, &mut old);
        }
    }
    let oracle = cast.oracle.borrow();
    assert!(
        oracle.acknowledged > 0 && oracle.read > 0,
        "seed {seed}: nothing happened"
    );
    world.trace_hash()
}

fn cast(plan: &mut Plan) -> Cast {
    let oracle = Rc::new(RefCell::new(Oracle::new(plan)));
    let mut producers = Vec::new();
    for number in 0..PLAIN_PRODUCERS {
        producers.push(Producer::plain(number, plan.rng.fork()));
    }
    let homes = [("plain", 0), ("small", 0), ("small", 1)];
    for (number, home) in (PLAIN_PRODUCERS..).zip(homes) {
        producers.push(Producer::idempotent(number, plan.rng.fork(), home));
    }
    let shared = |producer| Rc::new(RefCell::new(producer));
    Cast {
        oracle,
        producers: producers.into_iter().map(shared).collect(),
    }
}

/// One life, from start to end.
fn live(world: &SimWorld, plan: &Rc<Plan>, cast: &Cast, rng: Rng, length: Duration, end: End) {
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let oracle = cast.oracle.clone();
    let (started, standings) = {
        let serving = Rc::new(Serving::default());
        let body = serve(
            io.clone(),
            spawner.clone(),
            plan.clone(),
            oracle.clone(),
            cast.producers.clone(),
            rng,
            serving.clone(),
        );
        executor.run(async move {
            spawner.spawn(body).detach();
            io.sleep(length).await;
            if matches!(end, End::Stop | End::StopThenCut) {
                while !serving.busy.get() {
                    io.sleep(Duration::from_millis(1)).await;
                }
                io.sleep(Duration::from_millis(20)).await;
                let broker = serving.broker.borrow().clone().expect("it serves");
                broker.request_stop(true);
                until_stopped(broker).await;
            }
            let broker = serving.broker.borrow().clone();
            let standings = broker.as_ref().map(|broker| standings(broker));
            (broker.is_some(), standings.unwrap_or_default())
        })
    };
    match end {
        End::Stop | End::Kill => world.kill_process(),
        End::StopThenCut | End::Cut => world.power_cut(),
    }
    drop(executor);
    oracle
        .borrow_mut()
        .ended(end, world.now(), started, &standings);
}

#[derive(Default)]
struct Serving {
    broker: RefCell<Option<Rc<Broker>>>,
    /// The logs were verified, and clients are at work.
    busy: Cell<bool>,
}

fn standings(broker: &Broker) -> Vec<(Partition, Standing)> {
    let open = broker.holdings.open_partitions();
    let standing = open.iter().map(|hosted| {
        let name = hosted.partition.name();
        let topics = ["plain", "small", "kept", "short"];
        let topic = topics.into_iter().find(|topic| **topic == *name.topic);
        let poisoned = hosted.partition.poisoned();
        assert!(poisoned.is_none(), "{name} is offline: {poisoned:?}");
        (
            (topic.expect("a planned topic"), name.index),
            hosted.partition.standing(),
        )
    });
    standing.collect()
}

/// Starts the node, judges what it has recovered, lets the clients loose.
async fn serve(
    io: Io,
    spawner: Spawner,
    plan: Rc<Plan>,
    oracle: Rc<RefCell<Oracle>>,
    producers: Vec<Rc<RefCell<Producer>>>,
    mut rng: Rng,
    serving: Rc<Serving>,
) {
    let address = "127.0.0.1:9092".parse().expect("an address");
    let (listener, address) = io.listen(address, true).await.expect("listening");
    let boot = Boot {
        shard: 0,
        log_dirs: log_dirs(&plan.settings),
        settings: plan.settings.clone(),
        endpoints: Into::into([Endpoint {
            host: "127.0.0.1".into(),
            port: address.port(),
        }]),
        mail: Mailboxes::new(1),
        listeners: vec![listener],
        gate: Gate::new(&plan.settings, None),
        first: None,
    };
    let broker = start(io.clone(), spawner.clone(), boot).await;
    let broker = broker.unwrap_or_else(|error| panic!("the node does not start: {error}"));
    *serving.broker.borrow_mut() = Some(broker.clone());
    let site = Site {
        io,
        address,
        oracle,
        partitions: Rc::new(plan.partitions()),
        value_bytes_max: plan.value_bytes_max,
    };
    judge(&site, &plan, &broker, &mut rng)
        .await
        .expect("the connection holds");
    serving.busy.set(true);
    for producer in producers {
        spawner.spawn(produce(site.clone(), producer)).detach();
    }
    for _ in 0..2 {
        spawner.spawn(consume(site.clone(), rng.fork())).detach();
    }
}

/// Where the node began to replay the producers' batches of a partition.
fn snapshot(broker: &Broker, partition: Partition) -> i64 {
    let open = broker.holdings.open_partitions();
    let names = |name: &PartitionName| (&*name.topic, name.index) == partition;
    let mut found = open.iter().filter(|one| names(one.partition.name()));
    let hosted = found.next().expect("it was just read");
    hosted.partition.with_log(|log| log.replayed_from()).0
}

/// Makes sure of the topics and reads every log whole, before anybody writes.
async fn judge(site: &Site, plan: &Plan, broker: &Rc<Broker>, rng: &mut Rng) -> Result<(), Lost> {
    let mut connection = Connection::open(&site.io, site.address).await?;
    for topic in &plan.topics {
        if !topic.config.is_empty() && broker.image().topic(topic.name).is_none() {
            let new = NewTopic {
                name: topic.name.to_owned(),
                partitions: topic.partitions as usize,
                shards: None,
                config: topic.config.clone(),
            };
            topics::create(broker, vec![new], false, &mut Mutations::default())
                .await
                .remove(0)
                .expect("a new topic");
        }
        let epochs = verify::epochs(&mut connection, topic.name, true).await?;
        assert_eq!(epochs.len(), topic.partitions as usize, "{}", topic.name);
        for (index, epoch) in epochs.into_iter().enumerate() {
            let mut oracle = site.oracle.borrow_mut();
            oracle.epoch((topic.name, index as i32), epoch);
        }
    }
    for partition in site.partitions.iter() {
        let (start, ids) = verify::whole(&mut connection, *partition, rng).await?;
        let snapshot = snapshot(broker, *partition);
        let mut oracle = site.oracle.borrow_mut();
        oracle.recovered(*partition, start, &ids, snapshot);
    }
    connection.close().await;
    Ok(())
}
