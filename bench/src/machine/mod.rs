//! What the machine is, and what it is doing.

mod cpu;
mod facts;
mod limits;
mod memory;
mod setup;

pub(crate) use cpu::{Busy, CpuClock, allowed_core, allowed_cores, cores_of_process, pin};
pub(crate) use facts::Facts;
pub(crate) use limits::raise as raise_limits;
pub(crate) use memory::{reset_peak, resident};
