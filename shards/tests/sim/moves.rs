//! Two shards on one simulated machine: partitions move while they are written and read, and lives
//! end at any moment.
//!
//! Each partition has one idempotent producer, whose records are numbered: so its log is those
//! numbers, from 0, each at its own offset, at least as many as were acknowledged.

// One task each holds a writer.
#![allow(clippy::await_holding_refcell_ref)]

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::record::BatchBuilder;
use odradek_engine::task::{Executor, Spawner};
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use odradek_shards::api::throttle::Mutations;
use odradek_shards::api::topics::{self, NewTopic};
use odradek_shards::broker::{Boot, Broker, Endpoint, end_changes, log_dirs, start, until_stopped};
use odradek_shards::config::Settings;
use odradek_shards::net::Gate;
use odradek_shards::runtime::Mailboxes;
use odradek_sim::client::{Connection, Lost};
use odradek_sim::fetch::{Isolation, fetch};
use odradek_sim::keys;
use odradek_sim::plan::{End, Rng};
use odradek_sim::requests::{answer, send};
use odradek_wire::Reader;
use odradek_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};

const SHARDS: u32 = 2;
const TOPIC: &str = "plain";
const PARTITIONS: i32 = 3;
const WINDOW: u64 = 3;
const NOT_LEADER: i16 = 6;
const STORAGE: i16 = 56;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;

/// A partition's producer, over all lives.
struct Writer {
    index: i32,
    rng: Rng,
    acknowledged: u64,
    /// The shard that it takes for the leader.
    shard: u32,
}

/// What outlives a life.
struct Cast {
    settings: Arc<Settings>,
    segment_bytes: u64,
    writers: Vec<Rc<RefCell<Writer>>>,
    /// By partition.
    acknowledged: Vec<Cell<u64>>,
    moves: Cell<u64>,
}

fn address(shard: u32) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9092 + shard as u16))
}

/// Runs a seed; gives the hash of all that happened, and the number of moves.
fn run(seed: u64) -> (u64, u64) {
    let mut rng = Rng::new(seed ^ 0x6d6f_7665);
    let world = SimWorld::new(seed);
    world.make_dir("/data");
    let set = [
        ("listeners", "PLAINTEXT://127.0.0.1:9092".to_owned()),
        ("log.dirs", "/data".to_owned()),
        ("shards", SHARDS.to_string()),
        ("shards.advertise", rng.pick(&["core", "node"]).to_owned()),
        ("memory.tail.bytes", "1048576".to_owned()),
        (
            "log.write.strategy",
            rng.pick(&["direct", "buffered"]).to_owned(),
        ),
        (
            "log.durable.method",
            rng.pick(&["auto", "journal"]).to_owned(),
        ),
        ("log.journal.bytes", "1048576".to_owned()),
        ("log.write.depth", rng.pick(&[1, 2, 8]).to_string()),
        ("durable.lag.max.ms", rng.pick(&[20, 1000]).to_string()),
        (
            "log.flush.offset.checkpoint.interval.ms",
            rng.pick(&[3, 100]).to_string(),
        ),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value));
    let writer = |index| Writer {
        index,
        rng: Rng::new(seed * 31 + index as u64),
        acknowledged: 0,
        shard: 0,
    };
    let cast = Rc::new(Cast {
        settings: Arc::new(Settings::load(None, &set).expect("right settings").0),
        segment_bytes: rng.pick(&[4_096, 30_000, 1 << 20]),
        writers: (0..PARTITIONS)
            .map(|index| Rc::new(RefCell::new(writer(index))))
            .collect(),
        acknowledged: (0..PARTITIONS).map(|_| Cell::new(0)).collect(),
        moves: Cell::new(0),
    });
    let lives = rng.range(3, 5);
    for life in 0..=lives {
        let last = life == lives;
        let end = match last {
            true => End::Stop,
            false => rng.pick(&[End::Stop, End::StopThenCut, End::Kill, End::Kill, End::Cut]),
        };
        let length = match last {
            true => 60_000,
            false => rng.range(1_000, 60_000),
        };
        live(
            &world,
            &cast,
            rng.fork(),
            Duration::from_micros(length),
            end,
        );
    }
    let all: u64 = cast.acknowledged.iter().map(Cell::get).sum();
    assert!(all > 0, "seed {seed}: nothing was acknowledged");
    (world.trace_hash(), cast.moves.get())
}

