//! A whole log directory with one file that is not what the node left: a node starts on it, opens
//! and reads every partition and writes on, or says why it does not.
//!
//! On a simulated machine, which is made anew for each input: a node's life there takes milliseconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::record::{BatchBuilder, Origin, Rules, validate};
use odradek_engine::task::{Executor, Spawner};
use odradek_engine::types::{
    Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TransactionEnd as End,
};
use odradek_shards::api::throttle::Mutations;
use odradek_shards::api::topics::{self, NewTopic};
use odradek_shards::broker::{Boot, BootError, Broker, Endpoint, log_dirs, start, until_stopped};
use odradek_shards::config::Settings;
use odradek_shards::net::Gate;
use odradek_shards::partition::Mark;
use odradek_shards::runtime::Mailboxes;
use odradek_sim::state_file::alone;

use crate::Target;
use crate::seeds::reseal;

type Files = BTreeMap<String, Vec<u8>>;

const PARTITIONS: i32 = 3;
const BATCHES: i32 = 24;

async fn boot(io: Io, spawner: Spawner) -> Result<Rc<Broker>, BootError> {
    let set = [
        ("log.dirs", "/data"),
        ("log.durable.method", "journal"),
        ("log.journal.bytes", "1048576"),
    ];
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
    start(io, spawner, boot).await
}

/// Runs a node until `life` is over, then stops it or kills it; unless it does not start.
fn live<F>(world: &SimWorld, stop: bool, life: impl FnOnce(Rc<Broker>) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    executor.run(async move {
        match boot(io, spawner).await {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(broker) => {
                life(broker.clone()).await;
                if stop {
                    broker.request_stop(true);
                    until_stopped(broker).await;
                }
            }
        }
    });
    world.kill_process();
    drop(executor);
}

fn batch(index: i32, number: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    if index > 0 {
        // Markers have no sequence.
        let id = ProducerId(i64::from(index));
        builder = builder.producer(id, ProducerEpoch(0), Sequence(number));
    }
    if index == 2 {
        builder = builder.transactional();
    }
    let value = vec![number as u8; 2_000];
    let appended = builder.append(Timestamp(1_000), Some(b"key"), Some(&value), &[]);
    appended.expect("a record");
    builder.build().expect("a batch")
}

/// A plain log, one of an idempotent producer and one of transactions; some segments each.
async fn fill(broker: Rc<Broker>) {
    let new = NewTopic {
        name: "t".into(),
        partitions: PARTITIONS as usize,
        shards: None,
        config: [("internal.segment.bytes".into(), "16384".into())].into(),
    };
    let mut made = topics::create(&broker, vec![new], false, &mut Mutations::default()).await;
    made.remove(0).expect("a new topic");
    for index in 0..PARTITIONS {
        let image = broker.image();
        let topic = image.topic("t").expect("the topic");
        let hosted = broker.hosted(topic, index).await.expect("it opens");
        let partition = &hosted.partition;
        for number in 0..BATCHES {
            let bytes = batch(index, number);
            let info = validate(&bytes, &Rules::NODE).expect("valid");
            let appended = partition.append(&bytes, &info, Origin::Node, None, Timestamp(1_000));
            appended.expect("appended");
            if index == 2 && number % 4 == 3 {
                let end = End {
                    producer_id: ProducerId(2),
                    producer_epoch: ProducerEpoch(0),
                    coordinator_epoch: Epoch(0),
                    commit: number % 8 == 3,
                    version: 0,
                };
                partition
                    .end_transaction(end, Timestamp(1_000))
                    .expect("ended");
            }
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect("stored");
        }
    }
}

/// Asks for all that there is, and writes a batch behind it; errors are answers.
async fn use_all(broker: Rc<Broker>) {
    let image = broker.image();
    let Some(topic) = image.topic("t") else {
        return;
    };
    for index in 0..PARTITIONS {
        let Ok(hosted) = broker.hosted(topic, index).await else {
            continue;
        };
        let partition = &hosted.partition;
        let (start, end) = (partition.log_start(), partition.standing().next);
        assert!(start <= end);
        // A batch of few bytes may say that it has millions of offsets.
        let step = (end.0 - start.0) as usize / 100 + 1;
        for offset in (start.0..end.0).step_by(step).map(Offset) {
            if let Ok(read) = partition.read(offset, 1 << 20, true).await {
                let _ = partition.aborted(offset, &read).await;
            }
        }
        let bytes = batch(0, 0);
        let info = validate(&bytes, &Rules::NODE).expect("valid");
        let appended = partition.append(&bytes, &info, Origin::Node, None, Timestamp(1_000));
        if appended.is_ok() {
            let stored = partition
                .wait(Mark::Visible, Offset(end.0 + 1))
                .done()
                .await;
            stored.expect("nothing is wrong with this disk");
            assert_eq!(partition.standing().next, Offset(end.0 + 1));
        }
    }
}

/// What a node leaves by a clean stop, and by a kill. (Of the journal's files their beginning.)
fn images() -> &'static [Files; 2] {
    static IMAGES: OnceLock<[Files; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        [true, false].map(|stop| {
            let world = SimWorld::new(1);
            world.make_dir("/data");
            live(&world, stop, fill);
            let mut files = world.files();
            for (path, bytes) in &mut files {
                if path.starts_with("/data/journal.") {
                    let end = bytes.iter().rposition(|byte| *byte != 0);
                    bytes.truncate(end.map_or(0, |end| end + 1));
                }
            }
            files
        })
    })
}

fn machine(files: Files) -> SimWorld {
    let world = SimWorld::new(1);
    world.hush();
    alone(&world, async move |io| {
        for (path, bytes) in files {
            let path = Path::new(&path);
            let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
            above.pop();
            for directory in above.into_iter().rev() {
                io.make_dir(directory).await.expect("a directory");
            }
            io.replace_file(path, bytes).await.expect("a file");
        }
    });
    world
}

/// Which image and which of its files, a byte each, then what stands in that file.
fn start_on(input: &[u8]) {
    let [which, file, contents @ ..] = input else {
        return;
    };
    let mut files = images()[usize::from(*which) % 2].clone();
    let path = files.keys().nth(usize::from(*file) % files.len());
    let path = path.expect("a file").clone();
    files.insert(path, contents.to_vec());
    let world = machine(files);
    live(&world, which & 2 == 0, use_all);
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (which, files) in images().iter().enumerate() {
        assert!(files.len() < 256);
        let seen = |what: &str| files.keys().any(|path| path.contains(what));
        let beside = [
            ".snapshot",
            ".log",
            "leader-epoch-checkpoint",
            "meta.properties",
        ];
        let whose = ["/data/t-2/", "/data/__cluster_metadata-0/"];
        for what in beside.iter().chain(&whose) {
            assert!(seen(what), "no {what}: {:?}", files.keys());
        }
        assert_eq!(seen("/data/journal."), which == 1);
        assert!(which == 1 || seen(".txnindex") && seen(".kafka_cleanshutdown"));
        for (number, bytes) in files.values().enumerate() {
            seeds.push([&[which as u8, number as u8], &bytes[..]].concat());
        }
    }
    seeds
}

#[test]
fn log_directories() {
    Target {
        name: "log-directories",
        read: start_on,
        seeds: seeds(),
        reseal: Some(|input| {
            if let Some(contents) = input.get_mut(2..) {
                reseal(contents);
            }
        }),
        fixed: 256 << 20,
        per_byte: 64,
    }
    .fuzz();
}
