//! A child process of this same binary, and the wait until it is ready.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine::pin;

/// A running child; killed when dropped.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
}

impl Server {
    /// Starts `command` on `core` and returns this thread to `own_core`.
    pub(crate) fn start(mut command: Command, core: usize, own_core: usize) -> Result<Self> {
        pin(core)?;
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        pin(own_core)?;
        let mut child = spawned.with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("the child's output")?;
        Ok(Self {
            child,
            lines: lines(stdout),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The value of `key=` in the line that starts with READY.
    pub(crate) fn ready(&mut self, key: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.starts_with("READY ") => {
                    return line
                        .split_whitespace()
                        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
                        .map(str::to_owned)
                        .with_context(|| format!("no {key} in {line:?}"));
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("not ready within {timeout:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("it ended before it was ready: {status}");
                }
            }
        }
    }

    /// Waits for its own end, or ends it.
    pub(crate) fn finish(mut self, timeout: Duration) -> Result<()> {
        if !self.ended(timeout)? {
            bail!("the server did not end within {timeout:?}");
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server failed: {status}");
        }
        Ok(())
    }

    /// Whether it ended in time: its output is closed then.
    fn ended(&mut self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
                Err(RecvTimeoutError::Timeout) => return Ok(false),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a child's output, read by a thread so that waiting for one can be bounded.
fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
