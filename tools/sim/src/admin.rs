//! Administrators: records deleted, partitions moved, settings changed.

use std::cell::RefCell;
use std::rc::Rc;

use crate::client::Lost;
use crate::oracle::Partition;
use crate::plan::Rng;
use crate::requests::{alter_topic, delete_records, reassign};
use crate::site::{Links, Site, is_passing};
use crate::story;

const OUT_OF_RANGE: i16 = 1;
/// The topic whose records are deleted, and a setting of which changes.
const CUT: &str = "cut";
const SETTING: &str = "delete.retention.ms";
const NONE: i64 = -1;

/// What an administrator remembers over all lives.
pub struct Admin {
    rng: Rng,
    /// The setting's value as it was answered last.
    setting: i64,
    /// Those asked for in this life of which no answer came: any of them may be carried out yet.
    doubtful: Vec<i64>,
    pub moves: u64,
    pub deletions: u64,
    pub changes: u64,
}

impl Admin {
    pub fn new(rng: Rng) -> Admin {
        Admin {
            rng,
            setting: NONE,
            doubtful: Vec::new(),
            moves: 0,
            deletions: 0,
            changes: 0,
        }
    }

    /// The setting that a start shows; one that was answered is kept.
    pub fn shown(&mut self, value: Option<i64>) {
        let value = value.unwrap_or(NONE);
        let (answered, doubtful) = (self.setting, &self.doubtful);
        assert!(
            value == answered || doubtful.contains(&value),
            "{SETTING} of {CUT} is {value}; {answered} was answered, no answer came for {doubtful:?}"
        );
        self.setting = value;
        self.doubtful.clear();
    }

    /// The setting's name, and its topic's.
    pub fn setting() -> (&'static str, &'static str) {
        (CUT, SETTING)
    }
}

/// Administers until the life ends.
#[allow(clippy::await_holding_refcell_ref)] // one task holds an administrator
pub async fn administer(site: Site, admin: Rc<RefCell<Admin>>) {
    let mut admin = admin.borrow_mut();
    while !site.closing.get() {
        let mut links = Links::new(&site);
        while !site.closing.get() {
            site.at_work("administrator", Some("a request".into()));
            let done = one(&site, &mut admin, &mut links).await;
            site.at_work("administrator", None);
            if done.is_err() {
                break;
            }
            site.pause(&mut admin.rng, 12_000).await;
        }
        links.close().await;
        site.pause(&mut admin.rng, 5_000).await;
    }
}

async fn one(site: &Site, admin: &mut Admin, links: &mut Links) -> Result<(), Lost> {
    match admin.rng.range(0, 3) {
        0 if site.script.wants("delete records") => delete(site, admin, links).await,
        1 if site.script.wants("change a setting") => change(site, admin, links).await,
        2 | 3 if site.has_ports() && site.script.wants("move") => {
            relocate(site, admin, links).await
        }
        _ => Ok(()),
    }
}

async fn delete(site: &Site, admin: &mut Admin, links: &mut Links) -> Result<(), Lost> {
    let partition: Partition = (CUT, admin.rng.range(0, 1) as i32);
    let (start, end) = site.oracle.borrow().known(partition);
    let offset = match admin.rng.one_in(5) {
        // The high watermark.
        true => -1,
        false => admin.rng.range(start as u64, end.max(start) as u64) as i64,
    };
    let connection = links.leader(partition).await?;
    let (error, low) = delete_records(connection, partition, offset).await?;
    story::tell(
        site.world.now(),
        format_args!("DeleteRecords {partition:?} before {offset}: {low}, error {error}"),
    );
    let mut oracle = site.oracle.borrow_mut();
    match error {
        0 => {
            assert!(low >= offset, "{partition:?} begins at {low}, not {offset}");
            oracle.deleted(partition, low);
            admin.deletions += 1;
        }
        OUT_OF_RANGE if oracle.is_spoiled(partition) => {}
        error if is_passing(error) => oracle.refused(partition, error),
        error => panic!("DeleteRecords {partition:?} before {offset}: error {error}"),
    }
    Ok(())
}

async fn change(site: &Site, admin: &mut Admin, links: &mut Links) -> Result<(), Lost> {
    let value = admin.rng.range(1, 1_000_000) as i64;
    let shard = admin.rng.range(0, u64::from(site.plan.shards) - 1) as u32;
    admin.doubtful.push(value);
    let setting = (SETTING, &*value.to_string());
    let error = alter_topic(links.to(shard).await?, CUT, setting).await?;
    story::tell(
        site.world.now(),
        format_args!("{SETTING} of {CUT} is set to {value}: error {error}"),
    );
    match error {
        0 => {
            admin.setting = value;
            admin.doubtful.retain(|doubtful| *doubtful != value);
            admin.changes += 1;
            Ok(())
        }
        // It may have happened.
        error if is_passing(error) => Err(Lost),
        error => panic!("IncrementalAlterConfigs: error {error}"),
    }
}

async fn relocate(site: &Site, admin: &mut Admin, links: &mut Links) -> Result<(), Lost> {
    let partition = admin.rng.pick(&site.partitions);
    let shards = u64::from(site.plan.shards);
    let to = site
        .plan
        .settings
        .broker_id(admin.rng.range(0, shards - 1) as u32);
    let shard = admin.rng.range(0, shards - 1) as u32;
    let error = reassign(links.to(shard).await?, partition, to).await?;
    story::tell(
        site.world.now(),
        format_args!("{partition:?} is to move to broker {to}: error {error}"),
    );
    match error {
        0 => admin.moves += 1,
        error if is_passing(error) => return Err(Lost),
        error => panic!("AlterPartitionReassignments: error {error}"),
    }
    links.look_around(&mut admin.rng).await
}
