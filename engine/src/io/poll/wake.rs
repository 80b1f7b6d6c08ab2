//! Waking a sleeping driver from another thread.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::io::driver::RemoteWake;

/// Looks at everything before it sleeps.
const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
/// Called since it looked last.
const CALLED: u8 = 2;

/// An eventfd that is written only to a driver that sleeps. Nobody reads it: the edge of each
/// write is the event.
#[derive(Debug)]
pub(super) struct PollWake {
    event: EventFd,
    state: AtomicU8,
}

impl PollWake {
    pub(super) fn new() -> Result<Self, std::io::Error> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(PollWake {
            event: EventFd::from_flags(flags)?,
            state: AtomicU8::new(AWAKE),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// The driver is about to sleep. False: it must not, it was called meanwhile.
    pub(super) fn sleep(&self) -> bool {
        let (awake, asleep) = (AWAKE, ASLEEP);
        self.state
            .compare_exchange(awake, asleep, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// The driver is awake and about to look at what it was called for.
    pub(super) fn awake(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }
}

impl RemoteWake for PollWake {
    fn claim(&self) -> bool {
        self.state.swap(CALLED, Ordering::SeqCst) == ASLEEP
    }

    fn deliver(&self) {
        // Fails only after 2^64 - 2 calls.
        let _ = self.event.write(1);
    }
}
