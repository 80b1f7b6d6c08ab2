//! Trying again until a deadline, with growing pauses.

use std::thread;
use std::time::{Duration, Instant};

use super::ClientError;

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A point in time up to which something is tried, and the pauses between the tries.
#[derive(Debug, Clone)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
    pause: Duration,
}

impl Deadline {
    /// `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self {
            started: Instant::now(),
            limit,
            pause: PAUSE_FIRST,
        }
    }

    pub fn passed(&self) -> bool {
        self.started.elapsed() >= self.limit
    }

    /// What is left; zero once it has passed.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// Sleeps before the next try, for longer each time. Past the deadline, and for errors that
    /// no repetition mends, gives the error back.
    ///
    /// # Errors
    /// `error`, named as that of `what` where time ran out.
    pub fn pause_or_give_up(&mut self, what: &str, error: ClientError) -> Result<(), ClientError> {
        if !error.retriable() {
            return Err(error);
        }
        if self.passed() {
            return Err(ClientError::GaveUp {
                what: what.to_owned(),
                after: self.limit,
                last: Box::new(error),
            });
        }
        tracing::debug!("{what}: {error}; trying again");
        thread::sleep(self.pause.min(self.left()));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}
