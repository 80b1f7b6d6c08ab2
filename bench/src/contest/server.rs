//! A running contestant.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::process::Process;
use super::serving::partitions_served;
use super::usage::{Usage, usage};
use super::{Contestant, MemoryNow, Place, Variant, kafka, odradek};
use crate::drive::Admin;
use crate::machine::{MemoryGroup, reset_peak};

/// Until it answers for all its partitions.
const READY_WITHIN: Duration = Duration::from_secs(300);
const STOPS_WITHIN: Duration = Duration::from_secs(180);

/// See the module. Killed, and its directory removed, when dropped.
pub(crate) struct Server {
    label: String,
    brokers: String,
    settings: Vec<String>,
    pids: Vec<u32>,
    started_in: Option<Duration>,
    memory_before: MemoryNow,
    own: Option<Own>,
}

/// What there is of a server that was started here. Fields are dropped in this order: the process
/// must be gone before its group and its directory can be.
struct Own {
    process: Option<Process>,
    group: Option<MemoryGroup>,
    dir: TempDir,
    contestant: Contestant,
    variant: Variant,
    place: Place,
    port: u16,
    controller_port: u16,
    /// When it was last asked to stop, or was killed.
    partitions: usize,
}

impl Server {
    /// Starts the contestant as `variant` has it, and waits until it serves. What the contestant
    /// does not have is left out: shards and node mode of Kafka, everything of an address.
    ///
    /// # Errors
    /// With the server's last words where it does not start.
    pub(crate) fn start(contestant: &Contestant, variant: &Variant, place: &Place) -> Result<Self> {
        let mut server = Self {
            label: contestant.label(),
            brokers: String::new(),
            settings: Vec::new(),
            pids: Vec::new(),
            started_in: None,
            memory_before: MemoryNow::default(),
            own: None,
        };
        if let Contestant::Address { brokers, pids } = contestant {
            ensure!(
                variant.memory_limit.is_none(),
                "{brokers}: the memory of a server that was not started here cannot be limited"
            );
            partitions_served(brokers)?;
            server.brokers = brokers.clone();
            server.pids = pids.clone();
            server.memory_before = MemoryNow::read()?;
            return Ok(server);
        }
        let dir = tempfile::Builder::new()
            .prefix("odradek-contest-")
            .tempdir_in(&place.parent)
            .with_context(|| format!("cannot write into {}", place.parent.display()))?;
        server.memory_before = place.memory.bring_about(&place.parent)?;
        crate::machine::wait_until_quiet(place.quiet_seconds)?;
        let limit = variant.memory_limit;
        server.own = Some(Own {
            process: None,
            group: limit.map(MemoryGroup::new).transpose()?,
            dir,
            contestant: contestant.clone(),
            variant: variant.clone(),
            place: place.clone(),
            port: free_port()?,
            controller_port: free_port()?,
            partitions: 0,
        });
        let started = server.spawn();
        server.started_in = Some(started.with_context(|| format!("{}: start", server.label))?);
        Ok(server)
    }

