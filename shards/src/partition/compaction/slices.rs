//! A cleaning's work in stretches, and what others get in between.
//!
//! A request goes through several passes of its shard. A stretch is short, so that none of them takes
//! long; as long as others have something to do it is followed by a rest, so that most passes have no
//! stretch in them, and it does not begin in a pass that has something to do for others, whose
//! operations would wait for its end. When nobody else has anything to do there are no rests.

use std::future::Future;

use odradek_engine::io::Io;

use super::Partition;
use super::clean::{CleanError, Means};
use crate::runtime::next_pass;

/// A stretch ends after this time, nanoseconds: at the end of the step in which it is over,
const STRETCH: u64 = 100_000;
/// or after so many steps: also where time stands still while a task runs.
const STEPS: u32 = 64;
/// Others who had something to do are taken to have more for so long, nanoseconds.
const LIVELY: u64 = 5_000_000;
/// Passes that have something to do for others before a stretch begins all the same.
const GIVE_WAY: u32 = 8;

/// Which share of the shard's time a cleaning takes while others have something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// A fifth.
    Small,
    /// A half: it would not keep up.
    Half,
}

impl Share {
    /// How long a rest is for each nanosecond of work.
    fn rest(self) -> u64 {
        match self {
            Share::Small => 4,
            Share::Half => 1,
        }
    }
}

/// When a stretch ends, and how long a rest is. Times are nanoseconds.
struct Turns {
    share: Share,
    /// When the stretch began; earlier if one before it was not made up for.
    began: u64,
    steps: u32,
    /// Until when others are taken to have something to do.
    lively_until: u64,
}

impl Turns {
    /// A step was made: whether the stretch is over.
    fn over(&mut self, now: u64) -> bool {
        self.steps += 1;
        self.steps >= STEPS || now.saturating_sub(self.began) >= STRETCH
    }

    /// Until when to rest, at the end of a stretch.
    fn rest_until(&self, now: u64) -> u64 {
        let worked = now.saturating_sub(self.began);
        match now < self.lively_until {
            true => now.saturating_add(worked.saturating_mul(self.share.rest())),
            false => now,
        }
    }

    /// Others had something to do just now.
    fn others(&mut self, now: u64) {
        self.lively_until = now + LIVELY;
    }

    fn begin(&mut self, now: u64) {
        (self.began, self.steps) = (now, 0);
    }

    /// The time from `from` on was others': what was worked before is made up for by that much.
    fn waited(&mut self, from: u64, now: u64) {
        let worked = from.saturating_sub(self.began);
        let made_up = now.saturating_sub(from) / self.share.rest();
        self.began = now - worked.saturating_sub(made_up).min(now);
    }
}

/// See the module.
pub(super) struct Slices<'a> {
    partition: &'a Partition,
    pub(super) means: &'a Means<'a>,
    turns: Turns,
}

impl<'a> Slices<'a> {
    /// From now on.
    pub(super) fn new(partition: &'a Partition, means: &'a Means<'a>) -> Self {
        let turns = Turns {
            share: means.share,
            began: partition.ground.io.clock(),
            steps: 0,
            lively_until: 0,
        };
        Slices {
            partition,
            means,
            turns,
        }
    }

    fn io(&self) -> &'a Io {
        &self.partition.ground.io
    }

    /// After each step: lets others go on if it is their turn.
    #[inline]
    pub(super) async fn step(&mut self) -> Result<(), CleanError> {
        match self.turns.over(self.io().clock()) {
            true => self.pause().await,
            false => Ok(()),
        }
    }

    async fn pause(&mut self) -> Result<(), CleanError> {
        let io = self.io();
        let until = self.turns.rest_until(io.clock());
        let mut polls = io.polls();
        if until > io.clock() {
            io.sleep_until(until).await;
        } else {
            next_pass(io).await;
        }
        for _ in 0..GIVE_WAY {
            // One was this task's.
            if io.polls().wrapping_sub(polls) <= 1 {
                break;
            }
            self.turns.others(io.clock());
            polls = io.polls();
            next_pass(io).await;
        }
        self.turns.begin(io.clock());
        self.partition.go_on()
    }

    /// What does not take the shard's time: reading, writing.
    pub(super) async fn aside<T>(&mut self, operation: impl Future<Output = T>) -> T {
        let from = self.io().clock();
        let done = operation.await;
        self.turns.waited(from, self.io().clock());
        done
    }

    /// So many bytes were read or written.
    pub(super) async fn moved(&mut self, bytes: u64) -> Result<(), CleanError> {
        let partition = self.partition;
        let go_on = || partition.go_on().is_ok();
        let (io, pace) = (self.io(), self.means.pace);
        self.aside(pace.spend(io, bytes, go_on)).await;
        partition.go_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(share: Share) -> Turns {
        Turns {
            share,
            began: 1_000,
            steps: 0,
            lively_until: 0,
        }
    }

    #[test]
    fn a_stretch_ends_in_time_or_after_enough_steps() {
        let mut turns = turns(Share::Small);
        assert!(!turns.over(1_000 + STRETCH - 1));
        assert!(turns.over(1_000 + STRETCH));
        turns.begin(5_000_000);
        assert!((1..STEPS).all(|_| !turns.over(5_000_000)));
        assert!(turns.over(5_000_000));
    }

    #[test]
    fn others_get_their_share_while_they_have_something_to_do() {
        for (share, rest) in [(Share::Small, 400), (Share::Half, 100)] {
            let mut turns = turns(share);
            assert_eq!(turns.rest_until(1_100), 1_100, "nobody else");
            turns.others(1_050);
            assert_eq!(turns.rest_until(1_100), 1_100 + rest);
            turns.begin(1_050 + LIVELY - 100);
            assert!(turns.rest_until(1_050 + LIVELY - 1) > 1_050 + LIVELY - 1);
            assert_eq!(turns.rest_until(1_050 + LIVELY), 1_050 + LIVELY);
        }
    }

    #[test]
    fn what_was_waited_makes_up_for_work() {
        let mut turns = turns(Share::Small);
        turns.waited(1_100, 1_300);
        assert_eq!(1_300 - turns.began, 50, "100 worked, 200 waited");
        turns.waited(1_300, 9_000);
        assert_eq!(turns.began, 9_000, "never more than it was");
    }
}
