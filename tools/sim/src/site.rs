//! What every client knows: where the node is, who leads what, and whom to tell what was promised.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::Io;
use odradek_engine::io::sim::SimWorld;

use crate::client::{Connection, Lost};
use crate::oracle::{Oracle, Partition};
use crate::plan::{Plan, Rng};
use crate::requests;
use crate::script::Script;

/// Error codes after which a client looks for the leader again and goes on.
const PASSING: [i16; 9] = [5, 6, 7, 8, 14, 15, 16, 41, STORAGE];
pub const STORAGE: i16 = 56;

/// See the module.
#[derive(Clone)]
pub struct Site {
    pub io: Io,
    pub world: SimWorld,
    pub plan: Rc<Plan>,
    pub script: Rc<Script>,
    pub oracle: Rc<RefCell<Oracle>>,
    pub partitions: Rc<Vec<Partition>>,
    /// Those that transactions write to, and those that are compacted.
    pub transactional: Rc<Vec<Partition>>,
    pub compacted: Rc<Vec<Partition>>,
    leaders: Rc<RefCell<BTreeMap<Partition, u32>>>,
    /// All pauses are so many times as long.
    pub pace: u64,
    /// Clients are to finish what they are at.
    pub closing: Rc<Cell<bool>>,
    /// What each client at work waits for, and since when.
    at_work: Rc<RefCell<BTreeMap<String, (u64, String)>>>,
}

impl Site {
    pub fn new(
        io: Io,
        world: SimWorld,
        plan: Rc<Plan>,
        script: Rc<Script>,
        oracle: Rc<RefCell<Oracle>>,
        pace: u64,
    ) -> Site {
        Site {
            io,
            world,
            partitions: Rc::new(plan.partitions(|_| true)),
            transactional: Rc::new(plan.partitions(|topic| topic.transactional)),
            compacted: Rc::new(plan.partitions(|topic| topic.compacts)),
            plan,
            script,
            oracle,
            leaders: Rc::default(),
            pace,
            closing: Rc::default(),
            at_work: Rc::default(),
        }
    }

    /// Where a shard is reached.
    pub fn address(&self, shard: u32) -> SocketAddr {
        let port = match self.has_ports() {
            true => 19_092 + shard as u16,
            false => 9092,
        };
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Whether each shard has an address of its own.
    pub fn has_ports(&self) -> bool {
        self.plan.shards > 1 && !self.plan.settings.one_address()
    }

    /// The shard that a broker's id stands for.
    pub fn shard_of(&self, broker: i32) -> Option<u32> {
        (0..self.plan.shards).find(|shard| self.plan.settings.broker_id(*shard) == broker)
    }

    /// Whether a partition's topic is compacted.
    pub fn compacts(&self, partition: Partition) -> bool {
        self.compacted.contains(&partition)
    }

    /// Who leads a partition, as far as is known.
    pub fn leader(&self, partition: Partition) -> u32 {
        *self.leaders.borrow().get(&partition).unwrap_or(&0)
    }

    /// Asks who leads what.
    pub async fn look_around(&self, connection: &mut Connection) -> Result<(), Lost> {
        for topic in &self.plan.topics {
            let found = requests::metadata(connection, topic.name, false).await?;
            for one in found.partitions {
                if let Some(shard) = self.shard_of(one.leader) {
                    self.leaders
                        .borrow_mut()
                        .insert((topic.name, one.index), shard);
                }
            }
        }
        Ok(())
    }

    pub async fn pause(&self, rng: &mut Rng, max_us: u64) {
        let micros = rng.range(1, max_us) * self.pace;
        self.io.sleep(Duration::from_micros(micros)).await;
    }

    /// A client is at work on something; `None`: at nothing.
    pub fn at_work(&self, who: &str, what: Option<String>) {
        let mut at_work = self.at_work.borrow_mut();
        match what {
            Some(what) => at_work.insert(who.to_owned(), (self.io.now(), what)),
            None => at_work.remove(who),
        };
    }

    /// Who still waits for something.
    pub fn waiting(&self) -> Vec<String> {
        let at_work = self.at_work.borrow();
        let line = |(who, (since, what)): (&String, &(u64, String))| {
            format!("{who} since {} ms: {what}", since / 1_000_000)
        };
        at_work.iter().map(line).collect()
    }
}

/// Whether an answer says that another try may do, or that storage has failed.
pub fn is_passing(error: i16) -> bool {
    PASSING.contains(&error)
}

/// A client's connections, one a shard.
pub struct Links {
    site: Site,
    open: BTreeMap<u32, Connection>,
}

impl Links {
    pub fn new(site: &Site) -> Links {
        Links {
            site: site.clone(),
            open: BTreeMap::new(),
        }
    }

    /// The connection to a shard, opened if need be.
    pub async fn to(&mut self, shard: u32) -> Result<&mut Connection, Lost> {
        if !self.open.contains_key(&shard) {
            let address = self.site.address(shard);
            let connection = Connection::open(&self.site.io, address).await?;
            self.open.insert(shard, connection);
        }
        Ok(self.open.get_mut(&shard).expect("just made sure"))
    }

    /// The connection to a partition's leader.
    pub async fn leader(&mut self, partition: Partition) -> Result<&mut Connection, Lost> {
        let shard = self.site.leader(partition);
        self.to(shard).await
    }

    /// Asks any shard who leads what.
    pub async fn look_around(&mut self, rng: &mut Rng) -> Result<(), Lost> {
        let shard = rng.range(0, u64::from(self.site.plan.shards) - 1) as u32;
        let site = self.site.clone();
        site.look_around(self.to(shard).await?).await
    }

    /// Closes all.
    pub async fn close(&mut self) {
        for connection in std::mem::take(&mut self.open).into_values() {
            connection.close().await;
        }
    }
}
