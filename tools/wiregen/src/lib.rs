//! Writes `engine/wire/src/generated` from the schemas inside the Apache Kafka jars.
//!
//! [`schema`] reads them, [`model`] resolves them, [`code`] writes a message, [`files`] puts the
//! messages into files with the tables that list them, [`java`] asks Kafka's own classes for
//! what no schema tells (error codes) and for the bytes that the codecs are tested against.
//!
//! After a change of the pinned version, or of this program:
//! `cargo run -p odradek-wiregen -- --fetch --golden`.
//!
//! No sentence of the schemas gets into the code.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod code;
mod decode;
mod encode;
pub mod errors;
pub mod files;
pub mod golden;
pub mod jars;
pub mod java;
pub mod model;
pub mod records;
pub mod schema;
