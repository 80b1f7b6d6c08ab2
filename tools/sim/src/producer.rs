//! Producers: plain ones, which send everything once, and idempotent ones, which send again.

// One task each holds a producer; where the oracle is borrowed, it is dropped by hand before the
// only await.
#![allow(clippy::await_holding_refcell_ref)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use odradek_engine::record::BatchBuilder;
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::client::{Connection, Lost};
use crate::keys;
use crate::oracle::{Id, Oracle, Partition};
use crate::plan::Rng;
use crate::requests::{answer, send};
use crate::site::{Links, Site, is_passing};
use crate::story;

const OUT_OF_ORDER_SEQUENCE: i16 = 45;

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
    /// Writes to compacted topics alone.
    keyed: bool,
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
            keyed: false,
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

    pub fn keyed(number: u32, rng: Rng) -> Self {
        Producer {
            keyed: true,
            ..Self::plain(number, rng)
        }
    }

    /// Whether its oldest batch may be refused as out of order. It starts at a new epoch then, as
    /// Kafka's own does.
    fn may_start_anew(&self, oracle: &Oracle) -> bool {
        let (home, oldest) = (self.home.expect("idempotent"), self.pending.front());
        oldest.is_some_and(|one| oracle.may_refuse(home, &one.ids))
    }

    fn batch(&mut self, site: &Site, partition: Partition) -> Batch {
        let keyed = site.compacts(partition);
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
            let most = site.plan.value_bytes_max >> self.rng.range(0, 6);
            let len = self.rng.range(0, most) as usize;
            let now = Timestamp(site.io.wall_clock());
            keys::append(&mut builder, id, len, keyed, now);
            ids.push(id);
        }
        site.oracle.borrow_mut().sent(partition, &ids);
        Batch {
            bytes: builder.build().expect("a batch"),
            ids,
        }
    }
}

/// Produces until the life ends.
pub async fn produce(site: Site, producer: Rc<RefCell<Producer>>) {
    // The harness runs one life at a time, so nobody else holds the producer.
    let mut producer = producer.borrow_mut();
    let who = format!("producer {}", producer.number);
    let mut rng = producer.rng.fork();
    while !site.closing.get() {
        if site.script.wants("produce") {
            site.at_work(&who, Some("a connection's worth of batches".into()));
            let mut links = Links::new(&site);
            let used = match producer.home {
                Some(home) => idempotent(&site, &mut producer, home, &mut links).await,
                None => plain(&site, &mut producer, &mut links).await,
            };
            // Answers may still be due on these.
            links.close().await;
            if used.is_ok() {
                let _ = links.look_around(&mut rng).await;
                links.close().await;
            }
            site.at_work(&who, None);
        }
        site.pause(&mut rng, 20_000).await;
    }
}

/// One connection's worth of plain batches: each is sent once, whatever becomes of it.
async fn plain(site: &Site, producer: &mut Producer, links: &mut Links) -> Result<(), Lost> {
    for _ in 0..producer.rng.range(1, 40) {
        let version = producer.rng.range(3, 12) as i16;
        let all = match producer.keyed {
            true => &site.compacted,
            false => &site.partitions,
        };
        let first = producer.rng.pick(all);
        let leader = site.leader(first);
        let near = all.iter().copied();
        let near: Vec<Partition> = near.filter(|one| site.leader(*one) == leader).collect();
        let connection = links.to(leader).await?;
        let mut window = Vec::new();
        for _ in 0..producer.rng.range(1, 5) {
            let acks = producer.rng.pick(&[0, 1, 1, -1, -1]);
            let partition = producer.rng.pick(&near);
            let batch = producer.batch(site, partition);
            let id = send(connection, version, partition, acks, &batch.bytes).await?;
            if acks != 0 {
                window.push((id, partition, acks, batch.ids));
            }
        }
        let mut elsewhere = false;
        for (id, partition, acks, ids) in window {
            let (error, base) = answer(connection, version, id).await?;
            told(site, producer.number, partition, &ids, acks, (error, base));
            match error {
                0 => {}
                error if is_passing(error) => elsewhere = true,
                error => panic!("produce to {partition:?}: error {error}"),
            }
        }
        if elsewhere {
            return Ok(());
        }
        if site.closing.get() {
            return Ok(());
        }
        site.pause(&mut producer.rng, 8_000).await;
    }
    Ok(())
}

/// An answer has come.
fn told(
    site: &Site,
    who: u32,
    partition: Partition,
    ids: &[Id],
    acks: i16,
    (error, base): (i16, i64),
) {
    let now = site.io.now();
    story::tell(
        site.world.now(),
        format_args!(
            "producer {who}: {partition:?} numbers {} to {}, acks {acks}: offset {base}, error \
             {error}",
            ids[0].1,
            ids[ids.len() - 1].1
        ),
    );
    let mut oracle = site.oracle.borrow_mut();
    match error {
        0 => oracle.acknowledged(partition, base, ids, acks, now),
        error => oracle.refused(partition, error),
    }
}

/// One connection's worth of an idempotent producer's batches.
async fn idempotent(
    site: &Site,
    producer: &mut Producer,
    home: Partition,
    links: &mut Links,
) -> Result<(), Lost> {
    const IN_FLIGHT_MAX: usize = 5;
    let version = 9;
    let connection = links.leader(home).await?;
    for _ in 0..producer.rng.range(1, 30) {
        while producer.pending.len() < IN_FLIGHT_MAX && !producer.rng.one_in(3) {
            let batch = producer.batch(site, home);
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
        if take_answers(site, producer, home, connection, window).await? || site.closing.get() {
            return Ok(());
        }
        site.pause(&mut producer.rng, 10_000).await;
    }
    Ok(())
}

/// Whether one of them was refused.
async fn take_answers(
    site: &Site,
    producer: &mut Producer,
    home: Partition,
    connection: &mut Connection,
    window: Vec<i32>,
) -> Result<bool, Lost> {
    let mut failed = false;
    for id in window {
        let (error, base) = answer(connection, 9, id).await?;
        let ids = match producer.pending.front() {
            Some(batch) if !failed => batch.ids.clone(),
            _ => vec![(producer.number, u64::MAX)],
        };
        match error {
            0 if !failed => {
                told(site, producer.number, home, &ids, -1, (0, base));
                producer.pending.pop_front();
            }
            error if is_passing(error) => {
                if !failed {
                    told(site, producer.number, home, &ids, -1, (error, base));
                }
                failed = true;
            }
            0 | OUT_OF_ORDER_SEQUENCE if failed => {}
            OUT_OF_ORDER_SEQUENCE if producer.may_start_anew(&site.oracle.borrow()) => {
                story::tell(
                    site.world.now(),
                    format_args!(
                        "producer {}: out of order, as it may be; a new epoch",
                        producer.number
                    ),
                );
                producer.epoch += 1;
                producer.sequence = 0;
                producer.pending.clear();
                return Ok(true);
            }
            error => panic!(
                "idempotent produce to {home:?}: error {error} for numbers {} to {}",
                ids[0].1,
                ids[ids.len() - 1].1
            ),
        }
    }
    Ok(failed)
}
