//! The instrument: floors, a driver for any Kafka-protocol server, and reports.
//!
//! Every figure stands beside the cheapest program that moves the same bytes on the same machine.
//! Two CPU figures each: the server's process, and the whole machine less its idle baseline and
//! less the driver's own process; the second also holds the kernel's work outside the process.
//!
//! Invariants: server and driver are separate processes pinned to separate cores; a run is
//! measured in a window after its warm-up, never from its start; bytes are those of record
//! batches, GB are 10⁹ bytes.
//!
//! Two ways to load: [`open`], at the load's own pace, latencies counted from each message's
//! intended time; and closed loops that saturate, whose latencies are marked as such. What was found
//! says itself whether it is whole ([`report`]).
//!
//! Absent on purpose: several driver machines, real networks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // an instrument reads clocks

pub mod cli;
mod contest;
mod drive;
mod floor;
pub mod load;
mod machine;
mod matrix;
mod measurement;
pub mod open;
mod peers;
mod readme;
mod record;
pub mod report;
mod scenario;
mod window;
