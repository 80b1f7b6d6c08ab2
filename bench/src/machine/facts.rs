//! What a figure was measured on. No names of hosts, no paths.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::setup;

/// The machine and the build.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    pub cpu_model: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub hypervisor: bool,
    pub cpu_governor: String,
    pub kernel: String,
    pub distribution: String,
    pub file_system: FileSystem,
    #[serde(default)]
    pub clock_source: String,
    /// Against the CPU's vulnerabilities, those that are active.
    #[serde(default)]
    pub mitigations: Vec<String>,
    /// Empty where there is no repository.
    pub commit: String,
    /// Files differ from the commit.
    pub modified: bool,
    pub debug_assertions: bool,
}

/// Where the data lies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FileSystem {
    pub kind: String,
    pub options: String,
    pub free_gib: f64,
    /// The block device below; empty where it is not known.
    #[serde(default)]
    pub disk: String,
}

impl Facts {
    /// Facts of this machine, and of the file system that holds `dir`.
    pub(crate) fn gather(dir: &Path) -> Result<Self> {
        let cpuinfo = read("/proc/cpuinfo");
        let meminfo = read("/proc/meminfo");
        let memory_kib: f64 = after(&meminfo, "MemTotal:")
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0.0);
        let uname = nix::sys::utsname::uname()?;
        let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
        let commit = git(&["rev-parse", "HEAD"]);
        Ok(Self {
            cpu_model: after(&cpuinfo, "model name")
                .map(|rest| rest.trim_start_matches([':', ' ', '\t']).to_owned())
                .unwrap_or_else(|| text(uname.machine())),
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            memory_gib: round1(memory_kib / (1 << 20) as f64),
            hypervisor: after(&cpuinfo, "flags").is_some_and(|flags| flags.contains(" hypervisor")),
            cpu_governor: match read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
                none if none.is_empty() => "none (fixed, or the host's)".to_owned(),
                governor => governor.trim().to_owned(),
            },
            kernel: text(uname.release()),
            distribution: after(&read("/etc/os-release"), "PRETTY_NAME=")
                .map(|name| name.trim_matches('"').to_owned())
                .unwrap_or_default(),
            file_system: FileSystem::of(dir)?,
            clock_source: setup::clock_source(),
            mitigations: setup::mitigations(),
            modified: !commit.is_empty() && !git(&["status", "--porcelain", "-uno"]).is_empty(),
            commit,
            debug_assertions: cfg!(debug_assertions),
        })
    }
}

impl Facts {
    /// All that is to be known beside a figure.
    pub(crate) fn line(&self) -> String {
        let text = |value: &str, none: &str| match value.is_empty() {
            true => none.to_owned(),
            false => value.to_owned(),
        };
        format!(
            "{} ({} cores, {} GiB, {}), governor {}, clock {}, mitigations: {}; Linux {}, {}; {} \
             ({}) on {}; commit {}{}{}",
            self.cpu_model,
            self.cores,
            self.memory_gib,
            if self.hypervisor { "virtual" } else { "bare" },
            self.cpu_governor,
            text(&self.clock_source, "unknown"),
            text(&self.mitigations.join(", "), "none"),
            self.kernel,
            self.distribution,
            self.file_system.kind,
            self.file_system.options,
            text(&self.file_system.disk, "an unknown disk"),
            self.commit.get(..10).unwrap_or("unknown"),
            if self.modified { " with changes" } else { "" },
            match self.debug_assertions {
                true => ", debug build",
                false => ", release build",
            },
        )
    }
}

impl Facts {
    /// The machine, in a line.
    pub(crate) fn brief(&self) -> String {
        let hypervisor = if self.hypervisor { "virtual" } else { "bare" };
        format!(
            "{} ({} cores, {} GiB, {hypervisor}), governor {}; Linux {}, {}; {} ({})",
            self.cpu_model,
            self.cores,
            self.memory_gib,
            self.cpu_governor,
            self.kernel,
            self.distribution,
            self.file_system.kind,
            self.file_system.options,
        )
    }

    /// What was built from what, in a line.
    pub(crate) fn built(&self) -> String {
        let commit = self.commit.get(..10).unwrap_or("unknown");
        let modified = match self.modified {
            true => ", with changes",
            false => "",
        };
        let build = match self.debug_assertions {
            true => ", built with debug assertions: not figures to keep",
            false => "",
        };
        format!("Commit {commit}{modified}{build}.")
    }
}

impl FileSystem {
    pub(crate) fn of(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().context("the data directory")?;
        let mounts = read("/proc/self/mounts");
        // The mount whose point is the longest prefix of the directory.
        let mount = mounts
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ');
                let device = fields.next()?;
                Some((device, fields.next()?, fields.next()?, fields.next()?))
            })
            .filter(|(_, point, _, _)| dir.starts_with(point))
            .max_by_key(|(_, point, _, _)| point.len());
        let (device, _, kind, options) = mount.unwrap_or(("", "", "unknown", ""));
        Ok(Self {
            kind: kind.to_owned(),
            options: options.to_owned(),
            disk: setup::disk(device),
            free_gib: round1(free_bytes(&dir)? as f64 / (1u64 << 30) as f64),
        })
    }
}

/// Bytes that an unprivileged process may still write below `dir`.
pub(crate) fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(dir)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

fn git(args: &[&str]) -> String {
    match Command::new("git").args(args).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => String::new(),
    }
}

fn round1(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
