//! Threads that wait for the disk, so that the one with the sockets does not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::eventfd::{EfdFlags, EventFd};
use odradek_engine::bytes::Block;

use crate::floor::then::DEPTH;

/// What a thread does.
pub(super) enum Call {
    Read,
    /// With flags of pwritev2(2).
    Write(i32),
}

/// One call on a file opened with O_DIRECT.
struct Job {
    call: Call,
    fd: i32,
    memory: *mut u8,
    len: usize,
    offset: u64,
    id: u64,
}

// SAFETY: whoever submits a job leaves its memory alone until the job has come back.
unsafe impl Send for Job {}

type Done = (u64, io::Result<usize>, usize);

/// As many threads as calls may be in flight; they end with the process.
pub(super) struct Pool {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    woken: Arc<EventFd>,
}

impl Pool {
    pub(super) fn start() -> Result<Self> {
        let (jobs, taken) = sync_channel::<Job>(DEPTH);
        let taken = Arc::new(Mutex::new(taken));
        let (tell, done) = channel::<Done>();
        let woken = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        for _ in 0..DEPTH {
            let (taken, tell, woken) = (taken.clone(), tell.clone(), woken.clone());
            std::thread::spawn(move || {
                loop {
                    let job = taken.lock().map(|taken| taken.recv());
                    let Ok(Ok(job)) = job else { return };
                    let _ = tell.send((job.id, job.perform(), job.len));
                    let _ = woken.write(1);
                }
            });
        }
        Ok(Self { jobs, done, woken })
    }

    /// Readable when a job has come back. An edge is enough: [`Pool::back`] is asked until empty.
    pub(super) fn woken(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// `block` stays untouched until the job `id` is back.
    pub(super) fn submit(
        &self,
        call: Call,
        fd: i32,
        block: &Block,
        len: usize,
        offset: u64,
        id: u64,
    ) -> Result<()> {
        ensure!(len <= block.capacity(), "{len} bytes of a smaller block");
        let job = Job {
            call,
            fd,
            memory: block.ptr(0),
            len,
            offset,
            id,
        };
        self.jobs
            .try_send(job)
            .ok()
            .context("more jobs than threads")
    }

    /// A job that is done whole.
    pub(super) fn back(&self) -> Result<Option<u64>> {
        match self.done.try_recv() {
            Ok((id, result, len)) => {
                let bytes = result.context("direct I/O")?;
                ensure!(bytes == len, "{bytes} bytes of {len} read or written");
                Ok(Some(id))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("the pool's threads have ended"),
        }
    }

    /// Lets the next job wake again.
    pub(super) fn quiet(&self) {
        let _ = self.woken.read();
    }
}

impl Job {
    fn perform(&self) -> io::Result<usize> {
        let Self { fd, len, .. } = *self;
        let offset = self.offset as i64;
        let memory = libc::iovec {
            iov_base: self.memory.cast(),
            iov_len: len,
        };
        // SAFETY: the submitter keeps file and memory until this job is back, and checked that the
        // block has these bytes.
        let result = unsafe {
            match self.call {
                Call::Read => libc::preadv(fd, &raw const memory, 1, offset),
                Call::Write(flags) => libc::pwritev2(fd, &raw const memory, 1, offset, flags),
            }
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}
