//! A shard as a broker: what its handlers reach.
//!
//! Absent on purpose: the handlers themselves, how a broker starts, is reached and stops (module
//! `broker`, which stands above), and any lock: a broker belongs to one thread.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::bytes::Lender;
use odradek_engine::io::Io;
use odradek_engine::task::Spawner;
use odradek_wire::Uuid;

use super::across::{Luggage, PassedOn};
use super::fetch_sessions::{self, FetchSessions};
use super::throttle::Quotas;
use crate::catalog::{
    Controller, Holdings, Hosted, Image, PartitionEntry, Promised, Topic, Unhosted,
};
use crate::config::Settings;
use crate::coordinators::producer_ids::ProducerIds;
use crate::coordinators::{Groups, Transactions};
use crate::metrics::Meter;
use crate::net::{Gate, HandOver};
use crate::runtime::{LogDirs, Mailboxes, Notice, Quiet};
use crate::telemetry::{Clients, Subscriptions};

/// Where a shard is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// What the node is, beyond its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub cluster_id: String,
    pub directory_id: String,
    /// Partitions whose move to another log directory a kill has cut short: of which topic, which
    /// one, to which directory.
    pub relocations: Vec<(Uuid, i32, usize)>,
    /// What journals held at the start, and recovery must find.
    pub promised: Arc<Promised>,
}

/// See the module.
pub struct Broker {
    /// This shard, from 0.
    pub shard: u32,
    pub io: Io,
    pub spawner: Spawner,
    /// As given at the start; what changed since is in [`Holdings::settings`].
    pub settings: Arc<Settings>,
    one_address: bool,
    pub facts: Arc<Facts>,
    /// The advertised endpoints: every shard's, or the node's.
    pub endpoints: Arc<[Endpoint]>,
    pub mail: Mailboxes<Broker>,
    /// The node's.
    pub(super) gate: Arc<Gate>,
    /// What is counted here.
    pub meter: Rc<Meter>,
    /// Rate limits of log lines about requests that failed: by what they ask for, by records that
    /// cannot be read or deleted, by metadata that cannot be changed. One does not mute another.
    pub refusals: Quiet,
    pub unreached: Quiet,
    pub unchanged: Quiet,
    /// The image, and the partitions here.
    pub holdings: Rc<Holdings>,
    /// What clients need not repeat with each fetch.
    pub fetch_sessions: RefCell<FetchSessions>,
    /// Quotas of clients, and what is used.
    pub quotas: Quotas,
    /// Metrics that clients push.
    pub telemetry: RefCell<Clients>,
    /// Ids for idempotent producers.
    pub producer_ids: ProducerIds,
    /// The group coordinators here.
    pub groups: Rc<Groups>,
    /// The transaction coordinators here.
    pub transactions: Rc<Transactions>,
    /// On shard 0.
    pub controller: Option<Rc<Controller>>,
    /// What other shards use of this one's memory and files.
    pub lender: Lender,
    /// Produce requests that other shards answer for this one now.
    pub passed_on: PassedOn,
    /// Takes connections that other shards hand over.
    arrivals: OnceCell<Box<dyn Fn(HandOver<Luggage>)>>,
    /// The image before the one that this shard serves by, until it is settled.
    pub(super) before: RefCell<Option<Arc<Image>>>,
    stop: Notice,
    /// Leave the marker of a clean stop.
    last: Cell<bool>,
    /// On shard 0: some shard could not close all that was its own.
    pub unclean: Cell<bool>,
}

