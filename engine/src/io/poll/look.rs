//! Sleeping in epoll: to the nanosecond where the kernel can, else to the millisecond, never less
//! than asked.
//!
//! Source: epoll_wait(2), epoll_pwait2 since Linux 5.11.

use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};

/// See the module.
#[derive(Default)]
pub(super) struct Look {
    /// The kernel, or a filter of system calls, refuses the finer call.
    coarse: bool,
}

impl Look {
    /// Waits for events at most so long, forever if `None`. How many came.
    pub(super) fn wait(
        &mut self,
        epoll: &Epoll,
        events: &mut [EpollEvent],
        wait: Option<Duration>,
    ) -> Result<usize, Errno> {
        if let Some(wait) = wait.filter(|wait| !wait.is_zero() && !self.coarse) {
            match finely(epoll, events, wait) {
                Err(Errno::ENOSYS | Errno::EPERM) => self.coarse = true,
                waited => return waited,
            }
        }
        let timeout = match wait {
            None => EpollTimeout::NONE,
            Some(wait) => {
                let ms = wait.as_nanos().div_ceil(1_000_000);
                EpollTimeout::try_from(ms.min(i32::MAX as u128) as i32).unwrap_or(EpollTimeout::MAX)
            }
        };
        epoll.wait(events, timeout)
    }
}

fn finely(epoll: &Epoll, events: &mut [EpollEvent], wait: Duration) -> Result<usize, Errno> {
    let time = libc::timespec {
        tv_sec: wait.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: wait.subsec_nanos().into(),
    };
    let mask: *const libc::sigset_t = std::ptr::null();
    // SAFETY: the events are `epoll_event`s (a transparent wrapper) and as many as is said, the
    // time lives through the call, and no mask is given, whose length is then not looked at.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.0.as_raw_fd(),
            events.as_mut_ptr(),
            events.len(),
            &raw const time,
            mask,
            0usize,
        )
    };
    Errno::result(count).map(|count| count as usize)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // the clock is what this is about
mod tests {
    use std::time::Instant;

    use nix::sys::epoll::EpollCreateFlags;

    use super::*;

    #[test]
    fn it_sleeps_no_less_than_asked_either_way() {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let mut events = [EpollEvent::empty(); 4];
        for coarse in [false, true] {
            let mut look = Look { coarse };
            for wait in [Duration::from_micros(300), Duration::from_micros(1_500)] {
                let before = Instant::now();
                assert_eq!(look.wait(&epoll, &mut events, Some(wait)), Ok(0));
                assert!(before.elapsed() >= wait, "{:?}", before.elapsed());
            }
            assert_eq!(look.wait(&epoll, &mut events, Some(Duration::ZERO)), Ok(0));
            assert_eq!(look.coarse, coarse, "this kernel has the finer call");
        }
    }
}
