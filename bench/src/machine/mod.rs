//! What the machine is, and what it is doing.

mod cachestat;
mod calm;
mod cgroup;
mod cpu;
mod facts;
mod limits;
mod memory;
mod quiet;
mod setup;

pub(crate) use cachestat::page_cache_of;
pub(crate) use calm::wait_until_calm;
pub(crate) use cgroup::MemoryGroup;
pub(crate) use cpu::{Busy, CpuClock, allowed_core, allowed_cores, cores_of_process, pin};
pub(crate) use facts::{Facts, free_bytes};
pub(crate) use limits::{open_files, raise as raise_limits};
pub(crate) use memory::{descriptors, reset_peak, resident, slab, socket_buffers};
pub(crate) use quiet::wait_until_quiet;
