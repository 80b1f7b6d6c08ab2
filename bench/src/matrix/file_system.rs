//! The file systems: the one that is here, and others on loop devices.
//!
//! An image is a sparse file whose name is removed as soon as its device holds it, and the device
//! lets go of it when it is unmounted; mounts are seen by this process and its children alone. So
//! whatever ends this process, nothing is left behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use super::disk::Device;
use crate::machine::Facts;

/// Of an image, bytes: more than a run writes.
const IMAGE_BYTES: u64 = 24 << 30;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Kind {
    /// The file system of the data directory
    Here,
    /// XFS on a loop device
    Xfs,
    /// btrfs on a loop device
    Btrfs,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Here, Kind::Xfs, Kind::Btrfs];

    /// `here`: what the data directory is on.
    pub(super) fn name(self, here: &str) -> String {
        match self {
            Kind::Here => here.to_owned(),
            Kind::Xfs => "xfs-on-loop".to_owned(),
            Kind::Btrfs => "btrfs-on-loop".to_owned(),
        }
    }
}

/// A file system in use.
pub(super) struct Mounted {
    kind: Kind,
    /// Where it is mounted; the data directory itself for [`Kind::Here`].
    at: PathBuf,
    /// Of a loop device.
    device: Option<String>,
    _dir: Option<TempDir>,
}

impl Mounted {
    /// Makes it, if need be.
    ///
    /// # Errors
    /// Why there is none: not root, no tools, no loop devices.
    pub(super) fn new(kind: Kind, parent: &Path) -> Result<Self> {
        let (name, package) = match kind {
            Kind::Here => {
                return Ok(Self {
                    kind,
                    at: parent.to_owned(),
                    device: None,
                    _dir: None,
                });
            }
            Kind::Xfs => ("xfs", "xfsprogs"),
            Kind::Btrfs => ("btrfs", "btrfs-progs"),
        };
        ensure!(nix::unistd::geteuid().is_root(), "loop devices need root");
        tool(&format!("mkfs.{name}"), package)?;
        alone()?;
        let dir = tempfile::Builder::new()
            .prefix("odradek-matrix-")
            .tempdir_in(parent)?;
        let (image, at) = (dir.path().join("image"), dir.path().join("mounted"));
        std::fs::create_dir(&at)?;
        std::fs::File::create(&image)?
            .set_len(IMAGE_BYTES)
            .context("a sparse image")?;
        let device = attach(&image)?;
        let made = make(name, &device, &at);
        // From now on the mount alone holds the device, and the device alone the image.
        let detached = said("losetup", &["--detach", &device]);
        std::fs::remove_file(&image)?;
        made?;
        let mounted = Self {
            kind,
            at,
            device: Some(device),
            _dir: Some(dir),
        };
        detached?;
        Ok(mounted)
    }

    /// Where data goes.
    pub(super) fn dir(&self) -> &Path {
        &self.at
    }

    pub(super) fn device(&self) -> Option<Device> {
        match &self.device {
            Some(device) => Device::named(device),
            None => Device::below(&self.at),
        }
    }

    /// Its name and what it is.
    pub(super) fn describe(&self) -> Result<(String, String)> {
        let found = Facts::gather(&self.at)?.file_system;
        let name = self.kind.name(&found.kind);
        let on = match &self.device {
            Some(_) => "a loop device over a sparse image on the first; made with defaults",
            None => found.disk.as_str(),
        };
        Ok((name, format!("{} ({}), on {on}", found.kind, found.options)))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.device.is_none() {
            return;
        }
        let at = self.at.display().to_string();
        for _ in 0..40 {
            if said("umount", &[&at]).is_ok() {
                return;
            }
            // A process that is ending may hold it yet.
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = said("umount", &["--lazy", &at]);
    }
}

fn attach(image: &Path) -> Result<String> {
    let image = image.display().to_string();
    let find = ["--find", "--show"];
    // Without it, what the loop device writes would pass a second page cache.
    let direct = said("losetup", &[find[0], find[1], "--direct-io=on", &image]);
    let device = direct.or_else(|_| said("losetup", &[find[0], find[1], &image]));
    Ok(device.context("no loop device")?.trim().to_owned())
}

fn make(name: &str, device: &str, at: &Path) -> Result<()> {
    said(&format!("mkfs.{name}"), &["-q", "-f", device])?;
    said("mount", &["-t", name, device, &at.display().to_string()])?;
    Ok(())
}

/// Mounts of this process are its own from now on.
fn alone() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("mounts of one's own are not allowed here")?;
    said("mount", &["--make-rprivate", "/"])?;
    Ok(())
}

/// Installs what is missing, where that is possible.
fn tool(name: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    let mut places = std::env::split_paths(&path).chain(usual);
    if places.any(|place| place.join(name).exists()) {
        return Ok(());
    }
    eprintln!("{name} is missing: apt-get install {package}");
    let install = ["install", "-y", "--no-install-recommends", package];
    said("apt-get", &install).with_context(|| format!("{name} is missing; install {package}"))?;
    Ok(())
}

/// Runs a command: what it printed.
fn said(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{program} {}: {why}", args.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
