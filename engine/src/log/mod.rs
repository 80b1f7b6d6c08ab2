//! The log as a planner.

pub mod epochs;
pub mod index;
pub mod producers;