    /// Starts the process and waits until it serves what it is known to have.
    fn spawn(&mut self) -> Result<Duration> {
        let own = self.own.as_mut().context("it was not started here")?;
        let (command, settings) = own.command()?;
        self.brokers = format!("127.0.0.1:{}", own.port);
        self.settings = settings;
        if let Some(group) = &own.group {
            self.settings.push(format!("memory.max={}", group.limit()?));
        }
        let log = own.log();
        let procs = own.group.as_ref().map(MemoryGroup::procs).transpose()?;
        let started = Instant::now();
        let cores = own.place.cores();
        let mut process = Process::spawn(command, &cores, &log, procs.as_ref())?;
        self.pids = vec![process.pid()];
        loop {
            process.check_alive()?;
            let why = match partitions_served(&self.brokers) {
                Ok(served) if served >= own.partitions => break,
                Ok(served) => anyhow::anyhow!("{served} of {} partitions", own.partitions),
                Err(error) => error,
            };
            if started.elapsed() > READY_WITHIN {
                let last = process.last_lines();
                return Err(why).with_context(|| {
                    format!("it does not serve within {READY_WITHIN:?} (its last words: {last})")
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = started.elapsed();
        own.process = Some(process);
        Ok(took)
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// `host:port[,host:port]`; the same after a restart.
    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Settings and flags, `name=value`, and the limit on its memory where there is one; none of an
    /// address.
    pub(crate) fn settings(&self) -> &[String] {
        &self.settings
    }

    /// Its processes; none while it is down or where they are not known. Others after a restart.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Where its partitions are; none of an address.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.own.as_ref().map(Own::data)
    }

    /// From the process's start until it answered; none of an address.
    pub(crate) fn started_in(&self) -> Option<Duration> {
        self.started_in
    }

    /// Of the machine, before it started.
    pub(crate) fn memory_before(&self) -> MemoryNow {
        self.memory_before
    }

    /// Whether it can be stopped, killed and started again.
    pub(crate) fn can_restart(&self) -> bool {
        self.own.is_some()
    }

    /// A new connection to the first broker that answers.
    pub(crate) fn admin(&self) -> Result<Admin> {
        Admin::bootstrap(&self.brokers)
    }

    /// What it takes.
    pub(crate) fn usage(&self) -> Result<Usage> {
        usage(&self.pids, self.data_dir().as_deref())
    }

    /// What it last wrote, where it has ended unasked.
    pub(crate) fn epitaph(&self) -> Option<String> {
        let process = self.own.as_ref()?.process.as_ref()?;
        let gone = crate::machine::resident(process.pid()).is_err();
        gone.then(|| {
            format!(
                "the server has ended, its last words: {}",
                process.last_lines()
            )
        })
    }

    /// Lets the peak of its memory count from now. False where that is not allowed.
    pub(crate) fn reset_peak(&self) -> bool {
        self.pids.iter().all(|pid| reset_peak(*pid))
    }

    /// Stops it as an operator would. Returns how long that took.
    ///
    /// # Errors
    /// When it does not stop, or ends with a failure.
    pub(crate) fn stop(&mut self) -> Result<Duration> {
        let partitions = partitions_served(&self.brokers);
        let (own, mut process) = self.take_process()?;
        own.partitions = partitions?;
        let began = Instant::now();
        let status = process.terminate(STOPS_WITHIN)?;
        let took = began.elapsed();
        // A JVM that ran its hooks on SIGTERM says 143.
        if !(status.success() || status.code() == Some(143)) {
            bail!(
                "{}: stopping: {status}: {}",
                self.label,
                process.last_lines()
            );
        }
        Ok(took)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let partitions = partitions_served(&self.brokers);
        let (own, mut process) = self.take_process()?;
        own.partitions = partitions?;
        process.kill()
    }

    /// Starts it again, after [`Self::stop`] or [`Self::kill`], on the same directory and port.
    /// Returns how long it took from the process's start until it served all partitions that it
    /// had. Memory is left as it is found.
    pub(crate) fn restart(&mut self) -> Result<Duration> {
        self.spawn()
            .with_context(|| format!("{}: restart", self.label))
    }

    /// The same, set up otherwise.
    pub(crate) fn restart_as(&mut self, variant: &Variant) -> Result<Duration> {
        let own = self.own.as_mut().context("it was not started here")?;
        own.variant = variant.clone();
        self.restart()
    }

    /// Whether it has written `text` since it was first started: a warning, say.
    pub(crate) fn said(&self, text: &str) -> bool {
        !self.lines(text).is_empty()
    }

    /// What it has written since it was first started: lines with `text` in them.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let log = self.own.as_ref().map(Own::log);
        let log = log.and_then(|log| std::fs::read_to_string(log).ok());
        let log = log.unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }

    fn take_process(&mut self) -> Result<(&mut Own, Process)> {
        self.pids.clear();
        let label = &self.label;
        let own = self.own.as_mut();
        let own = own.with_context(|| format!("{label} was not started here"))?;
        let process = own.process.take();
        Ok((own, process.with_context(|| format!("{label} is down"))?))
    }
}

impl Own {
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn command(&self) -> Result<(Command, Vec<String>)> {
        let (dir, data): (&Path, _) = (self.dir.path(), self.data());
        match &self.contestant {
            Contestant::Odradek { shards, settings } => {
                odradek::command(*shards, settings, &self.variant, self.port, &data)
            }
            Contestant::Kafka { heap, settings, .. } => {
                let jars = self.place.jars.as_ref().context("Kafka's jars")?;
                let ports = (self.port, self.controller_port);
                kafka::command(jars, heap, settings, &self.variant, ports, (dir, &data))
            }
            Contestant::Address { .. } => bail!("an address is not started"),
        }
    }
}

/// One that nobody has now; who takes it in between makes the start fail, and says so.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}
