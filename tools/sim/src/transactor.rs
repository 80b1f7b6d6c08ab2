//! Transactional producers: they write to several partitions and commit a group's offset as one,
//! commit it, abort it, leave it to its timeout, or are fenced by another one of the same id. They live
//! on when the node dies, and go on with what they had begun.

// One task holds a transactor; where the oracle is borrowed, no await follows.
#![allow(clippy::await_holding_refcell_ref)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use odradek_engine::record::BatchBuilder;
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::client::Lost;
use crate::ending::{Ending, end};
use crate::keys;
use crate::ledger::Txn;
use crate::oracle::{Id, Partition};
use crate::plan::Rng;
use crate::requests::{GROUP, TRANSACTION, committed, coordinator};
use crate::site::{Links, Site, is_passing};
use crate::story;
use crate::transactional::{self, Identity, Protocol, init};
use crate::writing::{commit_offset, write};

/// What groups commit for.
pub const PARTITION: Partition = ("plain", 0);

const NOT_ENOUGH_REPLICAS: i16 = 19;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
/// The transaction has come to an end without its producer: its time was over, or another one has
/// come. INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, TRANSACTION_ABORTABLE.
/// INVALID_TXN_STATE may not come: a Java producer does not survive it.
const OVER: [i16; 4] = [47, 49, 90, 120];

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Done,
    /// Not now.
    Later,
    /// The transaction is over, though its producer has not ended it.
    Over,
}

/// What an answer means; panics for one that may not come.
pub fn step_of(error: i16, what: &str) -> Step {
    match error {
        0 => Step::Done,
        CONCURRENT_TRANSACTIONS | NOT_ENOUGH_REPLICAS => Step::Later,
        error if is_passing(error) => Step::Later,
        error if OVER.contains(&error) => Step::Over,
        error => panic!("{what}: error {error}"),
    }
}

/// A transaction that is under way.
pub struct Open {
    pub txn: Txn,
    /// What was added, before KIP-890.
    pub joined: BTreeSet<Partition>,
    /// Something was answered to be part of it.
    pub stored: bool,
    /// Something was sent of which no answer came, or a bad one: it can only be aborted.
    pub doubtful: bool,
}

/// A producer's memory, over all lives.
pub struct Transactor {
    pub number: u32,
    pub rng: Rng,
    next: u64,
    /// What its group commits next.
    pub offset: i64,
    pub identity: Option<Identity>,
    pub open: Option<Open>,
    /// An end that was asked for, and not answered.
    pub ending: Option<Ending>,
    pub fenced: u64,
    /// Transactions that ended by themselves.
    pub lapsed: u64,
    pub offsets: u64,
}

/// The transactional id of a producer.
pub fn id_of(number: u32) -> String {
    format!("transactor-{number}")
}

/// Its group.
pub fn group_of(number: u32) -> String {
    format!("group-of-transactor-{number}")
}

impl Transactor {
    pub fn new(number: u32, rng: Rng) -> Transactor {
        Transactor {
            number,
            rng,
            next: 0,
            offset: 0,
            identity: None,
            open: None,
            ending: None,
            fenced: 0,
            lapsed: 0,
            offsets: 0,
        }
    }

    /// It forgets its transaction, and who it was.
    pub fn abandon(&mut self) {
        (self.identity, self.open, self.ending) = (None, None, None);
    }

    /// A batch for a partition, and its records.
    pub fn batch(
        &mut self,
        site: &Site,
        who: &Identity,
        partition: Partition,
    ) -> (Vec<u8>, Vec<Id>) {
        let sequence = who.sequences.get(&partition).copied().unwrap_or(0);
        let mut builder = BatchBuilder::new().transactional().producer(
            ProducerId(who.producer),
            ProducerEpoch(who.epoch),
            Sequence(sequence),
        );
        let now = Timestamp(site.io.wall_clock());
        let mut ids = Vec::new();
        for _ in 0..self.rng.range(1, 3) {
            let id = (self.number, self.next);
            self.next += 1;
            let len = self.rng.range(0, site.plan.value_bytes_max >> 3) as usize;
            keys::append(&mut builder, id, len, site.compacts(partition), now);
            ids.push(id);
        }
        (builder.build().expect("a batch"), ids)
    }
}

