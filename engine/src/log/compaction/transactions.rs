//! Which batches of transactions can go, while a log is gone over from its start.
//!
//! What belongs to an aborted transaction can go at once. A marker can go only when none of its
//! transaction's batches was met: in an earlier cleaning they went, or in the same one were dropped
//! record by record. An abort marker whose data goes in this cleaning stays for the next.
//!
//! Source: Kafka `CleanedTransactionMetadata`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::log::Aborted;
use crate::record::{BatchInfo, ControlType};
use crate::types::{Map, Offset, ProducerId, Set};

struct Meeting {
    transaction: Aborted,
    /// A batch of it was met.
    met: bool,
}

/// See the module.
#[derive(Default)]
pub struct Transactions {
    /// By first offset, those that the walk has not come to.
    ahead: BinaryHeap<Reverse<Aborted>>,
    aborted: Map<ProducerId, Meeting>,
    /// Producers of which a batch was met that is not of an aborted transaction.
    committed: Set<ProducerId>,
    /// Those whose markers stay: for the new segments' `.txnindex`.
    kept: Vec<Aborted>,
}

impl Transactions {
    /// With the aborted transactions of all that will be gone over; each once.
    pub fn new(aborted: impl IntoIterator<Item = Aborted>) -> Self {
        Self {
            ahead: aborted.into_iter().map(Reverse).collect(),
            ..Self::default()
        }
    }

    fn come_to(&mut self, offset: Offset) {
        while let Some(Reverse(next)) = self.ahead.peek().filter(|next| next.0.first <= offset) {
            let transaction = *next;
            self.ahead.pop();
            let known = self.aborted.get(&transaction.producer_id);
            if known.is_none_or(|known| known.transaction.last < transaction.first) {
                let met = false;
                let meeting = Meeting { transaction, met };
                self.aborted.insert(transaction.producer_id, meeting);
            }
        }
    }

    /// A batch of data: whether it belongs to an aborted transaction, so that it can go.
    pub fn data(&mut self, batch: &BatchInfo) -> bool {
        self.come_to(batch.last_offset());
        if !batch.is_transactional() {
            return false;
        }
        // What lies behind an abort is not of it, even if its marker was never met.
        let aborted = self.aborted.get_mut(&batch.producer_id);
        match aborted.filter(|aborted| batch.base_offset <= aborted.transaction.last) {
            Some(aborted) => {
                aborted.met = true;
                true
            }
            None => {
                self.committed.insert(batch.producer_id);
                false
            }
        }
    }

    /// A control batch, with its marker (the outer `None`: it was emptied before; the inner one: its
    /// kind is not known): whether it can go.
    #[allow(clippy::option_option)]
    pub fn control(&mut self, batch: &BatchInfo, kind: Option<Option<ControlType>>) -> bool {
        self.come_to(batch.last_offset());
        match kind {
            None => true,
            Some(Some(ControlType::Abort)) => match self.aborted.remove(&batch.producer_id) {
                Some(aborted) if aborted.met => {
                    self.kept.push(aborted.transaction);
                    false
                }
                _ => true,
            },
            Some(Some(ControlType::Commit)) => !self.committed.remove(&batch.producer_id),
            Some(_) => false,
        }
    }

    /// The aborted transactions whose markers stay, met since the last call, in their order.
    pub fn take_kept(&mut self) -> Vec<Aborted> {
        std::mem::take(&mut self.kept)
    }
}
