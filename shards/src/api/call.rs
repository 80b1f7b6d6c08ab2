//! What a handler is given, and how it answers.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use odradek_engine::bytes::Block;
use odradek_wire::{Message, Reader, Writer};

use super::broker::Broker;
use super::{Outcome, Peer};
use crate::net::{Refusal, Reply};

/// One request.
pub struct Call<'a> {
    pub broker: &'a Rc<Broker>,
    /// Who asks.
    pub peer: &'a Rc<Peer>,
    pub api_key: i16,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a str>,
    /// The request after its header.
    pub body: &'a [u8],
    /// What it was received into, if that is its own.
    pub block: Option<&'a Block>,
}

/// A handler's future.
pub type Handled<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + 'a>>;

impl<'a> Call<'a> {
    /// Reads the request.
    pub fn decode<M: Message<'a>>(&self) -> Result<M, Refusal> {
        let mut reader = Reader::new(self.body);
        Ok(M::decode(&mut reader, self.version)?)
    }

    /// Answers.
    pub fn reply<'m, M: Message<'m>>(&self, message: &M) -> Result<Outcome, Refusal> {
        encode_reply(self.api_key, self.version, self.correlation_id, message)
            .map(|(bytes, _)| Outcome::Reply(Reply::bytes(bytes)))
    }
}

/// A reply's bytes from its length on, and the gaps left for record bytes that stay outside.
pub fn encode_reply<'m, M: Message<'m>>(
    api_key: i16,
    version: i16,
    correlation_id: i32,
    message: &M,
) -> Result<(Vec<u8>, Vec<odradek_wire::Gap>), Refusal> {
    let mut writer = Writer::new(Vec::with_capacity(128));
    let size = writer.begin_size();
    writer.i32(correlation_id);
    if odradek_wire::response_header_version(api_key, version) == Some(1) {
        // No tagged fields.
        writer.uvarint(0);
    }
    message.encode(&mut writer, version)?;
    writer.end_size(size)?;
    Ok(writer.into_parts())
}
