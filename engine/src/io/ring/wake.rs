//! Waking a sleeping ring from another thread.

use std::os::fd::AsRawFd;

use io_uring::types::Fd;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::io::called::Claim;
use crate::io::driver::RemoteWake;
use crate::io::op::Handle;

/// An eventfd that the ring keeps a read on. Many wakes before the ring looks are one write.
#[derive(Debug)]
pub(super) struct EventWake {
    event: EventFd,
    ring: Handle,
    claim: Claim,
}

impl EventWake {
    pub(super) fn new(ring: Handle) -> Result<Self, std::io::Error> {
        Ok(EventWake {
            event: EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?,
            ring,
            claim: Claim::new(),
        })
    }

    pub(super) fn fd(&self) -> Fd {
        Fd(self.event.as_raw_fd())
    }

    /// The ring is awake and is about to look: later wakes must be delivered again.
    pub(super) fn clear(&self) {
        self.claim.awake();
    }
}

impl RemoteWake for EventWake {
    fn claim(&self) -> bool {
        self.claim.call()
    }

    fn ring(&self) -> Option<Handle> {
        Some(self.ring)
    }

    fn deliver(&self) {
        // Fails only at 2^64 - 2 pending wakes, when the ring is awake anyway.
        let _ = self.event.write(1);
    }
}
