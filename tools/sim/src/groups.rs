//! Groups: what was committed is never forgotten.

use std::cell::RefCell;
use std::rc::Rc;

use crate::client::Lost;
use crate::oracle::Partition;
use crate::plan::Rng;
use crate::requests::{GROUP, commit, committed, coordinator};
use crate::site::{Links, Site, is_passing};
use crate::story;

/// Whom a commit is for.
const PARTITION: Partition = ("plain", 0);

/// A group's one committer, over all lives. Offsets that it commits only rise.
pub struct Committer {
    group: String,
    rng: Rng,
    /// The last one that was acknowledged, and the last one sent; -1 for none.
    acknowledged: i64,
    sent: i64,
    pub commits: u64,
}

impl Committer {
    pub fn new(number: u32, rng: Rng) -> Committer {
        Committer {
            group: format!("group-{number}"),
            rng,
            acknowledged: -1,
            sent: -1,
            commits: 0,
        }
    }
}

/// Commits until the life ends.
#[allow(clippy::await_holding_refcell_ref)] // one task holds a committer
pub async fn commit_forever(site: Site, committer: Rc<RefCell<Committer>>) {
    let mut committer = committer.borrow_mut();
    let who = committer.group.clone();
    while !site.closing.get() {
        if site.script.wants("commit") {
            site.at_work(&who, Some("a connection's worth of commits".into()));
            let mut links = Links::new(&site);
            let _ = some(&site, &mut committer, &mut links).await;
            links.close().await;
            site.at_work(&who, None);
        }
        site.pause(&mut committer.rng, 30_000).await;
    }
}

/// Looks what is committed, then commits some more.
async fn some(site: &Site, committer: &mut Committer, links: &mut Links) -> Result<(), Lost> {
    let shards = u64::from(site.plan.shards);
    let shard = committer.rng.range(0, shards - 1) as u32;
    let found = coordinator(links.to(shard).await?, GROUP, &committer.group).await?;
    let broker = match found {
        Ok(broker) => broker,
        Err(error) if is_passing(error) => return Ok(()),
        Err(error) => panic!("{}: FindCoordinator: error {error}", committer.group),
    };
    let shard = site.shard_of(broker).expect("a broker of this node");
    let connection = links.to(shard).await?;
    match committed(connection, &committer.group, PARTITION, false).await? {
        Ok(offset) => {
            let (from, to) = (committer.acknowledged, committer.sent);
            assert!(
                (from..=to).contains(&offset),
                "{} has committed {offset}; {from} was acknowledged, {to} sent",
                committer.group
            );
            // It was shown, so it stays.
            committer.acknowledged = offset;
        }
        Err(error) if is_passing(error) => return Ok(()),
        Err(error) => panic!("{}: OffsetFetch: error {error}", committer.group),
    }
    for _ in 0..committer.rng.range(1, 8) {
        committer.sent += committer.rng.range(1, 9) as i64;
        let offset = committer.sent;
        let error = commit(connection, &committer.group, PARTITION, offset).await?;
        story::tell(
            site.world.now(),
            format_args!("{} commits {offset}: error {error}", committer.group),
        );
        match error {
            0 => {
                committer.acknowledged = offset;
                committer.commits += 1;
            }
            error if is_passing(error) => return Ok(()),
            error => panic!("{}: OffsetCommit: error {error}", committer.group),
        }
        if site.closing.get() {
            return Ok(());
        }
        site.pause(&mut committer.rng, 5_000).await;
    }
    Ok(())
}
