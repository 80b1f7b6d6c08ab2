//! Limits of this process, raised as far as they may be.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises open files and locked memory to their hard limits. What cannot be raised stays: the
/// operation that then fails says so itself.
pub(crate) fn raise() {
    for resource in [Resource::RLIMIT_NOFILE, Resource::RLIMIT_MEMLOCK] {
        if let Ok((soft, hard)) = getrlimit(resource)
            && soft < hard
        {
            let _ = setrlimit(resource, hard, hard);
        }
    }
}

/// Files that a process started here may have open: `wanted`, if this process may raise its limits so
/// far (as root), or as many as it may.
pub(crate) fn open_files(wanted: u64) -> u64 {
    let hard = || getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    if hard() < wanted {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted);
    }
    hard()
}
