//! What do idempotence and transactions cost, and how soon can the next transaction begin?
//!
//! First produce requests of 1 MiB by a plain, an idempotent and a transactional producer, in turn,
//! each on a topic of its own: their CPU per GB. All stop to wait for their answers where the
//! transactional one commits. Goal: at most 5 % more than the plain one.
//!
//! Then transactions of three partitions, one record in each: from the request that ends one until
//! the first record of the next is written, beside the cheapest durable write on the same disk in
//! the same run. A transaction's end is written, markers are, and that they are: goal, at most
//! three durable writes and 1 ms. That its first partition is part of the next is a fourth, and in the
//! figure, too: before, nobody can tell that it is ready.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use odradek_wire::ErrorCode;
use odradek_wire::produce::ProduceRequest;

use super::findings::Better;
use super::{Scenario, Stage};
use crate::cli::echo_frames;
use crate::contest::{Server, Variant};
use crate::drive::{
    Admin, Batch, Identity, Partition, Pipeline, Plan, Producer, Transaction, now_ms,
};
use crate::floor;
use crate::measurement::Cost;
use crate::report::{Latencies, histogram, median};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 13,
    name: "transactions",
    question: "What do idempotence and transactions cost, and how soon can the next transaction begin?",
    needs: None,
    run,
};

const MIB: u64 = 1 << 20;
/// The last version that names topics, and none that joins a transaction.
const VERSION_MAX: i16 = 11;
const TURNS: &str = "turns";
const TURNS_PARTITIONS: i32 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Idempotent,
    Transactional,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::Plain, "plain"),
    (Kind::Idempotent, "idempotent"),
    (Kind::Transactional, "transactional"),
];

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant {
        settings: vec![
            ("log.segment.delete.delay.ms", "0".to_owned()),
            ("transaction.max.timeout.ms", "900000".to_owned()),
        ],
        ..Variant::default()
    })?;
    cost(stage, &server)?;
    turns(stage, &server)
}

/// CPU seconds per GB of each kind, a round after the other. NaN: not known of that round.
#[derive(Default)]
struct Spent {
    machine: [Vec<f64>; 3],
    process: [Vec<f64>; 3],
}

