//! Codecs for the Kafka protocol and for the records that Kafka keeps in its own logs.
//!
//! Everything under `generated` is written by `odradek-wiregen` from the message schemas of
//! the pinned Apache Kafka version: one module per API (request and response together),
//! [`metadata_records`], [`group_records`], [`transaction_records`], [`share_records`] and
//! [`data`]. `cargo run -p odradek-wiregen -- --fetch --golden` writes it, and the files it is
//! tested against, anew. What is written by hand here is what generated code stands on.
//!
//! Invariants:
//! - Decoding never panics, and its memory is bounded by the input's length and by the
//!   [`Reader`]'s budget, whatever the counts in the input claim.
//! - Decoded strings, bytes and records borrow from the input.
//! - Encoding writes exactly the bytes that Kafka's own serialisation writes, and refuses what
//!   Kafka's refuses: a set field that the version cannot carry, a null where none may stand.
//! - [`Records::External`] leaves a [`Gap`], so record bytes need not pass through memory.
//!
//! Absent on purpose: I/O, record batches (opaque bytes here), unknown tagged fields (skipped,
//! not kept), and judgement: a decoded error code or enum-like number is the number it was.

mod error;
mod framing;
mod generated;
mod message;
mod reader;
mod records;
mod uuid;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use framing::METADATA_FRAME_VERSION;
pub use generated::*;
pub use message::{
    ApiInfo, Listener, Message, Request, api, request_header_version, response_header_version,
};
pub use reader::{BUDGET_DEFAULT, Reader};
pub use records::{Gap, Records};
pub use uuid::{ParseUuidError, Uuid};
pub use writer::{SizeMark, TagMark, Writer};