/// One life, from start to end. Both shards run on this thread, in turn.
fn live(world: &SimWorld, cast: &Rc<Cast>, rng: Rng, length: Duration, end: End) {
    let driver = || Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let ios: Vec<Io> = (0..SHARDS).map(|_| driver()).collect();
    let executors: Vec<Executor> = ios.iter().map(|io| Executor::new(io.clone())).collect();
    let spawners: Vec<Spawner> = executors.iter().map(Executor::spawner).collect();
    let over = Rc::new(Cell::new(false));
    let serving = Rc::new(RefCell::new(Vec::new()));
    let body = {
        let (io, over, serving) = (ios[0].clone(), over.clone(), serving.clone());
        let serve = serve(ios, spawners.clone(), cast.clone(), rng, serving.clone());
        let spawner = spawners[0].clone();
        async move {
            spawner.spawn(serve).detach();
            io.sleep(length).await;
            if end.is_stop() {
                while serving.borrow().len() < SHARDS as usize {
                    io.sleep(Duration::from_millis(1)).await;
                }
                let brokers: Vec<Rc<Broker>> = serving.borrow().clone();
                end_changes(brokers[0].clone()).await;
                for broker in brokers.into_iter().rev() {
                    broker.request_stop(broker.shard == 0);
                    until_stopped(broker.clone()).await;
                    assert!(!broker.unclean.get(), "a stop in the middle of a move");
                }
            }
            over.set(true);
        }
    };
    spawners[0].spawn(body).detach();
    while !over.get() {
        for executor in &executors {
            executor.run_ready();
            if !over.get() {
                executor.wait();
            }
        }
    }
    match end.is_cut() {
        false => world.kill_process(),
        true => world.power_cut(),
    }
}

/// Starts the node, reads what it has recovered, lets the clients loose.
async fn serve(
    ios: Vec<Io>,
    spawners: Vec<Spawner>,
    cast: Rc<Cast>,
    mut rng: Rng,
    serving: Rc<RefCell<Vec<Rc<Broker>>>>,
) {
    let endpoint = |shard| Endpoint {
        host: "127.0.0.1".into(),
        port: address(shard).port(),
    };
    let endpoints: Arc<[Endpoint]> = (0..SHARDS).map(endpoint).collect();
    let mail = Mailboxes::new(SHARDS);
    let gate = Gate::new(&cast.settings, None);
    let log_dirs = log_dirs(&cast.settings);
    let mut brokers: Vec<Rc<Broker>> = Vec::new();
    for (shard, (io, spawner)) in (0..).zip(ios.iter().zip(&spawners)) {
        let (listener, _) = io.listen(address(shard), true).await.expect("listening");
        let boot = Boot {
            shard,
            settings: cast.settings.clone(),
            log_dirs: log_dirs.clone(),
            endpoints: endpoints.clone(),
            mail: mail.clone(),
            listeners: vec![listener],
            gate: gate.clone(),
            first: brokers
                .first()
                .map(|first| (first.facts.clone(), first.image())),
        };
        let broker = start(io.clone(), spawner.clone(), boot).await;
        brokers.push(broker.unwrap_or_else(|error| panic!("shard {shard}: {error}")));
    }
    if brokers[0].image().topic(TOPIC).is_none() {
        let segment = (
            "internal.segment.bytes".to_owned(),
            cast.segment_bytes.to_string(),
        );
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: PARTITIONS as usize,
            shards: None,
            config: [segment].into_iter().collect(),
        };
        let made = topics::create(&brokers[0], vec![topic], false, &mut Mutations::default())
            .await
            .remove(0);
        made.expect("a new topic");
    }
    let io = &ios[0];
    for index in 0..PARTITIONS {
        let entry =
            brokers[0].image().topic(TOPIC).expect("made").partitions[index as usize].clone();
        let mut connection = Connection::open(io, address(entry.shard))
            .await
            .expect("a connection");
        let end = read(&mut connection, index, 0, &mut rng)
            .await
            .expect("a whole log");
        let acknowledged = cast.acknowledged[index as usize].get();
        assert!(
            end.is_some_and(|end| end >= acknowledged as i64),
            "partition {index} ends at {end:?}, and {acknowledged} were acknowledged"
        );
        // Of what the last life did not answer, a start may remember the last batch only, as in
        // Kafka: a producer that sent the others again would be refused.
        let known = end.map_or(0, |end| end as u64).saturating_sub(1);
        let known = known.max(acknowledged);
        cast.writers[index as usize].borrow_mut().acknowledged = known;
        cast.acknowledged[index as usize].set(known);
        connection.close().await;
    }
    *serving.borrow_mut() = brokers;
    for writer in &cast.writers {
        spawners[0]
            .spawn(write(io.clone(), cast.clone(), writer.clone()))
            .detach();
    }
    for index in 0..PARTITIONS {
        spawners[0]
            .spawn(follow(io.clone(), index, rng.fork()))
            .detach();
    }
    relocate(io.clone(), cast, rng).await;
}

async fn pause(io: &Io, rng: &mut Rng, max_us: u64) {
    io.sleep(Duration::from_micros(rng.range(0, max_us))).await;
}

/// Reads on from `offset` to what is visible: where that ends. `None` if another shard leads.
async fn read(
    connection: &mut Connection,
    index: i32,
    mut offset: i64,
    rng: &mut Rng,
) -> Result<Option<i64>, Lost> {
    loop {
        let from = [((TOPIC, index), offset)];
        let slices = fetch(connection, &[], &from, Isolation::Uncommitted, rng, 1).await?;
        match slices[0].error {
            0 => {}
            NOT_LEADER | STORAGE => return Ok(None),
            error => panic!("partition {index} at {offset}: error {error}"),
        }
        for (at, id) in &slices[0].records {
            assert_eq!(
                (*at, *id),
                (offset, (index as u32, offset as u64)),
                "partition {index}"
            );
            offset += 1;
        }
        if offset >= slices[0].high_watermark {
            return Ok(Some(offset));
        }
    }
}

