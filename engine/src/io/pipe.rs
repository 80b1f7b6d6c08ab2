//! A pipe between page cache and a socket.

use super::{Errno, Handle, Io, Op};

/// Holds pages on their way, by reference. Its ends close when it is dropped, and what is in it is
/// lost.
pub struct Pipe {
    io: Io,
    read: Handle,
    write: Handle,
}

impl Pipe {
    /// An empty one that holds `len` bytes, or what the system allows (`fs.pipe-max-size`).
    /// `None` where the driver has none, or there are too many open files.
    pub async fn open(io: &Io, len: usize) -> Option<Pipe> {
        if !io.pipes() {
            return None;
        }
        let op = Op::Pipe {
            len: len as u32,
            ends: [Handle(-1); 2],
        };
        let done = io.submit(op).await;
        let (Ok(_), Op::Pipe { ends, .. }) = (done.result, done.op) else {
            return None;
        };
        let [read, write] = ends;
        let io = io.clone();
        Some(Pipe { io, read, write })
    }

    /// Moves up to `len` bytes of a file to a socket: bytes moved, fewer where the pipe is small or
    /// the file ends. `worker` as in [`Op::SpliceIn`].
    ///
    /// # Errors
    /// The pipe is of no more use: something may be left in it.
    pub async fn carry(
        &mut self,
        file: Handle,
        pos: u64,
        len: usize,
        socket: Handle,
        worker: bool,
    ) -> Result<usize, Errno> {
        let filled = loop {
            let op = Op::SpliceIn {
                file,
                pos,
                pipe: self.write,
                len: len as u32,
                worker,
            };
            match self.io.submit(op).await.result {
                Err(Errno(libc::EINTR | libc::EAGAIN)) => {}
                filled => break filled? as usize,
            }
        };
        let mut left = filled;
        while left > 0 {
            let op = Op::SpliceOut {
                pipe: self.read,
                socket,
                len: left as u32,
            };
            match self.io.submit(op).await.result {
                Ok(0) => return Err(Errno(libc::EPIPE)),
                Ok(moved) => left -= moved as usize,
                Err(Errno(libc::EAGAIN)) => {
                    self.io.submit(Op::Writable { socket }).await.result?;
                }
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(filled)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for handle in [self.read, self.write] {
            drop(self.io.submit(Op::Close { handle }));
        }
    }
}
