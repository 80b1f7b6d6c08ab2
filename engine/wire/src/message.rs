//! What all messages have in common, and the table of APIs.

use crate::error::{DecodeError, EncodeError};
use crate::generated::APIS;
use crate::reader::Reader;
use crate::writer::Writer;

/// A request, response, header or record that Kafka has a schema for.
pub trait Message<'a>: Sized {
    /// The API key of requests and responses, the type of records, else -1.
    const API_KEY: i16;
    /// Kafka's name of the schema.
    const NAME: &'static str;
    const MIN_VERSION: i16;
    /// The last stable version.
    const MAX_VERSION: i16;
    /// Whether one more version than `MAX_VERSION` is coded, which Kafka marks unstable.
    const LATEST_UNSTABLE: bool;
    /// The first version with compact lengths and tagged fields; `i16::MAX` where there is none.
    const FIRST_FLEXIBLE: i16;

    /// Reads a message of `version`; what follows it stays unread.
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;

    /// Appends the message at `version`. On an error, what was written of it remains.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// A request, and what answers it.
pub trait Request<'a>: Message<'a> {
    type Response<'r>: Message<'r>;
}

/// Who serves an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Broker,
    Controller,
}

/// An API, as its schema has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiInfo {
    pub key: i16,
    /// Kafka's name of the API, such as `Produce`.
    pub name: &'static str,
    /// Kafka's broker advertises `min_version` to `max_version`, but for Produce, which it
    /// advertises from 0 and serves from 3 (KAFKA-18659).
    pub min_version: i16,
    /// The last stable version.
    pub max_version: i16,
    pub latest_unstable: bool,
    /// `i16::MAX` where there is none.
    pub first_flexible_version: i16,
    pub listeners: &'static [Listener],
}

/// The API of that key.
pub fn api(key: i16) -> Option<&'static ApiInfo> {
    let index = APIS.binary_search_by_key(&key, |api| api.key).ok()?;
    APIS.get(index)
}

/// The version of the header that a request of this API and version (known or not) has; none
/// for an unknown API.
pub fn request_header_version(key: i16, version: i16) -> Option<i16> {
    api(key).map(|api| {
        if version >= api.first_flexible_version {
            2
        } else {
            1
        }
    })
}

/// The version of the header that a response of this API and version has; none for an unknown
/// API. That of ApiVersions is always 0, so that any client can read it (KIP-511).
pub fn response_header_version(key: i16, version: i16) -> Option<i16> {
    const API_VERSIONS: i16 = 18;
    api(key).map(|api| i16::from(key != API_VERSIONS && version >= api.first_flexible_version))
}