/// Transacts until the life ends.
pub async fn transact(site: Site, transactor: Rc<RefCell<Transactor>>) {
    let mut me = transactor.borrow_mut();
    let who = id_of(me.number);
    while !site.closing.get() {
        if site.script.wants("transact") {
            site.at_work(&who, Some("some transactions".into()));
            let mut links = Links::new(&site);
            if some(&site, &mut me, &mut links).await.is_ok() {
                let _ = links.look_around(&mut me.rng).await;
            }
            links.close().await;
            site.at_work(&who, None);
        }
        site.pause(&mut me.rng, 20_000).await;
    }
}

async fn some(site: &Site, me: &mut Transactor, links: &mut Links) -> Result<(), Lost> {
    let _ = look_at_offset(site, me.number, links, &mut me.rng).await?;
    for _ in 0..me.rng.range(1, 8) {
        if one(site, me, links).await? == Step::Later || site.closing.get() {
            return Ok(());
        }
        site.pause(&mut me.rng, 6_000).await;
    }
    Ok(())
}

/// The shard that coordinates a group or a transactional id.
pub async fn coordinator_of(
    site: &Site,
    links: &mut Links,
    rng: &mut Rng,
    kind: i8,
    key: &str,
) -> Result<Option<u32>, Lost> {
    let shard = rng.range(0, u64::from(site.plan.shards) - 1) as u32;
    match coordinator(links.to(shard).await?, kind, key).await? {
        Ok(broker) => Ok(Some(site.shard_of(broker).expect("a broker of this node"))),
        Err(error) if is_passing(error) => Ok(None),
        Err(error) => panic!("{key}: FindCoordinator: error {error}"),
    }
}

/// What its group has committed is what the transactions say; whether that can be told now.
pub async fn look_at_offset(
    site: &Site,
    number: u32,
    links: &mut Links,
    rng: &mut Rng,
) -> Result<bool, Lost> {
    let group = group_of(number);
    let Some(shard) = coordinator_of(site, links, rng, GROUP, &group).await? else {
        return Ok(false);
    };
    match committed(links.to(shard).await?, &group, PARTITION, true).await? {
        Ok(offset) => {
            let mut oracle = site.oracle.borrow_mut();
            if oracle.promises_transactions() {
                oracle.ledger.offset_is_read(number, offset);
            }
            Ok(true)
        }
        Err(UNSTABLE_OFFSET_COMMIT) => Ok(false),
        Err(error) if is_passing(error) => Ok(false),
        Err(error) => panic!("{group}: OffsetFetch: error {error}"),
    }
}

/// Becomes the one producer of an id, if that can be now.
pub async fn begin(
    site: &Site,
    number: u32,
    links: &mut Links,
    rng: &mut Rng,
) -> Result<Option<Identity>, Lost> {
    let id = id_of(number);
    let Some(shard) = coordinator_of(site, links, rng, TRANSACTION, &id).await? else {
        return Ok(None);
    };
    let timeout_ms = rng.pick(&[20, 200, 5_000, 60_000]);
    let begun = init(links.to(shard).await?, &id, timeout_ms).await?;
    story::tell(
        site.world.now(),
        format_args!("{id} begins, its transactions last {timeout_ms} ms: {begun:?}"),
    );
    match begun {
        Ok((producer, epoch)) => Ok(Some(Identity {
            transactional_id: id,
            producer,
            epoch,
            protocol: rng.pick(&[Protocol::Asking, Protocol::Joining]),
            sequences: BTreeMap::new(),
        })),
        Err(error) => {
            let step = step_of(error, "InitProducerId");
            assert_eq!(step, Step::Later, "InitProducerId of {id}: error {error}");
            Ok(None)
        }
    }
}

