//! Process limits that a node needs, raised as far as the system lets us.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Open files: segments, connections. Below this, a line says so.
const FILES_WANTED: u64 = 65_536;
/// Locked memory: rings on older kernels, registered buffers.
const LOCKED_WANTED: u64 = 64 << 20;

/// Raises what can be raised; says what could not, and what to do. Gives how many files may be
/// open.
pub(super) fn raise() -> Option<u64> {
    raise_one(
        Resource::RLIMIT_NOFILE,
        FILES_WANTED,
        "open files",
        "nofile",
        1024,
    );
    raise_one(
        Resource::RLIMIT_MEMLOCK,
        LOCKED_WANTED,
        "locked memory",
        "memlock",
        8 << 20,
    );
    let files = getrlimit(Resource::RLIMIT_NOFILE);
    files.ok().map(|(soft, _)| soft)
}

fn raise_one(resource: Resource, wanted: u64, what: &str, name: &str, least: u64) {
    let Ok((soft, hard)) = getrlimit(resource) else {
        return;
    };
    if soft >= wanted {
        return;
    }
    // Root may lift the hard limit, too; others get as far as it allows.
    let raised = setrlimit(resource, wanted, hard.max(wanted)).is_ok()
        || setrlimit(resource, wanted.min(hard), hard).is_ok();
    let now = getrlimit(resource).map_or(soft, |limits| limits.0);
    if !raised || now < wanted {
        let serious = if now < least {
            ", which is too little"
        } else {
            ""
        };
        tracing::warn!(
            "the limit of {what} is {now}{serious}; {wanted} would be better: raise {name} in \
             /etc/security/limits.conf or the service's unit"
        );
    }
}
