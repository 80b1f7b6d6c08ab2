//! A server's process: on its cores, in its memory, its output in a file.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running process; killed when dropped, and when this one dies.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on `cores`; its output is appended to `log`. `group` is an open
    /// `cgroup.procs` that it enters first.
    pub(super) fn spawn(
        mut command: Command,
        cores: &[usize],
        log: &Path,
        group: Option<&File>,
    ) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let mut set = CpuSet::new();
        for core in cores {
            set.set(*core)?;
        }
        let group = group.map(AsRawFd::as_raw_fd);
        let enter = move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            sched_setaffinity(Pid::from_raw(0), &set)?;
            if let Some(group) = group {
                // SAFETY: the file is open until spawning has returned; the text is static. "0" is
                // who writes it (cgroups(7)).
                let written = unsafe { libc::write(group, c"0".as_ptr().cast(), 1) };
                nix::errno::Errno::result(written)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing is allocated.
        unsafe { command.pre_exec(enter) };
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it has ended, with the last lines that it wrote.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended ({status}): {}", self.last_lines()),
        }
    }

    /// The last lines that it wrote.
    pub(super) fn last_lines(&self) -> String {
        const LINES: usize = 6;
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(8192)..]).into_owned();
        let last: Vec<&str> = text.lines().rev().take(LINES).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        match last.is_empty() {
            true => "it wrote nothing".to_owned(),
            false => last.join(" | "),
        }
    }

    /// Asks it to end (SIGTERM) and waits. Returns how it ended.
    pub(super) fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        kill(Pid::from_raw(self.pid() as i32), Signal::SIGTERM)?;
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the server did not end within {within:?} of SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
