//! The node as a process: limits, the log directories' locks, ports, one thread per shard, signals.
#![allow(clippy::disallowed_methods)] // around the shards, not in them

mod http;
mod limits;
mod names;
mod observed;
mod ports;
mod system;

use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, gettid};
use odradek_engine::bytes::Pool;
use odradek_engine::io::{DriverError, DriverKind, Io};
use odradek_engine::task::Executor;

use crate::broker::{self, Boot, BootError, Broker, Facts, end_changes, start, until_stopped};
use crate::catalog::Image;
use crate::config::{ConfigError, MetricsListener, Settings};
use crate::net::Gate;
use crate::runtime::{LogDirs, Mailboxes};

use self::http::Http;
use self::observed::{Observed, Phase};

/// Why the node does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot use log directory {directory}: {error}; make it writable or set log.dirs")]
    Directory {
        directory: String,
        error: std::io::Error,
    },
    #[error(
        "log directory {0} is in use by another process (its .lock is held); \
         stop that one or set another log.dirs"
    )]
    Locked(String),
    #[error(
        "{0} is lost or damaged: it has no cluster.id, and there is a metadata log beside it; bring it \
         back, or write the lines version=1, node.id and cluster.id, with the id that clients know"
    )]
    Cluster(String),
    #[error("cannot listen on {address}: {error}; is another server running there?")]
    Listen {
        address: String,
        error: std::io::Error,
    },
    #[error(
        "cannot serve metrics on {address}: {error}; set metrics.listener to another host:port, \
         or to nothing"
    )]
    Metrics {
        address: String,
        error: std::io::Error,
    },
    #[error(
        "max.connections.per.ip.overrides: cannot find the address of {name}: {error}; give the \
         address itself, or leave it out"
    )]
    Name { name: String, error: std::io::Error },
    #[error("no {count} contiguous free ports were found for the shards; set shards.port.base")]
    NoPorts { count: u16 },
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error("{what}: {error}")]
    System {
        what: &'static str,
        error: std::io::Error,
    },
    #[error("shard {0} stopped by itself; see the log above")]
    Shard(u32),
}

/// How long a stop waits for the change of metadata that is under way.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);

type FirstFacts = (Arc<Facts>, Arc<Image>);

/// Where a node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub bootstrap: String,
    /// The shards' advertised addresses.
    pub shards: Vec<String>,
    /// Where /metrics is, if it is served.
    pub metrics: Option<SocketAddr>,
}

/// The line that says so on stdout, after its first word.
impl std::fmt::Display for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bootstrap, shards) = (&self.bootstrap, self.shards.join(","));
        write!(f, "READY bootstrap={bootstrap} shards={shards}")?;
        match self.metrics {
            Some(address) => write!(f, " metrics={address}"),
            None => Ok(()),
        }
    }
}

