//! One operation as the kernel takes it: a submission entry, or a result at once.

use std::net::SocketAddr;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{opcode, squeue};
use nix::sys::socket::{SockaddrLike, SockaddrStorage};

use super::direct;
use crate::bytes::Part;
use crate::io::calls::files::open_flags;
use crate::io::calls::{self, sockets};
use crate::io::op::{Cache, Op};

/// What an operation became.
#[allow(clippy::large_enum_variant)] // an entry is 64 bytes and lives for a moment
pub(super) enum Prepared {
    Entry(squeue::Entry),
    Finished(i32),
}

/// What the kernel reads besides the operation itself; kept in place until completion.
pub(super) struct Scratch {
    vectors: Vec<libc::iovec>,
    message: libc::msghdr,
    address: SockaddrStorage,
    /// The socket of a connect under way.
    connecting: Option<i32>,
    accepting: bool,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            vectors: Vec::new(),
            // SAFETY: all-zero is a valid, empty msghdr.
            message: unsafe { std::mem::zeroed() },
            address: SockaddrStorage::from(SocketAddr::from(([0, 0, 0, 0], 0))),
            connecting: None,
            accepting: false,
        }
    }
}

impl Scratch {
    fn gather(&mut self, parts: &[Part], skip: usize) {
        calls::gather(&mut self.vectors, parts, skip);
    }

