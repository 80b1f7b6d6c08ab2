//! What a transactional producer writes: batches to several partitions, and how far its group has come.

// Where the oracle is borrowed, no await follows.
#![allow(clippy::await_holding_refcell_ref)]

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Lost;
use crate::oracle::{Id, Partition};
use crate::requests::{GROUP, TRANSACTION};
use crate::site::{Links, Site};
use crate::story;
use crate::transactional::{self, Protocol, add_offsets, add_partitions};
use crate::transactor::{PARTITION, Step, Transactor, coordinator_of, group_of, step_of};

const OUT_OF_ORDER_SEQUENCE: i16 = 45;

/// A batch: where it goes, its bytes, its records.
type Sent = (Partition, Vec<u8>, Vec<Id>);

/// Adds partitions to the transaction, where it must be done before they are written to.
async fn join(
    site: &Site,
    me: &mut Transactor,
    links: &mut Links,
    chosen: &BTreeSet<Partition>,
) -> Result<Step, Lost> {
    let (Some(who), Some(open)) = (me.identity.clone(), &me.open) else {
        return Ok(Step::Later);
    };
    let new: Vec<Partition> = chosen.difference(&open.joined).copied().collect();
    if who.protocol == Protocol::Joining || new.is_empty() {
        return Ok(Step::Done);
    }
    let mut step = Step::Later;
    for _ in 0..20 {
        let found = coordinator_of(site, links, &mut me.rng, TRANSACTION, &who.transactional_id);
        let Some(shard) = found.await? else {
            break;
        };
        let error = add_partitions(links.to(shard).await?, &who, &new).await?;
        step = step_of(error, "AddPartitionsToTxn");
        if step != Step::Later {
            break;
        }
        // The markers of the one before are on their way.
        site.pause(&mut me.rng, 3_000).await;
    }
    if let (Step::Done, Some(open)) = (step, &mut me.open) {
        open.joined.extend(new);
    }
    Ok(step)
}

/// One batch for each of some partitions.
pub async fn write(site: &Site, me: &mut Transactor, links: &mut Links) -> Result<Step, Lost> {
    let mut chosen = BTreeSet::new();
    for _ in 0..me.rng.range(1, 4) {
        chosen.insert(me.rng.pick(&site.transactional));
    }
    let step = join(site, me, links, &chosen).await?;
    let (Step::Done, Some(mut who), Some(open)) = (step, me.identity.clone(), &mut me.open) else {
        return Ok(step);
    };
    open.doubtful = true;
    let txn = open.txn;
    let mut by_leader: BTreeMap<u32, Vec<Sent>> = BTreeMap::new();
    for partition in chosen {
        let (bytes, ids) = me.batch(site, &who, partition);
        site.oracle.borrow_mut().ledger.sends(txn, &ids);
        let leader = site.leader(partition);
        by_leader
            .entry(leader)
            .or_default()
            .push((partition, bytes, ids));
    }
    let mut window = Vec::new();
    for (leader, batches) in &by_leader {
        let all: Vec<(Partition, &[u8])> = batches
            .iter()
            .map(|(partition, bytes, _)| (*partition, &bytes[..]))
            .collect();
        let sent = transactional::send(links.to(*leader).await?, &who, &all).await?;
        window.push((*leader, sent));
    }
    let mut all = Step::Done;
    for ((leader, sent), batches) in window.into_iter().zip(by_leader.values()) {
        let partitions: Vec<Partition> = batches.iter().map(|(partition, ..)| *partition).collect();
        let connection = links.to(leader).await?;
        let told = transactional::answers(connection, &who, sent, &partitions).await?;
        for ((partition, _, ids), (error, base)) in batches.iter().zip(told) {
            story::tell(
                site.world.now(),
                format_args!(
                    "{} writes {ids:?} to {partition:?} as producer {} epoch {}, transaction {txn}: \
                     offset {base}, error {error}",
                    who.transactional_id, who.producer, who.epoch
                ),
            );
            let mut oracle = site.oracle.borrow_mut();
            let forgot = error == OUT_OF_ORDER_SEQUENCE && !oracle.promises_transactions();
            let step = match forgot {
                true => Step::Over,
                false => step_of(error, "a transactional batch"),
            };
            match step {
                Step::Done => {
                    oracle.acknowledged(*partition, base, ids, -1, site.io.now());
                    oracle.ledger.stored(txn, *partition, base, ids);
                    *who.sequences.entry(*partition).or_default() += ids.len() as i32;
                }
                step => {
                    oracle.refused(*partition, error);
                    if all != Step::Over {
                        all = step;
                    }
                }
            }
        }
    }
    if let (Step::Done, Some(open)) = (all, &mut me.open) {
        (open.doubtful, open.stored) = (false, true);
        me.identity = Some(who);
    }
    Ok(all)
}

/// Commits the group's offset with the transaction.
pub async fn commit_offset(
    site: &Site,
    me: &mut Transactor,
    links: &mut Links,
) -> Result<Step, Lost> {
    let group = group_of(me.number);
    let (Some(who), Some(open)) = (me.identity.clone(), &mut me.open) else {
        return Ok(Step::Later);
    };
    let txn = open.txn;
    open.doubtful = true;
    if who.protocol == Protocol::Asking {
        let found = coordinator_of(site, links, &mut me.rng, TRANSACTION, &who.transactional_id);
        let Some(shard) = found.await? else {
            return Ok(Step::Later);
        };
        let error = add_offsets(links.to(shard).await?, &who, &group).await?;
        let step = step_of(error, "AddOffsetsToTxn");
        if step != Step::Done {
            return Ok(step);
        }
    }
    let found = coordinator_of(site, links, &mut me.rng, GROUP, &group);
    let Some(shard) = found.await? else {
        return Ok(Step::Later);
    };
    let offset = me.offset;
    me.offset += 1;
    site.oracle
        .borrow_mut()
        .ledger
        .commits_offset(txn, offset, false);
    let connection = links.to(shard).await?;
    let error = transactional::commit_offset(connection, &who, &group, PARTITION, offset).await?;
    story::tell(
        site.world.now(),
        format_args!("{group} commits {offset} in transaction {txn}: error {error}"),
    );
    let step = step_of(error, "TxnOffsetCommit");
    if let (Step::Done, Some(open)) = (step, &mut me.open) {
        site.oracle
            .borrow_mut()
            .ledger
            .commits_offset(txn, offset, true);
        (open.doubtful, open.stored) = (false, true);
        me.offsets += 1;
    }
    Ok(step)
}