impl Broker {
    /// Around what a shard holds. `controller`: on shard 0.
    pub fn new(
        holdings: Rc<Holdings>,
        facts: Arc<Facts>,
        endpoints: Arc<[Endpoint]>,
        mail: Mailboxes<Broker>,
        gate: Arc<Gate>,
        controller: Option<Rc<Controller>>,
    ) -> Rc<Broker> {
        let (ground, settings) = (holdings.ground(), holdings.given());
        // The setting is the node's.
        let slots = settings.max_incremental_fetch_session_cache_slots.max(0) as usize;
        let fetch_sessions = FetchSessions::new(
            slots.div_ceil(mail.shards() as usize),
            fetch_sessions::PARTITIONS_MAX,
        );
        let quotas = Quotas::new(settings, mail.shards(), holdings.image().quotas());
        let mut telemetry = Clients::default();
        telemetry.adopt(Subscriptions::new(holdings.image().client_metrics()));
        let telemetry = RefCell::new(telemetry);
        Rc::new(Broker {
            shard: holdings.shard(),
            io: ground.io.clone(),
            spawner: ground.spawner.clone(),
            settings: settings.clone(),
            one_address: settings.one_address(),
            facts,
            endpoints,
            mail,
            gate,
            meter: Rc::default(),
            refusals: Quiet::default(),
            unreached: Quiet::default(),
            unchanged: Quiet::default(),
            fetch_sessions: RefCell::new(fetch_sessions),
            quotas,
            telemetry,
            producer_ids: ProducerIds::default(),
            groups: Groups::new(holdings.clone()),
            transactions: Transactions::new(holdings.clone()),
            controller,
            lender: Lender::default(),
            passed_on: PassedOn::default(),
            arrivals: OnceCell::new(),
            before: RefCell::default(),
            stop: Notice::default(),
            last: Cell::new(false),
            unclean: Cell::new(false),
            holdings,
        })
    }

    /// How many shards the node has.
    pub fn shards(&self) -> u32 {
        self.mail.shards()
    }

    /// A shard's id as a Kafka broker.
    pub fn id_of(&self, shard: u32) -> i32 {
        self.settings.broker_id(shard)
    }

    /// The ids of the brokers that clients see.
    pub fn ids(&self) -> RangeInclusive<i32> {
        self.id_of(0)..=self.id_of(self.shards() - 1)
    }

    /// Whether clients see one broker, so that any shard gets requests for any other.
    #[inline]
    pub fn one_address(&self) -> bool {
        self.one_address
    }

    /// Where clients reach a shard.
    pub fn endpoint(&self, shard: u32) -> Option<&Endpoint> {
        match self.one_address() {
            true => self.endpoints.first(),
            false => self.endpoints.get(shard as usize),
        }
    }

    /// This shard's id as a Kafka broker.
    pub fn id(&self) -> i32 {
        self.id_of(self.shard)
    }

    /// Metadata as this shard knows it.
    pub fn image(&self) -> Arc<Image> {
        self.holdings.image()
    }

    /// A partition of this shard, opened if need be.
    pub fn hosted<'a>(
        &'a self,
        topic: &'a Topic,
        index: i32,
    ) -> impl Future<Output = Result<Rc<Hosted>, Unhosted>> + 'a {
        self.holdings.hosted(topic, index)
    }

    /// The shard that leads a partition now, and its leader epoch: for whoever asked the wrong one.
    pub fn leader_of(&self, topic: Uuid, index: i32) -> Option<(u32, i32)> {
        let image = self.image();
        let entry = image.topic_by_id(topic)?.entry(index)?;
        Some((entry.shard, entry.leader_epoch))
    }

    /// A partition of this shard if it is open.
    pub fn open_now(&self, topic: &Topic, index: i32) -> Option<Rc<Hosted>> {
        self.holdings.open_now(topic, index)
    }

    /// The node's log directories.
    pub fn log_dirs(&self) -> &LogDirs {
        &self.holdings.ground().dirs
    }

    /// Whether a partition has no leader: its log directory cannot be reached.
    pub fn offline(&self, entry: &PartitionEntry) -> bool {
        self.log_dirs().of(entry.directory).is_err()
    }

    /// The controller, for whoever runs on shard 0.
    pub fn controller(&self) -> &Rc<Controller> {
        self.controller.as_ref().expect("asked for on shard 0")
    }

    /// Who takes connections from other shards; once, before any can come.
    pub fn takes_connections(&self, arrivals: impl Fn(HandOver<Luggage>) + 'static) {
        let set = self.arrivals.set(Box::new(arrivals));
        assert!(set.is_ok(), "one server takes them");
    }

    /// Takes a connection from another shard.
    pub fn arrive(&self, connection: HandOver<Luggage>) {
        let arrivals = self.arrivals.get();
        arrivals.expect("set before the shard had mail")(connection);
    }

    /// Whether the node is stopping: coordinators and listeners take nothing new.
    pub fn stopping(&self) -> bool {
        self.holdings.stopping()
    }

    /// Asks this shard to stop; the last one leaves the marker of a clean stop.
    pub fn request_stop(&self, last: bool) {
        self.last.set(last);
        self.stop.raise();
    }

    /// Waits until this shard is asked to stop; whether it is the last.
    pub async fn stop_requested(&self) -> bool {
        self.stop.raised().await;
        self.last.get()
    }
}
