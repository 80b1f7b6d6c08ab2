//! `odradek serve` as a contestant: a fresh process on a fresh directory for each run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::floor::Server;

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// A running node; stopped and its directory removed when dropped.
pub(super) struct Node {
    server: Server,
    dir: TempDir,
    pub(super) bootstrap: String,
}

impl Node {
    /// Starts a node with one shard on `core`. `settings` come after the ones named here.
    pub(super) fn start(
        parent: &Path,
        core: usize,
        own_core: usize,
        settings: &[String],
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("odradek-record-")
            .tempdir_in(parent)?;
        let log = std::fs::File::create(dir.path().join("node.log"))?;
        let data = dir.path().join("data");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").stderr(Stdio::from(log));
        let fixed = [
            "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
            format!("log.dirs={}", data.display()),
            "shards=1".to_owned(),
            "metrics.listener=127.0.0.1:0".to_owned(),
        ];
        for setting in fixed.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        let mut server = Server::start(command, core, own_core)?;
        let bootstrap = server.ready("bootstrap", READY_WITHIN).with_context(|| {
            let log = std::fs::read_to_string(dir.path().join("node.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            format!(
                "odradek serve: {}",
                last.into_iter().rev().collect::<Vec<_>>().join(" | ")
            )
        })?;
        Ok(Self {
            server,
            dir,
            bootstrap,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Where its partitions are.
    pub(super) fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Stops it as an operator would.
    pub(super) fn stop(self) -> Result<()> {
        let stopped = self.server.terminate(STOPS_WITHIN);
        self.dir.close()?;
        stopped.context("odradek serve, stopping")
    }
}
