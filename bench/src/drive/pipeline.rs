//! So many requests over one connection, several unanswered at a time, and all their answers.
//!
//! For work with a beginning and an end, as a transaction has; [`super::saturate()`] has neither.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::Connection;
use super::saturate::Work;

/// As many as Kafka's clients have.
const IN_FLIGHT: usize = 5;
/// No reply at all for so long: the server hangs.
const SILENCE_MAX_MS: u16 = 20_000;

/// See the module.
pub(crate) struct Pipeline {
    connection: Connection,
}

impl Pipeline {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let connection = Connection::open(address)?;
        Ok(Self { connection })
    }

    /// Asks `count` times, and returns what the answers are worth together.
    ///
    /// # Errors
    /// What the work says of an answer; a server that hangs or hangs up.
    pub(crate) fn run(&mut self, work: &mut impl Work, count: usize) -> Result<u64> {
        self.run_while(work, |asked| asked < count)
    }

    /// Asks while `more` of the number asked so far, and then takes what is outstanding. Returns
    /// what the answers are worth together.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_while(
        &mut self,
        work: &mut impl Work,
        more: impl Fn(usize) -> bool,
    ) -> Result<u64> {
        let connection = &mut self.connection;
        let (mut asked, mut answered, mut worth) = (0, 0, 0);
        loop {
            while connection.has_room(IN_FLIGHT) && more(asked) {
                connection.ask(Instant::now(), |correlation, out| {
                    work.request(0, correlation, out)
                })?;
                asked += 1;
                connection.flush()?;
            }
            if answered == asked {
                return Ok(worth);
            }
            let mut events = PollFlags::POLLIN;
            events.set(PollFlags::POLLOUT, connection.unsent());
            let mut fds = [PollFd::new(connection.fd(), events)];
            let ready = poll(&mut fds, PollTimeout::from(SILENCE_MAX_MS))?;
            let silence = Duration::from_millis(u64::from(SILENCE_MAX_MS));
            let address = connection.address();
            ensure!(ready > 0, "no reply from {address} within {silence:?}");
            let events = fds[0].revents().unwrap_or(PollFlags::empty());
            if events.contains(PollFlags::POLLOUT) {
                connection.flush()?;
            }
            if events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                connection.receive(|reply, _| {
                    worth += work.reply(0, reply)?;
                    answered += 1;
                    Ok(())
                })?;
            }
        }
    }
}
