//! What a handler is given, and what it gives back.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use odradek_engine::bytes::{Part, Parts};
use odradek_wire::{DecodeError, EncodeError, Message, Reader, Writer};

use super::produce::Produced;
use crate::broker::Broker;
use crate::net::Peer;
use crate::partition::FileRange;

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
}

/// A piece of a reply, in order.
pub enum ReplyPiece {
    Memory(Part),
    File(FileRange),
}

/// A whole reply: length, header, body.
#[derive(Default)]
pub struct Reply {
    pub pieces: Vec<ReplyPiece>,
}

impl Reply {
    /// Of bytes alone.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Reply {
            pieces: vec![ReplyPiece::Memory(Part::Owned(bytes))],
        }
    }

    /// Adds memory.
    pub fn memory(&mut self, parts: Parts) {
        self.pieces
            .extend(parts.into_iter().map(ReplyPiece::Memory));
    }
}

/// What a handler came to.
pub enum Outcome {
    Reply(Reply),
    /// The reply comes later; the connection's next request is taken meanwhile, replies keep
    /// their order.
    Later(Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>),
    /// Records were appended: the reply waits for their mark, as [`Outcome::Later`].
    Produced(Produced),
    /// No reply (`acks=0`).
    Silent,
}

/// Why a connection is closed instead of being answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
    #[error("cannot answer: {0}")]
    Unanswerable(#[from] EncodeError),
    #[error("{0}")]
    Closed(&'static str),
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
