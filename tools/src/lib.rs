//! What the `odradek` binary is made of: one file per subcommand, and a Kafka client.
//!
//! A library so that tests reach it. Nothing in the node depends on this crate.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program around the node

pub mod cli;
pub mod client;
mod common;
pub mod config;
pub mod consume;
pub mod doctor;
pub mod group;
pub mod log;
pub mod produce;
pub mod serve;
pub mod sim;
pub mod topic;
