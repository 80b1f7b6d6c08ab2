//! A topic that is made, written, deleted and made again: a new one has nothing of the old, and what
//! was acknowledged stays as long as the topic does.

use std::cell::RefCell;
use std::rc::Rc;

use odradek_engine::record::BatchBuilder;
use odradek_engine::types::Timestamp;

use crate::client::Lost;
use crate::fetch::{Isolation, fetch};
use crate::keys;
use crate::oracle::{Id, Partition};
use crate::plan::Rng;
use crate::requests::{answer, create_topic, delete_topic, earliest_and_latest, metadata, send};
use crate::site::{Links, Site, is_passing};
use crate::story;

const PARTITION: Partition = ("fleeting", 0);
const PRODUCER: u32 = 99;
const UNKNOWN_TOPIC: i16 = 3;
/// Another request, of which no answer came, was faster; as in Kafka.
const UNKNOWN_TOPIC_ID: i16 = 100;
const TOPIC_EXISTS: i16 = 36;

/// Whether the topic is there, as far as its owner can know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    No,
    Yes,
    /// It was to be made, and no answer came.
    Making,
    /// It was to be deleted, and no answer came.
    Deleting,
}

/// The topic's owner, over all lives.
pub struct Owner {
    rng: Rng,
    there: There,
    /// Records that were acknowledged durable, and those that may be there besides.
    kept: Vec<(i64, Id)>,
    /// The first number of this incarnation.
    first: u64,
    next: u64,
    /// The request to delete it may still be under way.
    asked_in_this_life: bool,
    pub deletions: u64,
}

impl Owner {
    pub fn new(rng: Rng) -> Owner {
        Owner {
            rng,
            there: There::No,
            kept: Vec::new(),
            first: 0,
            next: 0,
            asked_in_this_life: false,
            deletions: 0,
        }
    }

    fn begin(&mut self) {
        (self.there, self.first) = (There::Yes, self.next);
        self.kept.clear();
    }
}

/// Owns the topic until the life ends.
#[allow(clippy::await_holding_refcell_ref)] // one task holds an owner
pub async fn own(site: Site, owner: Rc<RefCell<Owner>>) {
    let mut owner = owner.borrow_mut();
    owner.asked_in_this_life = false;
    while !site.closing.get() {
        if site.script.wants("delete and make a topic") {
            site.at_work("owner", Some(format!("a topic that is {:?}", owner.there)));
            let mut links = Links::new(&site);
            let _ = one(&site, &mut owner, &mut links).await;
            links.close().await;
            site.at_work("owner", None);
        }
        site.pause(&mut owner.rng, 20_000).await;
    }
}

async fn one(site: &Site, owner: &mut Owner, links: &mut Links) -> Result<(), Lost> {
    let shard = owner.rng.range(0, u64::from(site.plan.shards) - 1) as u32;
    let connection = links.to(shard).await?;
    let told = metadata(connection, PARTITION.0, false).await?;
    let there = match told.error {
        UNKNOWN_TOPIC => false,
        error if error == 0 || is_passing(error) => true,
        error => panic!("Metadata of {PARTITION:?}: error {error}"),
    };
    match (owner.there, there) {
        (There::Yes, false) => panic!("{PARTITION:?} was made, and is not there"),
        (There::No, true) => panic!("{PARTITION:?} was deleted, and is there"),
        (There::Making, true) => owner.begin(),
        (There::Deleting, true) if owner.asked_in_this_life => {
            return remove(site, owner, links, shard).await;
        }
        (There::Deleting, true) => owner.there = There::Yes,
        (_, false) => owner.there = There::No,
        (There::Yes, true) => {}
    }
    if !there {
        owner.there = There::Making;
        let config = ("internal.segment.bytes", "2000");
        let error = create_topic(connection, PARTITION.0, config).await?;
        story::tell(
            site.world.now(),
            format_args!("{PARTITION:?} is made: error {error}"),
        );
        match error {
            0 => owner.begin(),
            error if error == TOPIC_EXISTS || is_passing(error) => {}
            error => panic!("CreateTopics {PARTITION:?}: error {error}"),
        }
        return Ok(());
    }
    let Some(leader) = told
        .partitions
        .first()
        .and_then(|p| site.shard_of(p.leader))
    else {
        return Ok(());
    };
    check(site, owner, links, leader).await?;
    write(site, owner, links, leader).await?;
    match owner.rng.one_in(3) {
        true => remove(site, owner, links, shard).await,
        false => Ok(()),
    }
}