fn cost(stage: &mut Stage, server: &Server) -> Result<()> {
    let transactions = stage.scaled(16, 2);
    let mut spent = Spent::default();
    let mut busy = 0;
    for round in 0..stage.amount(12, 2) {
        for turn in 0..KINDS.len() {
            stage.check_interrupt()?;
            // Who begins changes: what drifts hits all.
            let at = (round + turn) % KINDS.len();
            let (kind, name) = KINDS[at];
            eprintln!("  {}: {name}, round {} ...", server.label(), round + 1);
            let (gb, of) = produced(stage, server, (kind, name, round), transactions)?;
            spent.machine[at].push(match of.machine_was_quiet() {
                true => of.machine_cpu_s / gb,
                false => f64::NAN,
            });
            busy += usize::from(!of.machine_was_quiet());
            spent.process[at].extend(of.process_cpu_s.map(|cpu_s| cpu_s / gb));
            let rate = gb * 1e3 / of.seconds;
            let name = format!("{name}, round {}: rate", round + 1);
            stage.figure(&name, "MB/s", Better::Neither, rate);
        }
    }
    if busy > 0 {
        let note = format!(
            "the machine was busy with something else {busy} times: its CPU is left out there"
        );
        stage.findings.notes.push(note);
    }
    let known = |values: &[f64]| {
        let known = values.iter().copied().filter(|value| value.is_finite());
        median(&known.collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    for (what, of) in [("machine", &spent.machine), ("process", &spent.process)] {
        for ((_, name), values) in KINDS.iter().zip(of) {
            let name = format!("{name}: {what} CPU");
            stage.figure(&name, "s/GB", Better::Less, known(values));
        }
        for ((_, name), values) in KINDS.iter().zip(of).skip(1) {
            let ratios: Vec<f64> = values
                .iter()
                .zip(&of[0])
                .map(|(one, plain)| one / plain)
                .collect();
            let name = format!("{name}: {what} CPU, of plain's (goal: 1.05)");
            stage.figure(&name, "ratio", Better::Less, known(&ratios));
        }
    }
    Ok(())
}

/// Gigabytes that one kind has produced, and what that cost.
fn produced(
    stage: &Stage,
    server: &Server,
    (kind, name, round): (Kind, &str, usize),
    transactions: u64,
) -> Result<(f64, Cost)> {
    let topic = stage.topic_name(&format!("{name}-{round}"));
    let partition = stage.topic(server, &topic, 1, &[])?[0];
    let mut admin = server.admin()?;
    let batch = Batch::build(1024, MIB as usize, now_ms())?;
    let id = format!("cost-{round}");
    let mut transaction = match kind {
        Kind::Transactional => Some(Transaction::begin(&mut admin, &id)?),
        _ => None,
    };
    let identity = match (&transaction, kind) {
        (Some(transaction), _) => Identity::Transactional(transaction.producer(), &id),
        (None, Kind::Plain) => Identity::Plain,
        (None, _) => Identity::Idempotent(admin.producer_identity()?),
    };
    let ceiling = transaction.as_ref().map(Transaction::produce_version_max);
    let version = admin.version::<ProduceRequest>(ceiling.unwrap_or(VERSION_MAX))?;
    let place = (topic.as_str(), partition.index);
    let mut producer = Producer::new(place, &batch, identity, -1, version)?;
    let mut pipeline = Pipeline::open(partition.leader)?;
    let requests = stage.amount(64, 4);
    let mut one = || -> Result<u64> {
        let Some(transaction) = &mut transaction else {
            return pipeline.run(&mut producer, requests);
        };
        transaction.join(&topic, &[partition.index])?;
        producer.goes_on_as(transaction.producer());
        let bytes =
            first(&mut pipeline, &mut producer)? + pipeline.run(&mut producer, requests - 1)?;
        transaction.commit()?;
        Ok(bytes)
    };
    // What is new the first time is not what lasts.
    one()?;
    crate::machine::wait_until_quiet(stage.place.quiet_seconds)?;
    let baseline = stage.watch_idle()?;
    let (bytes, cost) = stage.cost(baseline, server, || {
        (0..transactions).try_fold(0, |bytes, _| -> Result<u64> {
            stage.check_interrupt()?;
            Ok(bytes + one()?)
        })
    })?;
    admin.delete_topic(&topic)?;
    Ok((bytes as f64 / 1e9, cost))
}

/// Sends one request, again and again until the transaction before is through.
fn first(pipeline: &mut Pipeline, producer: &mut Producer) -> Result<u64> {
    // The second is what clients of before KIP-890 are told.
    const BUSY: &[i16] = &[
        ErrorCode::ConcurrentTransactions.code(),
        ErrorCode::NotEnoughReplicas.code(),
    ];
    let deadline = Instant::now() + Duration::from_secs(30);
    producer.allow(BUSY);
    loop {
        let bytes = pipeline.run(producer, 1)?;
        if producer.error == 0 || Instant::now() > deadline {
            producer.allow(&[]);
            crate::drive::check("produce", producer.error)?;
            return Ok(bytes);
        }
        producer.step_back();
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn turns(stage: &mut Stage, server: &Server) -> Result<()> {
    stage.check_interrupt()?;
    let floor_ms = durable_write(stage)?;
    stage.figure(
        "a durable write of 4 KiB: p50",
        "ms",
        Better::Neither,
        floor_ms,
    );

    let topic = stage.topic_name(TURNS);
    let partitions = stage.topic(server, &topic, TURNS_PARTITIONS, &[])?;
    let count = stage.scaled(1000, 10);
    eprintln!("  {}: {count} transactions ...", server.label());
    let (ended, ready) = one_after_the_other(stage, server, (&topic, &partitions), count)?;
    stage.findings.latency("EndTxn", &ended);
    stage
        .findings
        .latency("the next transaction is ready", &ready);
    if let Some(ms) = ready.ms(0.5) {
        let name = "the next transaction is ready: p50, of 3 durable writes and 1 ms (goal: 1)";
        stage.figure(name, "ratio", Better::Less, ms / (3.0 * floor_ms + 1.0));
    }
    Ok(())
}

/// Milliseconds of the cheapest durable write, the middle of many.
fn durable_write(stage: &Stage) -> Result<f64> {
    let place = stage.place;
    let run = floor::Run {
        plan: Plan {
            warmup: Duration::from_secs_f64(stage.seconds(1.0)),
            time: Duration::from_secs_f64(stage.seconds(4.0)),
            ..stage.plan(1, 1)
        },
        server_core: place.server_core,
        driver_core: place.driver_core,
        dir: &place.parent,
    };
    let floor = floor::run(floor::Kind::DurableOver, &run, &echo_frames(64)?)?;
    Ok(floor.latency.context("the floor's latency")?.p50_ms)
}

/// From the request that ends a transaction until its answer, and until the first record of the
/// next is written.
fn one_after_the_other(
    stage: &Stage,
    server: &Server,
    (topic, partitions): (&str, &[Partition]),
    count: u64,
) -> Result<(Latencies, Latencies)> {
    let mut admin = server.admin()?;
    let mut transaction = Transaction::begin(&mut admin, TURNS)?;
    let batch = Batch::build(64, 0, now_ms())?;
    let version_max = transaction.produce_version_max();
    let mut producers = Vec::new();
    for partition in partitions {
        let leader = Admin::connect(partition.leader)?;
        let version = leader.version::<ProduceRequest>(version_max)?;
        let identity = Identity::Transactional(transaction.producer(), TURNS);
        // The first is timed until it is written; its commit makes all durable.
        let place = (topic, partition.index);
        let producer = Producer::new(place, &batch, identity, 1, version)?;
        producers.push((Pipeline::open(partition.leader)?, producer));
    }
    let indexes: Vec<i32> = partitions.iter().map(|one| one.index).collect();
    let (mut ended, mut ready) = (histogram::empty(), histogram::empty());
    for turn in 0..=count {
        stage.check_interrupt()?;
        let began = Instant::now();
        if turn > 0 {
            transaction.commit()?;
            ended.saturating_record(began.elapsed().as_nanos() as u64);
        }
        transaction.join(topic, &indexes)?;
        for (at, (pipeline, producer)) in producers.iter_mut().enumerate() {
            producer.goes_on_as(transaction.producer());
            first(pipeline, producer)?;
            if at == 0 && turn > 0 {
                ready.saturating_record(began.elapsed().as_nanos() as u64);
            }
        }
    }
    transaction.commit()?;
    Ok(((&ended).into(), (&ready).into()))
}
