//! Who calls a driver that may sleep, and when it must be told: two protocols, without the telling.
//!
//! In both, whoever calls has put down first what it calls for, and the driver looks for that after
//! it said that it is awake. Then no call is lost, and many calls are told once.
//!
//! Every interleaving of them is gone through by `tools/models`, which compiles this very file.

use super::atomics::{AtomicBool, AtomicU8, Ordering};

/// For a driver that may always be told, asleep or not: told once until it looks again.
#[derive(Debug)]
pub struct Claim(AtomicBool);

impl Claim {
    /// Nobody has called.
    pub fn new() -> Self {
        Claim(AtomicBool::new(false))
    }

    /// Whether the caller is the one that must tell.
    pub fn call(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// The driver is awake and about to look: later calls must be told again.
    pub fn awake(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Looks at everything before it sleeps.
const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
/// Called since it looked last.
const CALLED: u8 = 2;

/// For a driver that is told only while it sleeps.
#[derive(Debug)]
pub struct Nap(AtomicU8);

impl Nap {
    /// Awake, and not called.
    pub fn new() -> Self {
        Nap(AtomicU8::new(AWAKE))
    }

    /// Whether the caller is the one that must tell.
    pub fn call(&self) -> bool {
        self.0.swap(CALLED, Ordering::SeqCst) == ASLEEP
    }

    /// The driver is about to sleep. False: it must not, it was called meanwhile.
    pub fn sleep(&self) -> bool {
        self.0
            .compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// The driver is awake and about to look at what it was called for.
    pub fn awake(&self) {
        self.0.store(AWAKE, Ordering::SeqCst);
    }
}