async fn remove(site: &Site, owner: &mut Owner, links: &mut Links, shard: u32) -> Result<(), Lost> {
    let connection = links.to(shard).await?;
    (owner.there, owner.asked_in_this_life) = (There::Deleting, true);
    let error = delete_topic(connection, PARTITION.0).await?;
    story::tell(
        site.world.now(),
        format_args!("{PARTITION:?} is deleted: error {error}"),
    );
    match error {
        0 => {
            owner.there = There::No;
            owner.deletions += 1;
        }
        error if [UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID].contains(&error) || is_passing(error) => {}
        error => panic!("DeleteTopics {PARTITION:?}: error {error}"),
    }
    Ok(())
}

/// What was acknowledged is there, and nothing of an earlier incarnation.
async fn check(site: &Site, owner: &mut Owner, links: &mut Links, leader: u32) -> Result<(), Lost> {
    let connection = links.to(leader).await?;
    let Ok((start, end)) = earliest_and_latest(connection, PARTITION).await? else {
        return Ok(());
    };
    assert_eq!(start, 0, "{PARTITION:?} begins elsewhere");
    let mut found = Vec::new();
    while (found.len() as i64) < end {
        let next = found.len() as i64;
        let from = [(PARTITION, next)];
        let isolation = Isolation::Uncommitted;
        let slices = fetch(connection, &[], &from, isolation, &mut owner.rng, 0).await?;
        let slice = &slices[0];
        if is_passing(slice.error) || slice.records.is_empty() {
            return Ok(());
        }
        assert!(slice.damage.is_none(), "{PARTITION:?}: {:?}", slice.damage);
        found.extend(slice.records.iter().copied());
    }
    for (at, (offset, id)) in found.iter().enumerate() {
        assert_eq!(*offset, at as i64, "{PARTITION:?}: offsets are contiguous");
        assert!(
            id.0 == PRODUCER && id.1 >= owner.first,
            "{PARTITION:?} offset {offset} holds {id:?} of an earlier incarnation"
        );
    }
    if site.plan.durable {
        for kept in &owner.kept {
            assert!(
                found.contains(kept),
                "{PARTITION:?} has lost {kept:?}: it ends at {end}"
            );
        }
    }
    Ok(())
}

async fn write(site: &Site, owner: &mut Owner, links: &mut Links, leader: u32) -> Result<(), Lost> {
    let connection = links.to(leader).await?;
    for _ in 0..owner.rng.range(1, 6) {
        let mut builder = BatchBuilder::new();
        let id = (PRODUCER, owner.next);
        owner.next += 1;
        let len = owner.rng.range(0, 900) as usize;
        let now = Timestamp(site.io.wall_clock());
        keys::append(&mut builder, id, len, false, now);
        let bytes = builder.build().expect("a batch");
        let sent = send(connection, 9, PARTITION, -1, &bytes).await?;
        let (error, base) = answer(connection, 9, sent).await?;
        story::tell(
            site.world.now(),
            format_args!("{PARTITION:?} takes {id:?}: offset {base}, error {error}"),
        );
        match error {
            0 => owner.kept.push((base, id)),
            error if is_passing(error) || error == UNKNOWN_TOPIC => return Ok(()),
            error => panic!("produce to {PARTITION:?}: error {error}"),
        }
    }
    Ok(())
}
