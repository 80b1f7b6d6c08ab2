//! *durable* is a promise: whatever a partition says of it holds after a power cut.
//!
//! One partition alone, writes of all sizes in flight at once, some durable by themselves and some
//! not, flushes now and then, and the power cut at any moment.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::{PAGE, Pool, Source};
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::io::{Io, SegmentFile};
use odradek_engine::log::LogRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::log::state_file::Key;
use odradek_engine::record::{BatchBuilder, Origin, Rules, validate};
use odradek_engine::task::{Executor, Spawner};
use odradek_engine::types::{Epoch, Offset, Timestamp};
use odradek_shards::partition::{Ground, Mark, Opening, Partition, PartitionName, Standing};
use odradek_shards::runtime::Notice;
use odradek_sim::plan::Rng;

const SEEDS: u64 = 300;

pub fn ground(io: &Io, spawner: &Spawner, rng: &mut Rng) -> Rc<Ground> {
    Rc::new(Ground {
        io: io.clone(),
        spawner: spawner.clone(),
        strategy: rng.pick(WriteStrategy::ALL),
        dsync: rng.one_in(2),
        journals: Vec::new(),
        read_tail: rng.one_in(2),
        zeros: Default::default(),
        filling: Default::default(),
        write_depth: 8,
        durable_lag_ms: 1,
        durable_policy: true,
        tail_bytes_max: 1 << 20,
        tail_bytes: Default::default(),
        dirs: Default::default(),
        roots: Default::default(),
        lively: Default::default(),
        tails: Default::default(),
        written_bytes: Default::default(),
        recoveries: Default::default(),
        troubles: Default::default(),
    })
}

pub async fn open(ground: &Rc<Ground>, index: i32, epoch: i32) -> Rc<Partition> {
    opened(ground, index, epoch, "id", None).await
}

/// The same of the topic of this id.
pub async fn open_of(ground: &Rc<Ground>, index: i32, epoch: i32, id: &str) -> Rc<Partition> {
    opened(ground, index, epoch, id, None).await
}

/// The id of another topic that there is.
pub const OTHER: &str = "Zk3sYw9pT1mGvQ7hJ0cRxA";

/// The same under this name in a journal.
pub async fn open_as(ground: &Rc<Ground>, index: i32, epoch: i32, key: Key) -> Rc<Partition> {
    opened(ground, index, epoch, "id", Some(key)).await
}

