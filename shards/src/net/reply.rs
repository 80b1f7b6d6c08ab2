//! What a service gives back for a request.

use std::future::Future;
use std::pin::Pin;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::FileRange;
use odradek_wire::{DecodeError, EncodeError};

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

    /// How long it is.
    pub fn length(&self) -> u64 {
        let pieces = self.pieces.iter().map(|piece| match piece {
            ReplyPiece::Memory(part) => part.len() as u64,
            ReplyPiece::File(range) => range.len,
        });
        pieces.sum()
    }

    /// Adds memory.
    pub fn memory(&mut self, parts: Parts) {
        self.pieces
            .extend(parts.into_iter().map(ReplyPiece::Memory));
    }
}

/// A reply on its way.
pub type Later = Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

/// A small reply whose moment comes later; writing it takes no allocation of its own.
pub trait Pledge: 'static {
    /// Appends the whole reply, length and header included, if its moment has come.
    fn redeem(&self, out: &mut Vec<u8>) -> bool;

    /// Waits until it has come.
    fn wait(&self) -> impl Future<Output = ()>;
}

/// What a handler came to.
pub enum Outcome<P> {
    Reply(Reply),
    /// The reply comes later; the connection's next request is taken meanwhile, replies keep
    /// their order.
    Later(Later),
    /// The same, of a kind of which there are many.
    Pledged(P),
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

/// The same, with the request that was refused.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    #[error("{api} version {version}: {refusal}")]
    Refused {
        api: &'static str,
        version: i16,
        refusal: Refusal,
    },
    #[error("malformed request header: {0}")]
    Header(#[from] DecodeError),
    #[error("request for API key {0}, which is not served here")]
    UnknownApi(i16),
}