/// Runs a node until SIGTERM or SIGINT. `ready` is told once every shard serves.
pub fn run(settings: Settings, ready: impl FnOnce(Ready)) -> Result<(), NodeError> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    // Shards inherit the mask: only this thread takes them.
    signals.thread_block().map_err(system("blocking signals"))?;
    let files_max = limits::raise();
    let log_dirs = broker::log_dirs(&settings);
    log_dirs.ends_by(|why| {
        tracing::error!("{why}: the node stops at once");
        std::process::exit(1);
    });
    let _locks = lock_all(&log_dirs)?;
    knows_its_cluster(&log_dirs)?;
    let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(system("reading CPU affinity"))?;
    let cpus: Vec<usize> = (0..CpuSet::count())
        .filter(|cpu| allowed.is_set(*cpu).unwrap_or(false))
        .collect();
    let layout = settings.shard_layout(cpus.len())?;
    let driver = settings.io_driver.decide()?;
    if let Some(line) = driver.fallback {
        tracing::warn!("{line}");
    }
    let bound = ports::bind(&settings, &layout)?;
    let settings = Arc::new(settings);
    let mail = Mailboxes::new(u32::from(layout.count));
    let observed = Arc::new(Observed::new(mail.clone(), log_dirs.clone()));
    let http = match &settings.metrics_listener {
        Some(wanted) => serve_metrics(wanted, &observed)?,
        None => None,
    };
    let gate = Gate::new(&settings, files_max);
    names::serve(&gate)?;
    let pinned = usize::from(layout.count) <= cpus.len();
    if !pinned {
        tracing::warn!(
            "{} shards share {} CPUs and are not pinned",
            layout.count,
            cpus.len()
        );
    }
    let mut threads = Vec::new();
    let mut first: Option<FirstFacts> = None;
    let (stopped, stops) = mpsc::channel();
    for (shard, listeners) in bound.listeners.into_iter().enumerate() {
        let shard = shard as u32;
        let (report, reported) = mpsc::channel();
        let plan = ShardPlan {
            cpu: pinned.then(|| cpus[shard as usize]),
            driver: driver.kind,
            settings: settings.clone(),
            mail: mail.clone(),
            stopped: stopped.clone(),
            observed: observed.clone(),
        };
        let boot = Boot {
            shard,
            settings: settings.clone(),
            log_dirs: log_dirs.clone(),
            endpoints: bound.endpoints.clone(),
            mail: mail.clone(),
            listeners,
            gate: gate.clone(),
            first: first.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{shard}"))
            .spawn(move || run_shard(plan, boot, report))
            .map_err(system("starting a thread"))?;
        threads.push(thread);
        // Shard 0 reads the metadata; the others start from what it found.
        match reported.recv() {
            Ok(Ok(facts)) => first = Some(facts),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(NodeError::Shard(shard)),
        }
    }
    let shards: Vec<String> = bound
        .endpoints
        .iter()
        .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port))
        .collect();
    observed.now(Phase::Serving);
    ready(Ready {
        bootstrap: bound.bootstrap,
        shards,
        metrics: http.as_ref().map(|http| http.address),
    });
    let signal = signals.wait().map_err(system("waiting for a signal"))?;
    tracing::info!("{signal}: stopping");
    observed.now(Phase::Stopping);
    stop(&mail, threads, stops)
}

/// Without the port, a node that nobody told to have it runs all the same.
fn serve_metrics(
    wanted: &MetricsListener,
    observed: &Arc<Observed>,
) -> Result<Option<Http>, NodeError> {
    let started = TcpListener::bind(&wanted.address)
        .and_then(|listener| Http::start(listener, observed.clone()));
    let error = match started {
        Ok(http) => return Ok(Some(http)),
        Err(error) => NodeError::Metrics {
            address: wanted.address.clone(),
            error,
        },
    };
    match wanted.wanted {
        true => Err(error),
        false => {
            tracing::warn!("{error}");
            Ok(None)
        }
    }
}

struct ShardPlan {
    cpu: Option<usize>,
    driver: DriverKind,
    settings: Arc<Settings>,
    mail: Mailboxes<Broker>,
    stopped: mpsc::Sender<u32>,
    observed: Arc<Observed>,
}

type Report = mpsc::Sender<Result<FirstFacts, NodeError>>;

