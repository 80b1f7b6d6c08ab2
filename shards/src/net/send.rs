//! Sending a reply: memory gathered, file ranges as the strategy has it.

use std::rc::Rc;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::strategy::read::{Outlet, ReadStrategy};
use odradek_engine::io::{Errno, Handle, Io, SourceRange};

use super::idle::Activity;
use super::reply::{Reply, ReplyPiece};

/// Small replies are written one after the other into memory of this size, at least.
const SMALL_BYTES: usize = 16 << 10;
/// Parts of one gathered send (IOV_MAX is 1024).
const PARTS_MAX: usize = 64;

/// Sends replies in order, as few calls as possible.
pub struct Sender {
    outlet: Outlet,
    gathered: Parts,
    /// Small replies that come after what has gathered.
    small: Vec<u8>,
    activity: Rc<Activity>,
}

impl Sender {
    pub(super) fn new(
        io: &Io,
        socket: Handle,
        strategy: ReadStrategy,
        activity: Rc<Activity>,
    ) -> Self {
        Sender {
            activity,
            outlet: Outlet::new(io, socket, strategy),
            gathered: Parts::new(),
            small: Vec::new(),
        }
    }

    /// Whether more small replies may be gathered before [`Sender::flush`].
    pub fn takes_small(&self) -> bool {
        self.small.len() < SMALL_BYTES / 2
    }

    /// Where a small reply is appended.
    pub fn small(&mut self) -> &mut Vec<u8> {
        if self.small.capacity() == 0 {
            self.small.reserve(SMALL_BYTES);
        }
        &mut self.small
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            let small = std::mem::take(&mut self.small);
            self.gathered.push(Part::Owned(small));
        }
    }

    /// Takes a reply; what is in memory may wait for [`Sender::flush`].
    pub async fn push(&mut self, reply: Reply) -> Result<(), Errno> {
        self.settle();
        for piece in reply.pieces {
            match piece {
                ReplyPiece::Memory(part) => {
                    self.gathered.push(part);
                    if self.gathered.len() >= PARTS_MAX {
                        self.flush().await?;
                    }
                }
                ReplyPiece::File(range) => self.range(range.into()).await?,
                ReplyPiece::Lent(range) => self.range(range.into()).await?,
            }
        }
        Ok(())
    }

    /// Sends a range of a file after what has gathered.
    async fn range(&mut self, range: SourceRange) -> Result<(), Errno> {
        self.flush().await?;
        self.activity.sending(true);
        // Apart from the connection's own state: an idle one keeps none of it.
        let sent = Box::pin(self.outlet.range(range)).await;
        self.activity.sending(false);
        sent
    }

    /// Sends what has gathered.
    pub async fn flush(&mut self) -> Result<(), Errno> {
        self.settle();
        if self.gathered.is_empty() {
            return Ok(());
        }
        let parts = std::mem::take(&mut self.gathered);
        self.activity.sending(true);
        let sent = self.outlet.memory(parts).await;
        self.activity.sending(false);
        sent
    }
}
