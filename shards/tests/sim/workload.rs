//! Producers and consumers.

// One task each holds a producer; where the oracle is borrowed, it is dropped by hand before the
// only await.
#![allow(clippy::await_holding_refcell_ref)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::Io;
use odradek_engine::record::BatchBuilder;
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{Reader, Records};

use super::client::{Connection, Lost};
use super::oracle::{Id, Oracle, Partition};
use super::plan::Rng;
use super::verify::{self, OUT_OF_RANGE};

const PRODUCE_KEY: i16 = 0;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;

/// What every client knows.
#[derive(Clone)]
pub struct Site {
    pub io: Io,
    pub address: SocketAddr,
    pub oracle: Rc<RefCell<Oracle>>,
    pub partitions: Rc<Vec<Partition>>,
    pub value_bytes_max: u64,
}

struct Batch {
    bytes: Vec<u8>,
    ids: Vec<Id>,
}

/// A producer's memory, over all lives.
pub struct Producer {
    number: u32,
    next: u64,
    rng: Rng,
    /// Idempotent ones write to one partition.
    home: Option<Partition>,
    epoch: i16,
    sequence: i32,
    /// Not acknowledged yet: sent again, in order, after a disconnect.
    pending: VecDeque<Batch>,
}

impl Producer {
    pub fn plain(number: u32, rng: Rng) -> Self {
        Producer {
            number,
            next: 0,
            rng,
            home: None,
            epoch: 0,
            sequence: 0,
            pending: VecDeque::new(),
        }
    }

    pub fn idempotent(number: u32, rng: Rng, home: Partition) -> Self {
        Producer {
            home: Some(home),
            ..Self::plain(number, rng)
        }
    }

    /// Whether its oldest batch may be refused as out of order. It starts at a new epoch then, as
    /// Kafka's own does.
    fn may_start_anew(&self, oracle: &Oracle) -> bool {
        let (home, oldest) = (self.home.expect("idempotent"), self.pending.front());
        oldest.is_some_and(|one| oracle.may_refuse(home, &one.ids))
    }

    fn batch(&mut self, site: &Site) -> Batch {
        let mut builder = BatchBuilder::new();
        if self.home.is_some() {
            let id = ProducerId(1_000 + i64::from(self.number));
            builder = builder.producer(id, ProducerEpoch(self.epoch), Sequence(self.sequence));
        }
        let mut ids = Vec::new();
        for _ in 0..self.rng.range(1, 4) {
            let id = (self.number, self.next);
            self.next += 1;
            self.sequence += 1;
            let most = site.value_bytes_max >> self.rng.range(0, 6);
            let len = self.rng.range(0, most) as usize;
            let now = Timestamp(site.io.wall_clock());
            builder
                .append(now, None, Some(&verify::value_of(id, len)), &[])
                .expect("a record fits");
            ids.push(id);
        }
        Batch {
            bytes: builder.build().expect("a batch"),
            ids,
        }
    }
}

async fn pause(site: &Site, rng: &mut Rng, max_us: u64) {
    let micros = rng.range(1, max_us);
    site.io.sleep(Duration::from_micros(micros)).await;
}

pub async fn send(
    connection: &mut Connection,
    version: i16,
    partition: Partition,
    acks: i16,
    bytes: &[u8],
) -> Result<i32, Lost> {
    let request = ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: partition.0,
            partition_data: vec![PartitionProduceData {
                index: partition.1,
                records: Records::Bytes(bytes),
            }],
            ..TopicProduceData::default()
        }],
    };
    connection.send(version, &request).await
}

/// The answer's error and base offset.
pub async fn answer(
    connection: &mut Connection,
    version: i16,
    id: i32,
) -> Result<(i16, i64), Lost> {
    let body = connection.receive(PRODUCE_KEY, version, id).await?;
    let answer = ProduceResponse::decode(&mut Reader::new(&body), version).expect("a response");
    let one = &answer.responses[0].partition_responses[0];
    Ok((one.error_code, one.base_offset))
}

/// Produces until the life ends.
pub async fn produce(site: Site, producer: Rc<RefCell<Producer>>) {
    // The harness runs one life at a time, so nobody else holds the producer.
    #[allow(clippy::await_holding_refcell_ref)]
    let mut producer = producer.borrow_mut();
    let mut rng = producer.rng.fork();
    loop {
        if let Ok(mut connection) = Connection::open(&site.io, site.address).await {
            let used = match producer.home {
                Some(home) => idempotent(&site, &mut producer, home, &mut connection).await,
                None => plain(&site, &mut producer, &mut connection).await,
            };
            if used.is_ok() {
                connection.close().await;
            }
        }
        pause(&site, &mut rng, 20_000).await;
    }
}

