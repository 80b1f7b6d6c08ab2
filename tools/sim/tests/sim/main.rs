//! Whole nodes on a simulated machine, with everything that can go wrong.
//!
//! Not in the test command yet: some seeds fail, and it is not known of each whether the node or the
//! oracle is wrong. `ODRADEK_SIM_SEEDS=<n>` runs the seeds below n and hunts the broken variants,
//! `ODRADEK_SIM_SEED=<n>` runs one seed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod seeds;
