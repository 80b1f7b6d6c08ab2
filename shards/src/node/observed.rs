//! What can be seen of the node from outside its shards: their answers, the system's figures, the
//! node's phase.

use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_channel::oneshot;
use tokio::time::{Instant, timeout_at};

use super::system;
use crate::broker::{self, Broker};
use crate::metrics::{Shard, page};
use crate::partition::Opened;
use crate::runtime::{LogDirs, Mailboxes};

/// A shard whose loop goes round answers within this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// For a page they are waited for less: who asks for it waits for 10 s, by default.
const FIGURES_WITHIN: Duration = Duration::from_secs(2);
/// What a shard looks together in slices is waited for this long.
const LOGS_WITHIN: Duration = Duration::from_secs(5);

/// Where the node is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    Starting = 0,
    Serving = 1,
    Stopping = 2,
}

/// See the module.
pub(super) struct Observed {
    mail: Mailboxes<Broker>,
    log_dirs: Arc<LogDirs>,
    phase: AtomicU8,
    /// The shards' threads, as the system numbers them.
    threads: Mutex<Vec<i32>>,
    /// One page at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Observed {
    /// A node that starts.
    pub(super) fn new(mail: Mailboxes<Broker>, log_dirs: Arc<LogDirs>) -> Self {
        Observed {
            mail,
            log_dirs,
            phase: AtomicU8::new(Phase::Starting as u8),
            threads: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The next shard's thread runs.
    pub(super) fn thread(&self, id: i32) {
        self.threads.lock().expect("no panic under it").push(id);
    }

    /// The node has come to another phase.
    pub(super) fn now(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Stopping,
        }
    }

    /// For Prometheus.
    pub(super) async fn page(&self) -> String {
        let _turn = self.turn.lock().await;
        let serving = self.phase() == Phase::Serving;
        let threads = self.threads.lock().expect("no panic under it").clone();
        let asked = (0..self.mail.shards()).map(|shard| {
            if !serving {
                return (None, None);
            }
            let figures =
                |broker: Rc<Broker>| Box::pin(async move { broker::figures(&broker) }) as _;
            let logs = |broker| Box::pin(broker::logs(broker)) as _;
            (self.mail.ask(shard, figures), self.mail.ask(shard, logs))
        });
        let asked: Vec<_> = asked.collect();
        let now = Instant::now();
        let mut shards = Vec::new();
        for (shard, (figures, logs)) in asked.into_iter().enumerate() {
            let (cpu_seconds, starved_seconds) = threads
                .get(shard)
                .and_then(|thread| system::thread_seconds(*thread))
                .unzip();
            shards.push(Shard {
                figures: answer(figures, now + FIGURES_WITHIN).await,
                logs: answer(logs, now + LOGS_WITHIN).await,
                cpu_seconds,
                starved_seconds,
            });
        }
        let process = system::process(&self.log_dirs);
        page(env!("CARGO_PKG_VERSION"), &shards, &process)
    }

    /// Whether the shards' loops go round. A node that starts may take its time.
    pub(super) async fn healthy(&self) -> Result<(), String> {
        match self.phase() {
            Phase::Serving => self.opened().await.map(|_| ()),
            Phase::Starting | Phase::Stopping => Ok(()),
        }
    }

    /// Whether every shard serves clients, and how many of their partitions are open: the others are
    /// opened, and after a kill recovered, when they are first used.
    pub(super) async fn ready(&self) -> Result<Opened, String> {
        match self.phase() {
            Phase::Starting => Err("the node is starting".into()),
            Phase::Stopping => Err("the node is stopping".into()),
            Phase::Serving => self.opened().await,
        }
    }

    /// What all shards have open.
    ///
    /// # Errors
    /// One of them does not answer.
    async fn opened(&self) -> Result<Opened, String> {
        let opened = |broker: Rc<Broker>| Box::pin(async move { broker.holdings.opened() }) as _;
        let asked: Vec<_> = (0..self.mail.shards())
            .map(|shard| self.mail.ask(shard, opened))
            .collect();
        let until = Instant::now() + ANSWERS_WITHIN;
        let mut sum = Opened::default();
        for (shard, asked) in asked.into_iter().enumerate() {
            let Some(opened) = answer::<Opened>(asked, until).await else {
                let seconds = ANSWERS_WITHIN.as_secs();
                return Err(format!("shard {shard} did not answer within {seconds} s"));
            };
            sum.open += opened.open;
            sum.all += opened.all;
        }
        Ok(sum)
    }
}

async fn answer<R>(asked: Option<oneshot::Receiver<R>>, until: Instant) -> Option<R> {
    timeout_at(until, asked?).await.ok()?.ok()
}
