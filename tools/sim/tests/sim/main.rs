//! The production shard on a simulated machine: whole nodes with everything that can go wrong, and
//! parts of one by themselves.
//!
//! A failure names its seed and the command that runs it again; `ODRADEK_SIM_SEED=<n>` runs one seed,
//! `ODRADEK_SIM_SEEDS=<n>` those from 100 to n besides.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod beside;
mod clean_start;
mod durable;
mod moves;
mod seeds;
mod tail;