async fn opened(
    ground: &Rc<Ground>,
    index: i32,
    epoch: i32,
    id: &str,
    key: Option<Key>,
) -> Rc<Partition> {
    let opening = Opening {
        name: PartitionName {
            topic: "t".into(),
            index,
        },
        directory: PathBuf::from(format!("/data/t-{index}")),
        epoch: Epoch(epoch),
        rules: LogRules {
            segment_bytes: 600_000,
            roll_ms: i64::MAX,
            index: IndexRules {
                interval_bytes: 4096,
                index_bytes_max: 1 << 20,
            },
            retention_bytes: -1,
            retention_ms: -1,
        },
        always_durable: false,
        log_start: Offset(0),
        topic_id: id.into(),
        is_topic: Some(Rc::new(|id: &str| id == OTHER)),
        key,
        promised: Offset(0),
        checkpoint: None,
    };
    let opened = Partition::open(ground, opening).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

pub fn append(partition: &Partition, len: usize) {
    let mut builder = BatchBuilder::new();
    let value = vec![7; len];
    builder
        .append(Timestamp(1), None, Some(&value), &[])
        .expect("a record");
    let bytes = builder.build().expect("a batch");
    let info = validate(&bytes, &Rules::NODE).expect("valid");
    let now = Timestamp(1);
    // As a large request is received: where it will lie in its page.
    let skew = partition.append_position() as usize % PAGE;
    let block = partition.io().pool().take(skew + bytes.len());
    // SAFETY: the block is new.
    unsafe { block.bytes_mut(skew, bytes.len()) }.copy_from_slice(&bytes);
    let source = Source::new(block.bytes(skew, bytes.len()), Some(&block));
    let appended = partition.append(source, &info, Origin::Node, None, now);
    appended.expect("appended");
}

/// Writes until it is cut off.
pub async fn write(io: Io, spawner: Spawner, partition: Rc<Partition>, mut rng: Rng) {
    loop {
        // While somebody reads at the end, writes are durable by themselves; else they are not.
        let reader = Rc::new(Notice::default());
        if rng.one_in(2) {
            partition.watch(&reader);
        }
        for _ in 0..rng.range(1, 3) {
            let most = rng.pick(&[100, 5_000, 100_000, 260_000]);
            append(&partition, rng.range(1, most) as usize);
        }
        if rng.one_in(8) {
            let (waiting, end) = (partition.clone(), partition.standing().next);
            let wait = async move { waiting.wait(Mark::Visible, end).done().await };
            spawner.spawn(wait).detach();
        }
        if rng.one_in(4) {
            partition.flush_if_due();
        }
        io.sleep(Duration::from_micros(rng.range(1, 300))).await;
        drop(reader);
    }
}

/// One life; gives how the partition stood when it was cut off, or had just recovered.
fn live(world: &SimWorld, rng: &mut Rng, life: i32, length: Option<u64>) -> Standing {
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let ground = ground(&io, &spawner, rng);
    let rng = rng.fork();
    let found: Rc<RefCell<Option<Standing>>> = Rc::default();
    let out = found.clone();
    executor.run(async move {
        let partition = open(&ground, 0, life).await;
        if let Some(length) = length {
            let task = write(io.clone(), spawner.clone(), partition.clone(), rng);
            spawner.spawn(task).detach();
            io.sleep(Duration::from_micros(length)).await;
        }
        *out.borrow_mut() = Some(partition.standing());
    });
    world.power_cut();
    drop(executor);
    found.take().expect("it was opened")
}

#[test]
fn what_is_called_durable_survives_a_power_cut() {
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let mut rng = Rng::new(seed);
        for life in [0, 2] {
            let length = rng.range(300, 6_000);
            let before = live(&world, &mut rng, life, Some(length));
            let after = live(&world, &mut rng, life + 1, None);
            assert!(
                after.next >= before.durable,
                "seed {seed}, life {life}: the log ends at {} and was called durable up to {}; \
                 {before:?}",
                after.next.0,
                before.durable.0
            );
            assert!(after.next <= before.next, "seed {seed}: out of nowhere");
        }
    }
}

/// Where an earlier cut left off in the middle of a page: the last write covers all of its page, and
/// what is not known to be there is not cut off.
#[test]
fn a_file_grows_by_whole_pages() {
    let world = SimWorld::new(1);
    world.make_dir("/data");
    let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
    let executor = Executor::new(io.clone());
    executor.run(async move {
        for size in [100, 70_001, 353_850] {
            let open = || async {
                let strategy = WriteStrategy::ALL[0];
                let file = SegmentFile::open(&io, "/data".as_ref(), Offset(size), strategy, true);
                file.await.expect("a file")
            };
            let file = open().await;
            file.reserve(size as u64, 1 << 20).await.expect("room");
            file.cut(size as u64).await.expect("cut");
            let file = open().await;
            file.reserve(size as u64 + 1, 1 << 20).await.expect("room");
            let allocated = file.allocated() as usize;
            assert!(allocated.is_multiple_of(PAGE), "{size}: {allocated}");
        }
    });
}

/// So a move has the less to wait for once the partition has left; until then it serves.
#[test]
fn what_is_written_is_flushed_ahead_of_a_move() {
    for seed in 0..20 {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
        let executor = Executor::new(io.clone());
        let spawner = executor.spawner();
        let ground = ground(&io, &spawner, &mut Rng::new(seed));
        executor.run(async move {
            let partition = open(&ground, 0, 0).await;
            append(&partition, 50_000);
            let end = partition.standing().next;
            let written = partition.wait(Mark::Written, end).done().await;
            written.expect("written");
            assert!(partition.standing().durable < end, "nobody asked for it");
            let leaving = partition.clone();
            let ahead = spawner.spawn(async move { leaving.flush_ahead().await });
            append(&partition, 10);
            ahead.await;
            assert!(partition.standing().durable >= end, "seed {seed}");
            append(&partition, 10);
        });
    }
}
