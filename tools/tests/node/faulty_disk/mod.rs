//! A file system that fails on demand: everything in it lies in a directory of the test's own, and
//! passes through this process, which can be told to fail, to tear or to hold calls, and to forget
//! what was not flushed.
//!
//! Needs /dev/fuse, and the right to mount.

mod faults;
mod file_system;
mod nodes;
mod pass_through;
mod unflushed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{BackgroundSession, Config, MountOption};
use tempfile::TempDir;

use self::faults::Faults;
pub use self::faults::{Call, Fault, Rule};
use self::pass_through::PassThrough;
use crate::common::skip;

/// Threads that serve calls: so many less one may be held.
const THREADS: usize = 4;

/// A mounted one; goes with its end.
pub struct FaultyDisk {
    session: Option<BackgroundSession>,
    faults: Arc<Faults>,
    point: PathBuf,
    _home: TempDir,
}

impl FaultyDisk {
    /// None, after [`skip`], where it cannot be mounted. `uncached`: nothing of a file's contents is
    /// kept by the kernel, every read comes here (FOPEN_DIRECT_IO).
    pub fn mount(uncached: bool) -> Option<FaultyDisk> {
        match Self::try_mount(uncached) {
            Ok(disk) => Some(disk),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    fn try_mount(uncached: bool) -> Result<FaultyDisk, String> {
        if !Path::new("/dev/fuse").exists() {
            return Err("a failing file system needs /dev/fuse (modprobe fuse)".into());
        }
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (below, point) = (home.path().join("below"), home.path().join("mounted"));
        for directory in [&below, &point] {
            fs::create_dir(directory).expect("a directory");
        }
        let faults = Arc::<Faults>::default();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faulty".into())];
        config.n_threads = Some(THREADS);
        let file_system = PassThrough::new(&below, faults.clone(), uncached);
        let session = fuser::spawn_mount(file_system, &point, &config)
            .map_err(|error| format!("a FUSE file system cannot be mounted: {error}"))?;
        Ok(FaultyDisk {
            session: Some(session),
            faults,
            point,
            _home: home,
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// From now on calls that fit go wrong.
    pub fn inject(&self, rule: Rule) {
        self.faults.inject(rule);
    }

    /// How many calls went wrong since the last [`repair`](Self::repair).
    pub fn hits(&self) -> usize {
        self.faults.hits()
    }

    /// From now on nothing goes wrong; calls that are held go on.
    pub fn repair(&self) {
        self.faults.clear();
    }

    /// As when power is lost: what was written and not flushed is gone. Directory entries stay.
    /// Nobody may have files open. How many pages were lost.
    pub fn lose_power(&self) -> usize {
        self.faults.lose_power()
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        self.repair();
        let session = self.session.take().expect("mounted until now");
        // A node that a failing test has left behind may still use it: then it goes with it.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.point)
            .status();
        drop(session);
    }
}
