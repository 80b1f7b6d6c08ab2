//! What the system says of this process, its threads and its disk.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeValLike;

use crate::metrics::{DiskFigures, ProcessFigures};
use crate::runtime::LogDirs;

/// Seconds that a thread of this process ran, and that it waited for a CPU while it was ready to
/// run (`/proc/<pid>/task/<tid>/schedstat`, nanoseconds).
pub(super) fn thread_seconds(thread: i32) -> Option<(f64, f64)> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next()?.parse::<u64>().ok();
    let (ran, waited) = (next()?, next()?);
    Some((ran as f64 / 1e9, waited as f64 / 1e9))
}

/// The process, and the file systems of its log directories.
pub(super) fn process(log_dirs: &LogDirs) -> ProcessFigures {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    let limit = getrlimit(Resource::RLIMIT_NOFILE).ok();
    ProcessFigures {
        resident_bytes: resident(),
        open_files: open_files(),
        open_files_max: limit.map(|(soft, _)| soft),
        cpu_seconds: usage.map(|usage| {
            let microseconds =
                usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
            microseconds as f64 / 1e6
        }),
        disks: log_dirs
            .logs()
            .map(|number| {
                let path = log_dirs.path(number);
                let offline = log_dirs.failed(number).is_some();
                DiskFigures {
                    directory: path.display().to_string(),
                    offline,
                    // A disk that has failed may never answer.
                    bytes: (!offline).then(|| disk(path)).flatten(),
                }
            })
            .collect(),
    }
}

/// How many descriptors are open. Since Linux 6.2 that is the directory's size; before, it has to be
/// read whole.
fn open_files() -> Option<u64> {
    let directory = Path::new("/proc/self/fd");
    match fs::metadata(directory).ok()?.len() {
        0 => Some(fs::read_dir(directory).ok()?.count() as u64),
        known => Some(known),
    }
}

fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim();
    kib.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Free for this process, and in all.
fn disk(log_dir: &Path) -> Option<(u64, u64)> {
    let found = statvfs(log_dir).ok()?;
    let unit = found.fragment_size();
    Some((found.blocks_available() * unit, found.blocks() * unit))
}