    /// The entry for `op`, or its result if it was done at once. `group`: provided buffers.
    pub(super) fn prepare(&mut self, op: &mut Op, group: Option<u16>) -> Prepared {
        let entry = match op {
            Op::Vacant => unreachable!("an empty slot was submitted"),
            Op::Accept { listener } => {
                self.accepting = true;
                opcode::Accept::new(Fd(listener.0), std::ptr::null_mut(), std::ptr::null_mut())
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
            }
            Op::Connect { address } => {
                let socket = match sockets::socket(*address) {
                    Ok(socket) => socket,
                    Err(errno) => return Prepared::Finished(-errno),
                };
                self.address = SockaddrStorage::from(*address);
                self.connecting = Some(socket);
                opcode::Connect::new(Fd(socket), self.address.as_ptr(), self.address.len()).build()
            }
            Op::RecvProvided { socket } => {
                let Some(group) = group else {
                    return Prepared::Finished(-libc::ENOBUFS);
                };
                opcode::Recv::new(Fd(socket.0), std::ptr::null_mut(), 0)
                    .buf_group(group)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
            Op::Recv {
                socket,
                block,
                start,
                len,
                all,
            } => opcode::Recv::new(Fd(socket.0), block.ptr(*start as usize), *len)
                .flags(if *all { libc::MSG_WAITALL } else { 0 })
                .build(),
            Op::Send { socket, parts } => {
                let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
                self.gather(parts, 0);
                if let [one] = self.vectors[..] {
                    opcode::Send::new(Fd(socket.0), one.iov_base.cast(), one.iov_len as u32)
                        .flags(flags)
                        .build()
                } else {
                    self.message.msg_iov = self.vectors.as_mut_ptr();
                    self.message.msg_iovlen = self.vectors.len() as _;
                    opcode::SendMsg::new(Fd(socket.0), &self.message)
                        .flags(flags as u32)
                        .build()
                }
            }
            Op::SendZeroCopy {
                socket,
                parts,
                skip,
            } => {
                self.gather(parts, *skip);
                self.message.msg_iov = self.vectors.as_mut_ptr();
                self.message.msg_iovlen = self.vectors.len() as _;
                opcode::SendMsgZc::new(Fd(socket.0), &self.message)
                    .flags((libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32)
                    .build()
            }
            Op::SpliceIn {
                file,
                pos,
                pipe,
                len,
                worker: true,
            } => opcode::Splice::new(Fd(file.0), *pos as i64, Fd(pipe.0), -1, *len).build(),
            Op::Writable { socket } => {
                opcode::PollAdd::new(Fd(socket.0), libc::POLLOUT as u32).build()
            }
            Op::Shutdown { socket } => opcode::Shutdown::new(Fd(socket.0), libc::SHUT_RDWR).build(),
            Op::Write {
                file,
                pos,
                parts,
                dsync,
                cache,
            } => {
                let mut flags = if *dsync { libc::RWF_DSYNC } else { 0 };
                if *cache == (Cache::Through { uncached: true }) {
                    flags |= libc::RWF_DONTCACHE;
                }
                self.gather(parts, 0);
                let entry = if let [one] = self.vectors[..] {
                    opcode::Write::new(Fd(file.0), one.iov_base.cast(), one.iov_len as u32)
                        .offset(*pos)
                        .rw_flags(flags)
                        .build()
                } else {
                    opcode::Writev::new(
                        Fd(file.0),
                        self.vectors.as_ptr(),
                        self.vectors.len() as u32,
                    )
                    .offset(*pos)
                    .rw_flags(flags)
                    .build()
                };
                match cache {
                    Cache::AsOpened => entry,
                    // A file system that takes buffered writes on the ring would wait for the
                    // disk on this thread.
                    Cache::Through { .. } => entry.flags(squeue::Flags::ASYNC),
                }
            }
            Op::Read {
                file,
                pos,
                block,
                start,
                len,
                cached,
            } => opcode::Read::new(Fd(file.0), block.ptr(*start as usize), *len)
                .offset(*pos)
                .rw_flags(if *cached { libc::RWF_NOWAIT } else { 0 })
                .build(),
            Op::DataSync { file } => opcode::Fsync::new(Fd(file.0))
                .flags(FsyncFlags::DATASYNC)
                .build(),
            Op::Sync { file } => opcode::Fsync::new(Fd(file.0)).build(),
            Op::Allocate { file, pos, len } => opcode::Fallocate::new(Fd(file.0), *len)
                .offset(*pos)
                .build(),
            Op::Open { path, mode } => opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
                .flags(open_flags(*mode))
                .mode(0o644)
                .build(),
            Op::Close { handle } => opcode::Close::new(Fd(handle.0)).build(),
            Op::Rename { from, to } => opcode::RenameAt::new(
                Fd(libc::AT_FDCWD),
                from.as_ptr(),
                Fd(libc::AT_FDCWD),
                to.as_ptr(),
            )
            .build(),
            Op::Remove { path } => opcode::UnlinkAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).build(),
            Op::RemoveDir { path } => opcode::UnlinkAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
                .flags(libc::AT_REMOVEDIR)
                .build(),
            Op::MakeDir { path } => opcode::MkDirAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
                .mode(0o755)
                .build(),
            Op::Wake { peer } => match peer.ring() {
                Some(ring) => opcode::MsgRingData::new(Fd(ring.0), 0, super::WOKEN, None).build(),
                None => {
                    peer.deliver();
                    return Prepared::Finished(0);
                }
            },
            Op::Truncate { .. }
            | Op::Listen { .. }
            | Op::Sendfile { .. }
            | Op::Pipe { .. }
            | Op::SpliceIn { worker: false, .. }
            | Op::SpliceOut { .. }
            | Op::WriteNow { .. }
            | Op::Size { .. }
            | Op::DataAfter { .. }
            | Op::SyncFileSystem { .. }
            | Op::List { .. }
            | Op::Space { .. }
            | Op::Resident { .. }
            | Op::Peer { .. } => {
                if let Op::WriteNow { parts, .. } = &*op {
                    self.gather(parts, 0);
                }
                return Prepared::Finished(direct::perform(op, &self.vectors));
            }
        };
        Prepared::Entry(entry)
    }

    /// Turns the kernel's result into the operation's.
    pub(super) fn finish(&mut self, result: i32) -> i32 {
        if let Some(socket) = self.connecting.take() {
            if result < 0 {
                sockets::close(socket);
                return result;
            }
            sockets::connected(socket);
            return socket;
        }
        if std::mem::take(&mut self.accepting) && result >= 0 {
            sockets::connected(result);
        }
        result
    }
}
