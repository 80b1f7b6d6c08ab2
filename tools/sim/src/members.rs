//! A group's members: they join, are told their share, say that they are alive, leave, or are not
//! heard of any more. They outlive the node, and go on as who they were.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::client::{Connection, Lost};
use crate::membership::{Badge, heartbeat, join, leave, sync};
use crate::oracle::Partition;
use crate::plan::Rng;
use crate::requests::{GROUP, commit};
use crate::shares::{Shares, share_out};
use crate::site::{Links, Site, is_passing};
use crate::story;
use crate::transactor::coordinator_of;

const NAME: &str = "group-of-members";
/// What the group has committed, so that it is not forgotten while it has no members.
const PARTITION: Partition = ("plain", 0);

const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

/// What all members know together: theirs are these shares, once the group is there for good.
#[derive(Default)]
pub struct Company {
    kept: bool,
    pub shares: Shares,
    pub left: u64,
}

/// One member, over all lives.
pub struct Member {
    number: u32,
    rng: Rng,
    company: Rc<RefCell<Company>>,
    /// The id that it was given.
    id: String,
    /// Where it stands; none: it must join.
    badge: Option<Badge>,
}

impl Member {
    pub fn new(number: u32, rng: Rng, company: &Rc<RefCell<Company>>) -> Member {
        Member {
            number,
            rng,
            company: company.clone(),
            id: String::new(),
            badge: None,
        }
    }

    /// It is nobody any more.
    fn forget(&mut self) {
        (self.id, self.badge) = (String::new(), None);
    }

    /// What an error means; panics for one that may not come.
    fn take(&mut self, error: i16, what: &str) {
        match error {
            UNKNOWN_MEMBER_ID => self.forget(),
            ILLEGAL_GENERATION | REBALANCE_IN_PROGRESS => self.badge = None,
            error => assert!(is_passing(error), "{what} of {}: error {error}", self.id),
        }
    }
}

/// Takes part until the life ends.
#[allow(clippy::await_holding_refcell_ref)] // one task holds a member
pub async fn take_part(site: Site, member: Rc<RefCell<Member>>) {
    let mut me = member.borrow_mut();
    let who = format!("member {}", me.number);
    while !site.closing.get() {
        if site.script.wants("take part in a group") {
            site.at_work(&who, Some("a connection's worth of membership".into()));
            let mut links = Links::new(&site);
            let _ = some(&site, &mut me, &mut links).await;
            links.close().await;
            site.at_work(&who, None);
        }
        site.pause(&mut me.rng, 10_000).await;
    }
}

async fn some(site: &Site, me: &mut Member, links: &mut Links) -> Result<(), Lost> {
    let Some(shard) = coordinator_of(site, links, &mut me.rng, GROUP, NAME).await? else {
        return Ok(());
    };
    let connection = links.to(shard).await?;
    if !is_kept(me, connection).await? {
        return Ok(());
    }
    for _ in 0..me.rng.range(1, 20) {
        let Some(badge) = me.badge.clone() else {
            if !come_in(site, me, connection).await? || site.closing.get() {
                return Ok(());
            }
            continue;
        };
        site.pause(&mut me.rng, 8_000).await;
        if site.closing.get() {
            return Ok(());
        }
        match me.rng.range(0, 19) {
            0 if site.script.wants("leave a group") => {
                let error = leave(connection, NAME, &badge.member).await?;
                tell(site, &badge, "leaves", error);
                match error {
                    0 => {
                        me.company.borrow_mut().left += 1;
                        me.forget();
                    }
                    error => me.take(error, "LeaveGroup"),
                }
            }
            // It is not heard of any more.
            1 => me.forget(),
            _ => {
                let asked = me.company.borrow().shares.generation();
                let error = heartbeat(connection, NAME, &badge).await?;
                match error {
                    0 => {
                        let company = me.company.borrow();
                        company
                            .shares
                            .stands(&badge.member, badge.generation, asked);
                    }
                    error => me.take(error, "Heartbeat"),
                }
            }
        }
    }
    Ok(())
}

fn tell(site: &Site, badge: &Badge, does: &str, error: i16) {
    story::tell(
        site.world.now(),
        format_args!(
            "{} {does} in generation {}: error {error}",
            badge.member, badge.generation
        ),
    );
}

/// Sees to it that the group has an offset committed, before it has members.
async fn is_kept(me: &Member, connection: &mut Connection) -> Result<bool, Lost> {
    if me.company.borrow().kept {
        return Ok(true);
    }
    let error = commit(connection, NAME, PARTITION, 0).await?;
    // Another member was faster, and is in already.
    let kept = error == 0 || me.company.borrow().kept;
    let may = kept || is_passing(error);
    assert!(may, "{NAME}: OffsetCommit: error {error}");
    me.company.borrow_mut().kept = kept;
    Ok(kept)
}

/// Joins, and asks for its share; whether it was told.
async fn come_in(site: &Site, me: &mut Member, connection: &mut Connection) -> Result<bool, Lost> {
    let timeouts_ms = (
        me.rng.pick(&[30, 200, 2_000]),
        me.rng.pick(&[20, 100, 2_000]),
    );
    let asked = me.company.borrow().shares.generation();
    let mut joined = join(connection, NAME, &me.id, timeouts_ms).await?;
    if joined.error == MEMBER_ID_REQUIRED {
        me.id.clone_from(&joined.badge.member);
        joined = join(connection, NAME, &me.id, timeouts_ms).await?;
    }
    tell(site, &joined.badge, "joins", joined.error);
    if joined.error != 0 {
        me.take(joined.error, "JoinGroup");
        return Ok(false);
    }
    let badge = joined.badge;
    me.id.clone_from(&badge.member);
    {
        let company = me.company.borrow();
        let (shares, generation) = (&company.shares, badge.generation);
        shares.stands(&badge.member, generation, asked);
    }
    let assignments = share_out(&joined.led, badge.generation);
    let told = sync(connection, NAME, &badge, &assignments).await?;
    tell(
        site,
        &badge,
        "syncs",
        told.as_ref().err().copied().unwrap_or(0),
    );
    match told {
        Ok(share) => {
            let mut company = me.company.borrow_mut();
            company.shares.told(&badge.member, badge.generation, &share);
        }
        Err(error) => {
            me.take(error, "SyncGroup");
            return Ok(false);
        }
    }
    me.badge = Some(badge);
    Ok(true)
}

/// All is calm, and the members are not heard of any more: whoever comes is told its share, in the
/// end. Not if `failed` says that storage has.
pub async fn judge_group(
    site: &Site,
    company: &Rc<RefCell<Company>>,
    rng: &mut Rng,
    failed: impl Fn() -> bool,
) {
    let mut me = Member::new(u32::MAX, rng.fork(), company);
    let mut links = Links::new(site);
    let mut told = false;
    for _ in 0..2_000 {
        if told || failed() {
            break;
        }
        let found = coordinator_of(site, &mut links, &mut me.rng, GROUP, NAME).await;
        if let Some(shard) = found.expect("the connection holds") {
            let connection = links.to(shard).await.expect("the connection holds");
            let kept = is_kept(&me, connection).await;
            if kept.expect("the connection holds") {
                let come = come_in(site, &mut me, connection).await;
                told = come.expect("the connection holds");
            }
        }
        site.io.sleep(Duration::from_millis(20)).await;
    }
    links.close().await;
    assert!(told || failed(), "nobody comes to be a member of {NAME}");
}