async fn follow(io: Io, index: i32, mut rng: Rng) {
    let (mut shard, mut offset) = (0, 0);
    loop {
        if let Ok(mut connection) = Connection::open(&io, address(shard)).await {
            while let Ok(Some(end)) = read(&mut connection, index, offset, &mut rng).await {
                offset = end;
                pause(&io, &mut rng, 3_000).await;
            }
            connection.close().await;
        }
        shard = 1 - shard;
        pause(&io, &mut rng, 2_000).await;
    }
}

async fn write(io: Io, cast: Rc<Cast>, writer: Rc<RefCell<Writer>>) {
    let mut writer = writer.borrow_mut();
    loop {
        if let Ok(mut connection) = Connection::open(&io, address(writer.shard)).await
            && window(&io, &cast, &mut writer, &mut connection)
                .await
                .is_ok()
        {
            connection.close().await;
        }
        writer.shard = 1 - writer.shard;
        pause(&io, &mut writer.rng, 2_000).await;
    }
}

/// Sends to one shard until it refuses.
async fn window(
    io: &Io,
    cast: &Cast,
    writer: &mut Writer,
    connection: &mut Connection,
) -> Result<(), Lost> {
    let home = (TOPIC, writer.index);
    loop {
        let first = writer.acknowledged;
        let mut sent = Vec::new();
        for number in first..first + writer.rng.range(1, WINDOW) {
            let id = (writer.index as u32, number);
            // The same bytes whenever it is sent again.
            let len = (number * 977 % 3_000) as usize;
            let mut builder = BatchBuilder::new().producer(
                ProducerId(1_000 + i64::from(writer.index)),
                ProducerEpoch(0),
                Sequence(number as i32),
            );
            keys::append(&mut builder, id, len, false, Timestamp(io.wall_clock()));
            let bytes = builder.build().expect("a batch");
            sent.push(send(connection, 9, home, -1, &bytes).await?);
        }
        let mut refused = false;
        for id in sent {
            match answer(connection, 9, id).await? {
                (0, base) => {
                    assert!(!refused, "{home:?}: a batch overtook the one before");
                    assert_eq!(base, writer.acknowledged as i64, "{home:?}: its offset");
                    writer.acknowledged += 1;
                    cast.acknowledged[writer.index as usize].set(writer.acknowledged);
                }
                (NOT_LEADER | STORAGE, _) => refused = true,
                (OUT_OF_ORDER_SEQUENCE, _) if refused => {}
                (error, _) => panic!("{home:?}: error {error}"),
            }
        }
        if refused {
            return Ok(());
        }
        pause(io, &mut writer.rng, 1_500).await;
    }
}

/// Moves partitions about, some at once.
async fn relocate(io: Io, cast: Rc<Cast>, mut rng: Rng) {
    loop {
        let asked = rng.range(0, u64::from(SHARDS) - 1) as u32;
        if let Ok(mut connection) = Connection::open(&io, address(asked)).await {
            while relocate_some(&cast, &mut connection, &mut rng)
                .await
                .is_ok()
            {
                pause(&io, &mut rng, 4_000).await;
            }
        }
        pause(&io, &mut rng, 1_000).await;
    }
}

async fn relocate_some(
    cast: &Cast,
    connection: &mut Connection,
    rng: &mut Rng,
) -> Result<(), Lost> {
    let first = cast.settings.replica_id(0);
    let mut partitions = Vec::new();
    for index in 0..PARTITIONS {
        if rng.one_in(2) {
            let to = first + rng.range(0, u64::from(SHARDS) - 1) as i32;
            partitions.push(ReassignablePartition {
                partition_index: index,
                replicas: Some(vec![to]),
            });
        }
    }
    let count = partitions.len() as u64;
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic {
            name: TOPIC,
            partitions,
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let body = connection.ask(1, &request).await?;
    let answer = AlterPartitionReassignmentsResponse::decode(&mut Reader::new(&body), 1);
    for one in &answer.expect("readable").responses[0].partitions {
        match one.error_code {
            0 => {}
            // It stops: the metadata log is closed.
            STORAGE => return Err(Lost),
            error => panic!("error {error}: {:?}", one.error_message),
        }
    }
    cast.moves.set(cast.moves.get() + count);
    Ok(())
}

#[test]
fn moves_lose_nothing() {
    let mut moves = 0;
    for seed in 0..40 {
        let run = std::panic::catch_unwind(|| run(seed));
        moves += run
            .unwrap_or_else(|panic| {
                eprintln!("seed {seed} of moves_lose_nothing failed");
                std::panic::resume_unwind(panic)
            })
            .1;
    }
    assert!(moves > 400, "only {moves} moves");
}

#[test]
fn moves_are_the_same_each_time() {
    assert_eq!(run(3), run(3));
}
