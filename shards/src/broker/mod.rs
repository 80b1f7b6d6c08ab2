//! A shard as a broker: what its handlers reach.
//!
//! Absent on purpose: the handlers themselves, and any lock: a broker belongs to one thread.

mod boot;
mod checkpoints;
mod hosting;
mod quiet;
mod tasks;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::io::Io;
use odradek_engine::task::Spawner;
use odradek_wire::Uuid;

pub use self::boot::{Boot, BootError, Facts, start};
use self::checkpoints::Checkpoints;
use self::hosting::Slot;
pub use self::hosting::{Hosted, Unhosted};
pub use self::quiet::Quiet;
use crate::api::fetch_sessions::FetchSessions;
use crate::catalog::{Controller, Image};
use crate::config::Settings;
use crate::coordinators::Groups;
use crate::coordinators::producer_ids::ProducerIds;
use crate::net::Admission;
use crate::partition::{Ground, Notice};
use crate::runtime::Mailboxes;

/// Where a shard is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// See the module.
pub struct Broker {
    /// This shard, from 0.
    pub shard: u32,
    pub io: Io,
    pub spawner: Spawner,
    pub settings: Arc<Settings>,
    pub facts: Arc<Facts>,
    /// Every shard's advertised endpoint.
    pub endpoints: Arc<[Endpoint]>,
    pub mail: Mailboxes,
    /// Bytes of requests held at once.
    pub admission: Rc<Admission>,
    /// Open connections.
    pub connections: Cell<usize>,
    /// Rate limit of log lines about refused connections.
    pub refusals: Quiet,
    pub ground: Rc<Ground>,
    checkpoints: Checkpoints,
    /// What clients need not repeat with each fetch.
    pub fetch_sessions: RefCell<FetchSessions>,
    /// Ids for idempotent producers.
    pub producer_ids: ProducerIds,
    /// The group coordinators here.
    pub groups: Rc<Groups>,
    /// On shard 0.
    pub controller: OnceCell<Rc<Controller>>,
    image: RefCell<Arc<Image>>,
    hosted: RefCell<BTreeMap<(Uuid, i32), Slot>>,
    stopping: Cell<bool>,
    stop: Notice,
    /// Leave the marker of a clean stop.
    last: Cell<bool>,
}

impl Broker {
    /// How many shards the node has.
    pub fn shards(&self) -> u32 {
        self.mail.shards()
    }

    /// A shard's id as a Kafka broker.
    pub fn id_of(&self, shard: u32) -> i32 {
        self.settings.node_id * 1000 + shard as i32
    }

    /// This shard's id as a Kafka broker.
    pub fn id(&self) -> i32 {
        self.id_of(self.shard)
    }

    /// Metadata as this shard knows it.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// The controller, for whoever runs on shard 0.
    pub fn controller(&self) -> Rc<Controller> {
        self.controller
            .get()
            .expect("asked for on shard 0 after its start")
            .clone()
    }

    /// Whether the node is stopping: coordinators and listeners take nothing new.
    pub fn stopping(&self) -> bool {
        self.stopping.get()
    }
}
