//! Who is measured, and how it is started: the own node, Apache Kafka, or somebody else's server.
//!
//! Every start has a fresh directory on the same file system, a stated state of the machine's
//! memory, and stated cores. A contestant is a value that can be kept; a running one is a
//! [`Server`].
//!
//! Invariants: start-up time counts from the process's start until it answers for every partition
//! it has; a server is gone, and its directory with it, when its handle is dropped.
//!
//! Absent on purpose: several nodes, containers, remote starts.

mod kafka;
mod memory;
mod odradek;
mod process;
mod server;
mod serving;
mod usage;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use kafka::Jars;
pub(crate) use memory::{MemoryNow, MemoryState};
pub(crate) use server::Server;

/// Who is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Contestant {
    /// `odradek serve` of this same binary.
    Odradek {
        shards: usize,
        /// `name=value`, over all others.
        settings: Vec<String>,
    },
    /// One combined KRaft broker and controller, data never flushed but by the kernel (its
    /// default).
    Kafka {
        /// Of the JVM, least and most: `1g`.
        heap: String,
        /// Of the jars.
        version: String,
        /// `name=value`, over all others.
        settings: Vec<String>,
    },
    /// A server that runs already and is neither started nor stopped.
    Address {
        /// `host:port[,host:port]`
        brokers: String,
        /// Its processes, where they are known: without them its CPU and memory are not.
        pids: Vec<u32>,
    },
}

impl Contestant {
    /// In words; tells contestants of one run apart.
    pub(crate) fn label(&self) -> String {
        match self {
            Contestant::Odradek { shards: 1, .. } => "Odradek".to_owned(),
            Contestant::Odradek { shards, .. } => format!("Odradek, {shards} shards"),
            Contestant::Kafka { heap, version, .. } => {
                format!("Apache Kafka {version}, heap {heap}")
            }
            Contestant::Address { brokers, .. } => brokers.clone(),
        }
    }

    /// Whether it can be started, stopped and set up here.
    pub(crate) fn is_ours_to_start(&self) -> bool {
        !matches!(self, Contestant::Address { .. })
    }

    pub(crate) fn is_odradek(&self) -> bool {
        matches!(self, Contestant::Odradek { .. })
    }
}

/// How one start differs from the contestant's usual one. A scenario varies these; what a
/// contestant does not have is left out for it (see [`Server::start`]).
#[derive(Clone, Debug, Default)]
pub(crate) struct Variant {
    /// Of the own node, instead of the contestant's.
    pub(crate) shards: Option<usize>,
    /// The own node as one broker behind one address (`shards.advertise=node`).
    pub(crate) node_mode: bool,
    /// Settings by Kafka's names, for every contestant that is started here.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Settings of the own node only.
    pub(crate) own_settings: Vec<(&'static str, String)>,
    /// Most memory of the server, its page cache included, bytes.
    pub(crate) memory_limit: Option<u64>,
}

/// Which cores a server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pinning {
    /// One core, apart from the driver's. It squeezes a JVM's collector and compiler onto the core
    /// that serves requests.
    Pinned,
    /// All cores, the driver's included.
    Unpinned,
}

impl Pinning {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pinning::Pinned => "pinned to one core",
            Pinning::Unpinned => "unpinned",
        }
    }
}

/// Where and in what surroundings a server runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Each start has a fresh directory in it.
    pub(crate) parent: PathBuf,
    pub(crate) pinning: Pinning,
    /// All that this program may use.
    pub(crate) all_cores: Vec<usize>,
    pub(crate) server_core: usize,
    pub(crate) driver_core: usize,
    pub(crate) memory: MemoryState,
    /// Seconds to wait at most, before a start, for the machine to become quiet.
    pub(crate) quiet_seconds: f64,
    pub(crate) jars: Option<Jars>,
}

impl Place {
    /// Cores of the server.
    pub(crate) fn cores(&self) -> Vec<usize> {
        match self.pinning {
            Pinning::Pinned => vec![self.server_core],
            Pinning::Unpinned => self.all_cores.clone(),
        }
    }

    /// Fills memory again, if runs are to begin with it filled: within a minute of a start much of the page
    /// cache may have been reclaimed (DAMON) and be the host's.
    pub(crate) fn fill_again(&self) -> anyhow::Result<()> {
        match self.memory {
            MemoryState::Seasoned => self.memory.bring_about(&self.parent).map(drop),
            MemoryState::Fresh | MemoryState::AsFound => Ok(()),
        }
    }
}

impl Contestant {
    /// A server that runs already: `host:port[,host:port][@PID[,PID]]`.
    ///
    /// # Errors
    /// When the text is not of this form.
    pub(crate) fn at(address: &str) -> anyhow::Result<Self> {
        let (brokers, pids) = address.split_once('@').unwrap_or((address, ""));
        anyhow::ensure!(
            !brokers.is_empty() && brokers.split(',').all(|one| one.contains(':')),
            "{address:?} is not host:port[,host:port][@PID[,PID]]"
        );
        let pids = pids.split(',').filter(|pid| !pid.is_empty());
        let pids: Result<Vec<u32>, _> = pids.map(str::parse).collect();
        match pids {
            Ok(pids) => Ok(Contestant::Address {
                brokers: brokers.to_owned(),
                pids,
            }),
            Err(_) => anyhow::bail!("{address:?}: behind @ stand process ids, comma between"),
        }
    }
}
