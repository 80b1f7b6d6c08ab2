//! A bound on a process's memory, page cache included: a control group of its own below this
//! process's.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A group; removed when dropped, once its processes have ended.
pub(crate) struct MemoryGroup {
    dir: PathBuf,
    limit_file: &'static str,
}

impl MemoryGroup {
    /// A new group that may use `limit` bytes.
    ///
    /// # Errors
    /// Where groups cannot be made: not root, or no memory controller.
    pub(crate) fn new(limit: u64) -> Result<Self> {
        let (parent, limit_file) = parent()?;
        let dir = parent.join(format!("odradek-bench-{}", std::process::id()));
        let made = std::fs::create_dir(&dir);
        made.with_context(|| format!("a memory limit needs a control group: {}", dir.display()))?;
        let group = Self { dir, limit_file };
        std::fs::write(group.dir.join(limit_file), limit.to_string())
            .with_context(|| format!("{limit_file} of {}", group.dir.display()))?;
        Ok(group)
    }

    /// The limit in force, as the kernel has it: bytes.
    pub(crate) fn limit(&self) -> Result<u64> {
        let path = self.dir.join(self.limit_file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let limit = text.trim().parse();
        limit.with_context(|| format!("{}: {text:?} is no limit", path.display()))
    }

    /// Who writes "0" into it enters the group (cgroups(7)).
    pub(crate) fn procs(&self) -> Result<File> {
        let path = self.dir.join("cgroup.procs");
        File::options()
            .write(true)
            .open(&path)
            .with_context(|| path.display().to_string())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// This process's own group of the memory controller, and the name of the file with the limit.
fn parent() -> Result<(PathBuf, &'static str)> {
    let own = std::fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup")?;
    let of = |wanted: &str| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next()?;
            let found = controllers.split(',').any(|one| one == wanted);
            found.then(|| fields.next())?
        })
    };
    let below = |root: &str, path: &str| Path::new(root).join(path.trim_start_matches('/'));
    if let Some(path) = of("memory") {
        return Ok((
            below("/sys/fs/cgroup/memory", path),
            "memory.limit_in_bytes",
        ));
    }
    match of("") {
        Some(path) if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() => {
            Ok((below("/sys/fs/cgroup", path), "memory.max"))
        }
        _ => bail!("a memory limit needs control groups with a memory controller: there are none"),
    }
}
