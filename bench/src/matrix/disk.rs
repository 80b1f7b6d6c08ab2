//! What a block device has read and written.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A block device's counters.
#[derive(Clone, Debug)]
pub(super) struct Device {
    stat: PathBuf,
}

/// Bytes, since the machine started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    read: u64,
    written: u64,
}

/// Bytes between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) device_read: u64,
    pub(super) device_written: u64,
    /// Of record batches that the node took, or sent.
    pub(super) node: u64,
}

impl Moved {
    /// Bytes written to the device per byte of the node's.
    pub(super) fn written_per_byte(&self) -> f64 {
        self.device_written as f64 / self.node as f64
    }

    pub(super) fn read_per_byte(&self) -> f64 {
        self.device_read as f64 / self.node as f64
    }
}

impl Device {
    /// The one below a directory; none for file systems without one of their own.
    pub(super) fn below(dir: &Path) -> Option<Self> {
        let number = std::fs::metadata(dir).ok()?.dev();
        let (major, minor) = (libc::major(number), libc::minor(number));
        Self::at(PathBuf::from(format!(
            "/sys/dev/block/{major}:{minor}/stat"
        )))
    }

    /// `/dev/NAME`.
    pub(super) fn named(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/dev/")?;
        Self::at(PathBuf::from(format!("/sys/class/block/{name}/stat")))
    }

    fn at(stat: PathBuf) -> Option<Self> {
        stat.exists().then_some(Self { stat })
    }

    /// Once everything that is on its way to any disk has arrived.
    pub(super) fn settled(&self) -> Result<Counts> {
        nix::unistd::sync();
        self.now()
    }

    /// Source: the kernel's Documentation/block/stat.rst; sectors are of 512 bytes.
    pub(super) fn now(&self) -> Result<Counts> {
        const SECTOR: u64 = 512;
        let text = std::fs::read_to_string(&self.stat)
            .with_context(|| format!("cannot read {}", self.stat.display()))?;
        let fields: Vec<u64> = text
            .split_whitespace()
            .map_while(|n| n.parse().ok())
            .collect();
        let &[_, _, read, _, _, _, written, ..] = fields.as_slice() else {
            anyhow::bail!("{} has an unknown form", self.stat.display());
        };
        Ok(Counts {
            read: read * SECTOR,
            written: written * SECTOR,
        })
    }
}

impl Counts {
    pub(super) fn since(self, before: Counts, node: u64) -> Moved {
        Moved {
            device_read: self.read.saturating_sub(before.read),
            device_written: self.written.saturating_sub(before.written),
            node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_and_synced_is_counted() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let Some(device) = Device::below(dir.path()) else {
            return; // no device of its own
        };
        let before = device.now().unwrap();
        std::fs::write(dir.path().join("file"), vec![1; 1 << 20]).unwrap();
        let moved = device.settled().unwrap().since(before, 1 << 20);
        assert!(moved.written_per_byte() >= 1.0, "{moved:?}");
    }
}
