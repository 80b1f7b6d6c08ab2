//! The account of the memory that a shard's tails hold, and who gives some back when it is too
//! much: the oldest.

use std::collections::VecDeque;
use std::rc::Weak;

use super::{Ground, Partition, State};

/// Entries below which stale ones are left alone.
const STALE_MIN: usize = 1024;

/// What a partition took at one time.
struct Taken {
    by: Weak<Partition>,
    /// How often it had rested by then: what it took before it rested is gone.
    rested: u32,
    bytes: usize,
}

/// Partitions in the order in which they took memory.
#[derive(Default)]
pub struct Tails {
    queue: VecDeque<Taken>,
    /// Entries past which stale ones are taken out.
    sweep_at: usize,
}

impl Tails {
    fn push(&mut self, taken: Taken) {
        self.queue.push_back(taken);
        if self.queue.len() > self.sweep_at.max(STALE_MIN) {
            self.queue.retain(|taken| {
                let partition = taken.by.upgrade();
                partition.is_some_and(|it| match it.state.try_borrow() {
                    Ok(state) => state.rested == taken.rested,
                    // It is the one that takes memory now.
                    Err(_) => true,
                })
            });
            self.sweep_at = 2 * self.queue.len();
        }
    }
}

impl Partition {
    /// Keeps the shard's account of tail memory.
    pub(super) fn account(&self, state: &mut State) {
        let now = state.log.tail_bytes();
        let before = std::mem::replace(&mut state.tail_bytes, now);
        let ground = &self.ground;
        ground
            .tail_bytes
            .set(ground.tail_bytes.get() + now - before);
        if now > before {
            ground.tails.borrow_mut().push(Taken {
                by: self.me.clone(),
                rested: state.rested,
                bytes: now - before,
            });
        }
    }
}

impl Ground {
    /// Bytes that a tail may take ahead of what is appended to it. The last block of a tail cannot be
    /// let go of while it is written to: so all of those together stay within half of what tails may hold,
    /// or are a page each.
    pub(super) fn tail_share(&self) -> usize {
        self.tail_bytes_max / 2 / self.lively.borrow().len().max(1)
    }

    /// Lets go of the oldest tails' memory while there is more than allowed.
    pub fn trim(&self) {
        let mut tries = self.tails.borrow().queue.len();
        while self.tail_bytes.get() > self.tail_bytes_max && tries > 0 {
            tries -= 1;
            let oldest = self.tails.borrow_mut().queue.pop_front();
            let Some(mut oldest) = oldest else {
                break;
            };
            let Some(partition) = oldest.by.upgrade() else {
                continue;
            };
            let Ok(mut state) = partition.state.try_borrow_mut() else {
                continue;
            };
            if state.rested != oldest.rested {
                continue;
            }
            let keep = state.progress.durable();
            let freed = state.log.evict(keep);
            let held = state.log.tail_bytes();
            let before = std::mem::replace(&mut state.tail_bytes, held);
            self.tail_bytes.set(self.tail_bytes.get() - (before - held));
            let mut tails = self.tails.borrow_mut();
            if freed.is_none() && state.journaled.is_some() {
                // It may be waiting for more to be written with it.
                partition.write_all(&mut state);
            }
            // What could not be let go now (not written yet) is asked again later.
            match freed {
                None if held > 64 << 10 => tails.queue.push_back(oldest),
                None => {}
                Some(freed) if freed < oldest.bytes => {
                    oldest.bytes -= freed;
                    tails.queue.push_front(oldest);
                }
                Some(_) => {}
            }
        }
    }
}
