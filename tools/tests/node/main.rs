//! A real node, asked over the wire: what bad input gets, what storage keeps, how a process fails.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../common/mod.rs"]
mod common;

mod bad_batches;
mod bad_frames;
mod checkpoints;
mod commands;
mod compaction;
mod connection_limits;
mod crowd;
mod deletion;
mod directories;
mod disk_errors;
mod drivers;
mod failing_disk;
mod faulty_disk;
mod flow;
mod full_disk;
mod fuzz;
mod growth;
mod heavy;
mod loading;
mod log_dirs;
mod malformed;
mod metrics;
mod moves;
mod one_address;
mod process;
mod quotas;
mod random_disk_errors;
mod recovery;
mod rolling;
mod settings;
mod side_files;
mod small_disk;
mod snapshots;
mod sockets;
mod strategies;
mod telemetry;
mod timeouts;
mod topics;
mod transactions;
