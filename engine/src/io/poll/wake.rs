//! Waking a sleeping driver from another thread.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::io::called::Nap;
use crate::io::driver::RemoteWake;

/// An eventfd that is written only to a driver that sleeps. Nobody reads it: the edge of each
/// write is the event.
#[derive(Debug)]
pub(super) struct PollWake {
    event: EventFd,
    state: Nap,
}

impl PollWake {
    pub(super) fn new() -> Result<Self, std::io::Error> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(PollWake {
            event: EventFd::from_flags(flags)?,
            state: Nap::new(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// The driver is about to sleep. False: it must not, it was called meanwhile.
    pub(super) fn sleep(&self) -> bool {
        self.state.sleep()
    }

    /// The driver is awake and about to look at what it was called for.
    pub(super) fn awake(&self) {
        self.state.awake();
    }
}

impl RemoteWake for PollWake {
    fn claim(&self) -> bool {
        self.state.call()
    }

    fn deliver(&self) {
        // Fails only after 2^64 - 2 calls.
        let _ = self.event.write(1);
    }
}