/// One connection's worth of plain batches: each is sent once, whatever becomes of it.
async fn plain(
    site: &Site,
    producer: &mut Producer,
    connection: &mut Connection,
) -> Result<(), Lost> {
    for _ in 0..producer.rng.range(1, 40) {
        let version = producer.rng.range(3, 12) as i16;
        let mut window = Vec::new();
        for _ in 0..producer.rng.range(1, 5) {
            let acks = producer.rng.pick(&[0, 1, 1, -1, -1]);
            let partition = producer.rng.pick(&site.partitions);
            let batch = producer.batch(site);
            let id = send(connection, version, partition, acks, &batch.bytes).await?;
            if acks != 0 {
                window.push((id, partition, acks, batch.ids));
            }
        }
        for (id, partition, acks, ids) in window {
            let (error, base) = answer(connection, version, id).await?;
            match error {
                0 => {
                    let now = site.io.now();
                    let mut oracle = site.oracle.borrow_mut();
                    oracle.acknowledged(partition, base, &ids, acks, now);
                }
                verify::STORAGE => {}
                error => panic!("produce to {partition:?}: error {error}"),
            }
        }
        pause(site, &mut producer.rng, 8_000).await;
    }
    Ok(())
}

/// One connection's worth of an idempotent producer's batches.
async fn idempotent(
    site: &Site,
    producer: &mut Producer,
    home: Partition,
    connection: &mut Connection,
) -> Result<(), Lost> {
    const IN_FLIGHT_MAX: usize = 5;
    let version = 9;
    for _ in 0..producer.rng.range(1, 30) {
        while producer.pending.len() < IN_FLIGHT_MAX && !producer.rng.one_in(3) {
            let batch = producer.batch(site);
            producer.pending.push_back(batch);
        }
        let mut window = Vec::new();
        for batch in &producer.pending {
            window.push(send(connection, version, home, -1, &batch.bytes).await?);
        }
        if producer.rng.one_in(10) {
            // Gone before the answers came.
            return Ok(());
        }
        let mut failed = false;
        for id in window {
            let (error, base) = answer(connection, version, id).await?;
            match error {
                0 if !failed => {
                    let batch = producer.pending.pop_front().expect("it was sent");
                    let now = site.io.now();
                    let mut oracle = site.oracle.borrow_mut();
                    oracle.acknowledged(home, base, &batch.ids, -1, now);
                }
                verify::STORAGE => failed = true,
                0 | OUT_OF_ORDER_SEQUENCE if failed => {}
                OUT_OF_ORDER_SEQUENCE if producer.may_start_anew(&site.oracle.borrow()) => {
                    producer.epoch += 1;
                    producer.sequence = 0;
                    producer.pending.clear();
                    return Ok(());
                }
                error => panic!("idempotent produce to {home:?}: error {error}"),
            }
        }
        pause(site, &mut producer.rng, 10_000).await;
    }
    Ok(())
}

/// Follows all logs at their ends, and looks back now and then.
pub async fn consume(site: Site, mut rng: Rng) {
    loop {
        if let Ok(mut connection) = Connection::open(&site.io, site.address).await
            && follow(&site, &mut rng, &mut connection).await.is_ok()
        {
            connection.close().await;
        }
        pause(&site, &mut rng, 20_000).await;
    }
}

fn known_all(site: &Site) -> Vec<(i64, i64)> {
    let oracle = site.oracle.borrow();
    let all = site.partitions.iter();
    all.map(|partition| oracle.known(*partition)).collect()
}

async fn follow(site: &Site, rng: &mut Rng, connection: &mut Connection) -> Result<(), Lost> {
    let mut from: Vec<(Partition, i64)> = Vec::new();
    for partition in site.partitions.iter() {
        let oracle = site.oracle.borrow();
        from.push((*partition, oracle.known(*partition).1));
    }
    for _ in 0..rng.range(1, 60) {
        let wait_ms = rng.pick(&[0, 1, 100]);
        let known = known_all(site);
        let slices = verify::fetch(connection, &from, rng, wait_ms).await?;
        for ((slice, known), (partition, next)) in slices.iter().zip(known).zip(&mut from) {
            let mut oracle = site.oracle.borrow_mut();
            match slice.error {
                0 => {}
                OUT_OF_RANGE => {
                    let known = oracle.known(*partition);
                    drop(oracle);
                    let told = verify::earliest_and_latest(connection, *partition).await?;
                    site.oracle.borrow_mut().bounds(*partition, known, told);
                    assert!(*next < told.0, "{partition:?}: {next} is in {told:?}");
                    *next = told.0;
                    continue;
                }
                verify::STORAGE => return Ok(()),
                error => panic!("fetch from {partition:?} at {next}: error {error}"),
            }
            oracle.bounds(*partition, known, (slice.start, slice.high_watermark));
            for (offset, id) in &slice.records {
                assert_eq!(offset, next, "{partition:?}: offsets are contiguous");
                oracle.seen(*partition, *offset, *id, site.io.now());
                *next += 1;
            }
            if rng.one_in(20) {
                let (start, end) = (slice.start, slice.high_watermark);
                *next = rng.range(start as u64, end as u64) as i64;
            }
        }
        pause(site, rng, 10_000).await;
    }
    Ok(())
}
