//! Whether a connection would do better at another shard. Pure.
//!
//! It goes where its last requests have all gone. Each time it has moved it must insist twice as
//! long: one that changes its mind regularly is soon left in peace.

/// Requests in a row that concern one other shard before a connection goes there first.
const RUN: u32 = 16;
/// The insistence grows up to this many times twofold.
const DOUBLINGS_MAX: u32 = 6;

/// What the last requests of a connection concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    shard: u32,
    run: u32,
    moves: u32,
}

impl Streak {
    /// Of a connection that has moved so many times.
    pub fn after(moves: u32) -> Self {
        Streak {
            moves,
            ..Streak::default()
        }
    }

    /// How many times the connection will have moved once it has moved now.
    pub fn next(&self) -> u32 {
        self.moves.saturating_add(1)
    }

    /// A request concerned this shard alone.
    #[inline]
    pub fn note(&mut self, shard: u32) {
        if self.shard != shard {
            *self = Streak {
                shard,
                ..Streak::after(self.moves)
            };
        }
        self.run = self.run.saturating_add(1);
    }

    /// A request concerned several shards.
    pub fn mixed(&mut self) {
        self.run = 0;
    }

    /// Where the connection should go, if not to stay `here`.
    #[inline]
    pub fn bound_for(&self, here: u32) -> Option<u32> {
        let insistence = RUN << self.moves.min(DOUBLINGS_MAX);
        (self.shard != here && self.run >= insistence).then_some(self.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(streak: &mut Streak, shard: u32, times: u32) {
        (0..times).for_each(|_| streak.note(shard));
    }

    #[test]
    fn a_connection_goes_where_all_its_requests_go() {
        let mut streak = Streak::default();
        run(&mut streak, 2, RUN - 1);
        assert_eq!(streak.bound_for(1), None);
        streak.note(2);
        assert_eq!(streak.bound_for(1), Some(2));
        assert_eq!(streak.bound_for(2), None);
        // One that concerns another shard, or several, starts the count anew.
        streak.note(1);
        assert_eq!(streak.bound_for(3), None);
        run(&mut streak, 2, RUN - 1);
        assert_eq!(streak.bound_for(1), None);
        streak.note(2);
        assert_eq!(streak.bound_for(1), Some(2));
        streak.mixed();
        run(&mut streak, 2, RUN - 1);
        assert_eq!(streak.bound_for(1), None);
    }

    #[test]
    fn each_move_makes_the_next_one_harder_up_to_a_point() {
        let mut moves = 0;
        for doublings in 0..40 {
            let mut streak = Streak::after(moves);
            let needed = RUN << doublings.min(DOUBLINGS_MAX);
            run(&mut streak, 1, needed - 1);
            assert_eq!(streak.bound_for(0), None);
            streak.note(1);
            assert_eq!(streak.bound_for(0), Some(1));
            moves = streak.next();
        }
    }
}
