//! Which driver a node's shards run on: `io.driver`.
//!
//! Decided once for all shards: connections go from one to another, and the drivers keep sockets in
//! different modes.
#![allow(clippy::disallowed_methods)] // before any shard runs

use std::time::Duration;

use super::driver::Driver;
use super::poll::{PollDriver, PollError, PollOptions};
use super::ring::{Ring, RingError, RingOptions};
use super::strategy::strategies;
use crate::bytes::Pool;

strategies! {
    /// What is wanted.
    DriverChoice {
        /// io_uring, or epoll where that is refused.
        Auto = "auto",
        /// io_uring, or nothing.
        Ring = "ring",
        /// epoll and threads.
        Poll = "poll",
    }
}

strategies! {
    /// What there is.
    DriverKind {
        /// [`super::ring`].
        Ring = "ring",
        /// [`super::poll`].
        Poll = "poll",
    }
}

/// What a choice came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub kind: DriverKind,
    /// Why it is not the one preferred, and what to do about that: one line.
    pub fallback: Option<String>,
}

/// Why there is no driver.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("io.driver=ring: {0}; or set io.driver=auto")]
    Refused(String),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Poll(#[from] PollError),
}

impl DriverChoice {
    /// Asks the system for what is wanted.
    ///
    /// # Errors
    /// A ring is wanted by name and refused.
    pub fn decide(self) -> Result<Chosen, DriverError> {
        let none = |kind| {
            let fallback = None;
            Ok(Chosen { kind, fallback })
        };
        if self == DriverChoice::Poll {
            return none(DriverKind::Poll);
        }
        let Err(error) = super::ring::probe() else {
            return none(DriverKind::Ring);
        };
        let (why, remedy) = Surroundings::gather().explain(&error);
        match self {
            DriverChoice::Auto => Ok(Chosen {
                kind: DriverKind::Poll,
                fallback: Some(format!(
                    "io_uring is refused: {why}; the node runs on epoll and threads \
                     (io.driver=poll), at a higher cost per request. To use io_uring, {remedy}"
                )),
            }),
            _ => Err(DriverError::Refused(format!(
                "io_uring is refused: {why}; {remedy}"
            ))),
        }
    }
}

impl DriverKind {
    /// A driver for this thread, with receive buffers from `pool`.
    ///
    /// # Errors
    /// The system refuses it, or has no more of something.
    pub fn open(self, pool: &Pool) -> Result<Box<dyn Driver>, DriverError> {
        self.open_spinning(pool, Duration::ZERO)
    }

    /// The same; a ring looks for completions for so long before it sleeps.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_spinning(
        self,
        pool: &Pool,
        spin: Duration,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let options = RingOptions {
            spin,
            ..RingOptions::default()
        };
        Ok(match self {
            DriverKind::Ring => Box::new(Ring::new(options, pool)?),
            DriverKind::Poll => Box::new(PollDriver::new(PollOptions::default(), pool)?),
        })
    }
}

/// What may stand between a process and io_uring.
#[derive(Default)]
struct Surroundings {
    /// `kernel.io_uring_disabled` (Linux 6.6): 1 leaves it to the privileged and to one group, 2
    /// to nobody.
    disabled: Option<u32>,
    /// The process runs under a seccomp filter.
    filtered: bool,
}

impl Surroundings {
    fn gather() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        let seccomp = status
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp:"));
        Surroundings {
            disabled: read("/proc/sys/kernel/io_uring_disabled")
                .trim()
                .parse()
                .ok(),
            filtered: seccomp.is_some_and(|mode| mode.trim() == "2"),
        }
    }

    /// Why a ring is refused, and what to do.
    fn explain(&self, error: &std::io::Error) -> (String, &'static str) {
        const SYSCTL: &str = "set sysctl kernel.io_uring_disabled=0";
        const PROFILE: &str = "run it with a seccomp profile that allows io_uring_setup, \
                               io_uring_enter and io_uring_register (docker run --security-opt \
                               seccomp=FILE)";
        const KERNEL: &str = "run Linux 5.19 or newer, built with CONFIG_IO_URING";
        let name = match error.raw_os_error() {
            Some(libc::EPERM) => "EPERM".to_owned(),
            Some(libc::EACCES) => "EACCES".to_owned(),
            Some(libc::ENOSYS) => "ENOSYS".to_owned(),
            _ => error.to_string(),
        };
        match (error.raw_os_error(), self.disabled) {
            (Some(libc::EPERM), Some(how @ 1..)) => {
                (format!("{name}, kernel.io_uring_disabled={how}"), SYSCTL)
            }
            (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) if self.filtered => (
                format!("{name} from a seccomp filter, as Docker's default profile is one"),
                PROFILE,
            ),
            (Some(libc::ENOSYS), _) => (format!("{name}, the kernel has none"), KERNEL),
            (Some(libc::EPERM | libc::EACCES), _) => {
                (format!("{name} from a security policy"), "allow it there")
            }
            (Some(libc::ENOMEM), _) => (name, "allow more locked memory (ulimit -l)"),
            (Some(libc::EMFILE | libc::ENFILE), _) => (name, "allow more open files (ulimit -n)"),
            _ => (name, KERNEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(disabled: Option<u32>, filtered: bool, errno: i32) -> (String, &'static str) {
        let error = std::io::Error::from_raw_os_error(errno);
        Surroundings { disabled, filtered }.explain(&error)
    }

    #[test]
    fn each_refusal_is_told_from_the_others() {
        for (disabled, filtered, errno, why, remedy) in [
            (
                Some(2),
                true,
                libc::EPERM,
                "EPERM, kernel.io_uring_disabled=2",
                "sysctl",
            ),
            (
                Some(1),
                false,
                libc::EPERM,
                "kernel.io_uring_disabled=1",
                "sysctl",
            ),
            (
                Some(0),
                true,
                libc::EPERM,
                "EPERM from a seccomp filter",
                "io_uring_setup",
            ),
            (
                None,
                true,
                libc::ENOSYS,
                "ENOSYS from a seccomp filter",
                "io_uring_setup",
            ),
            (
                None,
                false,
                libc::ENOSYS,
                "ENOSYS, the kernel has none",
                "5.19",
            ),
            (
                Some(0),
                false,
                libc::EPERM,
                "EPERM from a security policy",
                "allow",
            ),
            (Some(0), false, libc::ENOMEM, "os error 12", "ulimit -l"),
            (Some(0), true, libc::EMFILE, "os error 24", "ulimit -n"),
        ] {
            let (found, to_do) = explained(disabled, filtered, errno);
            assert!(found.contains(why), "{found} without {why}");
            assert!(to_do.contains(remedy), "{to_do} without {remedy}");
        }
    }

    #[test]
    fn what_is_asked_for_by_name_is_what_comes() {
        let poll = DriverChoice::Poll.decide().expect("epoll is everywhere");
        assert_eq!((poll.kind, poll.fallback), (DriverKind::Poll, None));
    }
}
