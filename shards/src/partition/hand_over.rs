//! A partition moves to another shard: its files stay, its state goes along in memory.
//!
//! The old shard's partition [leaves](Partition::leave): it takes and shows nothing more, and those
//! who follow its end hear of it. When all that it took is written, its log is
//! [handed over](Partition::hand_over); the new shard's [takes it over](Partition::take_over)
//! without reading it, and begins a leader epoch.
//!
//! What is written is flushed first: a log that is taken over knows its last batch only, and could
//! not tell where *visible* ends before that; and the kernel tells of a failed flush once, so a file
//! opened after that would seem sound.
//!
//! Invariant: nothing of the old partition writes or removes a file after the hand-over.

use std::rc::Rc;

use odradek_engine::log::Recovered;
use odradek_engine::types::Offset;

use super::open::{Entries, failed};
use super::undurable::Undurable;
use super::{Ground, OpenError, Opening, Partition};

/// What a shard gives another with a partition.
pub struct HandOver {
    log: Recovered,
    durable: Offset,
    /// What is not durable keeps its age: the new shard's flusher tries again what a first flush
    /// leaves.
    undurable: Undurable,
}

impl Partition {
    /// Takes and shows nothing more. Who waits for a mark goes on waiting.
    pub fn leave(&self) {
        let mut state = self.state.borrow_mut();
        if state.leaving.is_some() {
            return;
        }
        state.leaving = Some(Rc::default());
        for reader in state.readers.drain(..) {
            if let Some(reader) = reader.upgrade() {
                reader.raise();
            }
        }
    }

    /// Whether it has left: whoever asks for it must go elsewhere.
    pub fn left(&self) -> bool {
        self.state.borrow().left()
    }

    /// Waits until all is written and durable, then gives the log away. Only after
    /// [`leave`](Self::leave).
    ///
    /// `None`: its storage has failed, or the shard stops. Then, too, nothing of it touches its
    /// files any more, and what is on disk is the log; unless the shard stops.
    pub async fn hand_over(&self) -> Option<HandOver> {
        loop {
            let leaving = {
                let mut state = self.state.borrow_mut();
                self.start_seals(&mut state);
                self.kick(&mut state);
                if state.closed || state.quiet() && state.poisoned.is_some() {
                    return None;
                }
                let settled = state.quiet() && state.log.settled();
                if settled && state.progress.stored() < state.log.next() {
                    self.start_flush(&mut state);
                } else if settled {
                    state.handed_over = true;
                    state.journaled = None;
                    let durable = state.progress.stored();
                    let undurable = std::mem::take(&mut state.undurable);
                    let log = state.log.hand_over();
                    return Some(HandOver {
                        log,
                        durable,
                        undurable,
                    });
                }
                state.leaving.clone().expect("it has left")
            };
            leaving.raised().await;
        }
    }

    /// Goes on with what another shard has handed over.
    pub async fn take_over(
        ground: &Rc<Ground>,
        opening: Opening,
        given: HandOver,
    ) -> Result<Rc<Partition>, OpenError> {
        let HandOver {
            log,
            durable,
            undurable,
        } = given;
        let (name, next) = (opening.name.clone(), log.next);
        let active = log.segments.back().expect("an active segment").base;
        let partition =
            Partition::begin(ground, opening, log, durable, undurable, Entries::Durable);
        let partition = partition.await?;
        if durable < next {
            // Earlier segments are finished, which made them durable; a flush reaches open files.
            let file = partition.file(active, true).await;
            file.map_err(failed(&name, "opening its active segment"))?;
            partition.start_flush(&mut partition.state.borrow_mut());
        }
        Ok(partition)
    }
}
