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
use std::time::Duration;

use odradek_engine::log::Recovered;
use odradek_engine::mutant::{self, Mutant};

use super::open::Entries;
use super::{Ahead, Ground, OpenError, Opening, Partition};

/// How long a move waits, while the partition still serves, for what need not be waited for when it
/// has left.
const AHEAD: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(1);

/// What a shard gives another with a partition: its log, which is durable to its end.
pub struct HandOver(Recovered, Option<Ahead>);

impl Partition {
    /// Flushes what is written by now, and waits for segments that are being finished, but not for
    /// long: it goes on serving meanwhile, and [`hand_over`](Self::hand_over) has the less to wait
    /// for.
    pub async fn flush_ahead(&self) {
        if mutant::is(Mutant::MoveUnflushed) {
            return;
        }
        let upto = self.standing().written;
        for _ in 0..AHEAD.as_millis() / LOOK.as_millis() {
            {
                let mut state = self.state.borrow_mut();
                let stored = state.progress.stored() >= upto;
                if stored && !state.log.finishing()
                    || state.closed
                    || state.left()
                    || state.poisoned.is_some()
                {
                    return;
                }
                if !stored {
                    self.store_all(&mut state);
                    self.start_flush(&mut state);
                }
            }
            self.ground.io.sleep(LOOK).await;
        }
    }

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
                let flushed = state.progress.stored() >= state.log.next();
                let careless = mutant::is(Mutant::MoveUnflushed);
                if settled && !flushed && !careless {
                    self.start_flush(&mut state);
                } else if settled {
                    state.handed_over = true;
                    state.journaled = None;
                    return Some(HandOver(state.log.hand_over(), state.ahead.take()));
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
        Partition::begin(ground, opening, given.0, Entries::Durable(given.1)).await
    }
}