/// A shard's thread, from its driver to its end.
fn run_shard(plan: ShardPlan, boot: Boot, report: Report) {
    // A shard's panic ends the process: half a node would answer wrongly.
    let guard = AbortOnPanic;
    plan.observed.thread(gettid().as_raw());
    if let Some(cpu) = plan.cpu {
        let mut set = CpuSet::new();
        let pinned = set
            .set(cpu)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        if let Err(error) = pinned {
            tracing::warn!("cannot pin shard {} to CPU {cpu}: {error}", boot.shard);
        }
    }
    let shard = boot.shard;
    let pool = Pool::new();
    let spin = Duration::from_micros(plan.settings.io_spin_us as u64);
    let driver = match plan.driver.open_spinning(&pool, spin) {
        Ok(driver) => driver,
        Err(error) => {
            let _ = report.send(Err(error.into()));
            std::mem::forget(guard);
            return;
        }
    };
    let io = Io::new(driver, pool);
    if shard == 0 {
        tracing::info!(
            strategy = plan.settings.log_write_strategy.name(),
            "{}",
            io.describe()
        );
    }
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    executor.run(async move {
        match start(io, spawner, boot).await {
            Ok(broker) => {
                let _ = report.send(Ok((broker.facts.clone(), broker.image())));
                until_stopped(broker).await;
            }
            Err(error) => {
                let _ = report.send(Err(error.into()));
            }
        }
    });
    let _ = plan.stopped.send(shard);
    drop(plan.mail);
    std::mem::forget(guard);
    // What still runs on this executor is cut off here; everything acknowledged is on disk.
    std::mem::forget(executor);
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        eprintln!("a shard panicked: the node stops at once, as after a kill");
        std::process::abort();
    }
}

fn stop(
    mail: &Mailboxes<Broker>,
    threads: Vec<JoinHandle<()>>,
    stops: mpsc::Receiver<u32>,
) -> Result<(), NodeError> {
    let (tell, told) = mpsc::channel();
    mail.post_blocking(0, move |broker: Rc<Broker>| {
        let ending = end_changes(broker.clone());
        let task = async move {
            ending.await;
            let _ = tell.send(());
        };
        broker.spawner.spawn(task).detach();
    });
    // It goes on without: what moves then is recovered by the next start.
    let _ = told.recv_timeout(CHANGE_PATIENCE);
    // Shard 0 last: it leaves the marker of a clean stop. The others close beside each other.
    for some in [1..mail.shards(), 0..1] {
        for shard in some.clone() {
            mail.post_blocking(shard, move |broker: Rc<Broker>| {
                broker.request_stop(shard == 0)
            });
        }
        let mut open = some.clone().count();
        while open > 0 {
            match stops.recv() {
                Ok(stopped) if some.contains(&stopped) => open -= 1,
                Ok(_) => {}
                Err(_) => return Err(NodeError::Shard(some.start)),
            }
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
    tracing::info!("stopped");
    Ok(())
}

fn system<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> NodeError {
    move |error| NodeError::System {
        what,
        error: error.into(),
    }
}

/// Takes the log directories for this process alone. One that cannot be taken because of its disk
/// has failed; the metadata's must not.
fn lock_all(dirs: &LogDirs) -> Result<Vec<Flock<std::fs::File>>, NodeError> {
    let mut locks = Vec::new();
    for number in dirs.all() {
        match lock(dirs.path(number)) {
            Ok(lock) => locks.push(lock),
            Err(NodeError::Directory { error, .. })
                if dirs.several() && number != dirs.metadata() =>
            {
                dirs.fail(number, &error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(locks)
}

/// A directory with a metadata log had a cluster's id before that: under a new one it would be another
/// cluster to its clients. Asked before shard 0, which makes a new id where there is none.
///
/// Source: Kafka `MetaPropertiesEnsemble.verify`, which asks for the file in any case.
fn knows_its_cluster(dirs: &LogDirs) -> Result<(), NodeError> {
    let directory = dirs.path(dirs.metadata());
    let path = directory.join(broker::META_PROPERTIES);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let directory = directory.display().to_string();
            return Err(NodeError::Directory { directory, error });
        }
        read => read.unwrap_or_default(),
    };
    if broker::names_cluster(&bytes) || !directory.join(broker::METADATA_LOG).exists() {
        return Ok(());
    }
    Err(NodeError::Cluster(path.display().to_string()))
}

/// Takes one for this process alone.
fn lock(directory: &Path) -> Result<Flock<std::fs::File>, NodeError> {
    let fail = |error| NodeError::Directory {
        directory: directory.display().to_string(),
        error,
    };
    std::fs::create_dir_all(directory).map_err(fail)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join(".lock"))
        .map_err(fail)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| NodeError::Locked(directory.display().to_string()))
}