/// Writes some, and maybe ends it.
async fn one(site: &Site, me: &mut Transactor, links: &mut Links) -> Result<Step, Lost> {
    if me.ending.is_some() {
        // The answer got lost with the node, or with the connection.
        return match me.rng.one_in(3) {
            true => {
                me.abandon();
                Ok(Step::Done)
            }
            false => end(site, me, links).await,
        };
    }
    if me.identity.is_none() {
        me.open = None;
        me.identity = begin(site, me.number, links, &mut me.rng).await?;
        if me.identity.is_none() {
            return Ok(Step::Later);
        }
    }
    if me.open.as_ref().is_some_and(|open| open.doubtful) {
        return match me.rng.one_in(3) {
            true => {
                me.abandon();
                Ok(Step::Done)
            }
            false => decide(site, me, links, false).await,
        };
    }
    if me.open.is_none() {
        me.open = Some(Open {
            txn: site.oracle.borrow_mut().ledger.begin(me.number),
            joined: BTreeSet::new(),
            stored: false,
            doubtful: false,
        });
    }
    let mut step = write(site, me, links).await?;
    if step == Step::Done
        && me.rng.one_in(3)
        && site.script.wants("commit an offset in a transaction")
    {
        step = commit_offset(site, me, links).await?;
    }
    match step {
        Step::Done => {}
        Step::Later => return Ok(step),
        Step::Over => {
            me.lapsed += 1;
            me.abandon();
            return Ok(Step::Done);
        }
    }
    match me.rng.range(0, 11) {
        // More of it later.
        0 => Ok(Step::Done),
        1 if site.script.wants("abandon a transaction") => {
            me.abandon();
            Ok(Step::Done)
        }
        2 => {
            // Its time may be over by then.
            site.pause(&mut me.rng, 100_000).await;
            Ok(Step::Done)
        }
        3 if site.script.wants("fence a producer") => fence(site, me, links).await,
        4 | 5 => decide(site, me, links, false).await,
        _ => decide(site, me, links, true).await,
    }
}

/// Ends the transaction.
async fn decide(
    site: &Site,
    me: &mut Transactor,
    links: &mut Links,
    commit: bool,
) -> Result<Step, Lost> {
    let (Some(open), Some(identity)) = (me.open.take(), me.identity.take()) else {
        return Ok(Step::Done);
    };
    if !open.stored && !open.doubtful {
        // Nothing to be ended; it goes on with the next.
        me.identity = Some(identity);
        return Ok(Step::Done);
    }
    if commit {
        site.oracle.borrow_mut().ledger.asked(open.txn);
    }
    // Of a batch that may or may not be stored the sequence is not known.
    let stays = !open.doubtful || identity.protocol == Protocol::Joining;
    me.ending = Some(Ending {
        identity,
        txn: open.txn,
        commit,
        maybe: false,
        stays,
    });
    end(site, me, links).await
}

/// Another one of the same id begins; from then on nothing of this one is taken.
async fn fence(site: &Site, me: &mut Transactor, links: &mut Links) -> Result<Step, Lost> {
    let (Some(old), Some(open)) = (me.identity.take(), me.open.take()) else {
        return Ok(Step::Later);
    };
    for _ in 0..40 {
        me.identity = begin(site, me.number, links, &mut me.rng).await?;
        if me.identity.is_some() {
            break;
        }
        site.pause(&mut me.rng, 3_000).await;
    }
    if me.identity.is_none() {
        return Ok(Step::Later);
    }
    me.fenced += 1;
    let partition = me.rng.pick(&site.transactional);
    let (bytes, ids) = me.batch(site, &old, partition);
    site.oracle.borrow_mut().ledger.sends(open.txn, &ids);
    let connection = links.leader(partition).await?;
    let sent = transactional::send(connection, &old, &[(partition, &bytes)]).await?;
    let told = transactional::answers(connection, &old, sent, &[partition]).await?[0];
    story::tell(
        site.world.now(),
        format_args!("the fenced {old:?} writes to {partition:?}: {told:?}"),
    );
    let promised = site.oracle.borrow().promises_transactions();
    assert!(
        told.0 != 0 || !promised,
        "a batch of {old:?}, which is fenced, is stored in {partition:?} at {}",
        told.1
    );
    let found = coordinator_of(site, links, &mut me.rng, TRANSACTION, &old.transactional_id);
    let Some(shard) = found.await? else {
        return Ok(Step::Later);
    };
    let ended = transactional::end(links.to(shard).await?, &old, true).await?;
    assert!(
        ended.is_err() || !promised,
        "{old:?}, which is fenced, has committed transaction {}",
        open.txn
    );
    Ok(Step::Done)
}
