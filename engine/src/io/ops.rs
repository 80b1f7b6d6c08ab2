//! The operations as a shard's code calls them.

use std::ffi::CString;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use super::core::Io;
use super::op::{Cache, Done, Errno, Handle, Op, OpenMode};
use super::provided::Provided;
use crate::bytes::{Block, PAGE, Part, Parts, parts_len};

/// What a receive brought.
pub enum Received {
    /// Bytes in a buffer lent by the driver.
    Provided(Provided),
    /// Bytes at the start of a pool block (when no provided buffer was free).
    Block(Block, u32),
    /// The peer has finished sending.
    End,
}

fn path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno(libc::EINVAL))
}

impl Io {
    /// Listens on `address`; returns the listener and the address it got (for port 0).
    pub async fn listen(
        &self,
        address: SocketAddr,
        shared: bool,
    ) -> Result<(Handle, SocketAddr), Errno> {
        let done = self.submit(Op::Listen { address, shared }).await;
        let handle = Handle(done.result? as i32);
        let Op::Listen { address, .. } = done.op else {
            unreachable!()
        };
        Ok((handle, address))
    }

    /// Accepts one connection.
    pub async fn accept(&self, listener: Handle) -> Result<Handle, Errno> {
        let done = self.submit(Op::Accept { listener }).await;
        Ok(Handle(done.result? as i32))
    }

    /// Connects.
    pub async fn connect(&self, address: SocketAddr) -> Result<Handle, Errno> {
        let done = self.submit(Op::Connect { address }).await;
        Ok(Handle(done.result? as i32))
    }

    /// A socket's peer address, if it still has one.
    pub async fn peer(&self, socket: Handle) -> Option<SocketAddr> {
        let op = Op::Peer {
            socket,
            address: None,
        };
        match self.submit(op).await.op {
            Op::Peer { address, .. } => address,
            _ => unreachable!(),
        }
    }

    /// Receives what is there.
    pub async fn receive(&self, socket: Handle) -> Result<Received, Errno> {
        let done = self.submit(Op::RecvProvided { socket }).await;
        match done.result {
            Ok(0) => Ok(Received::End),
            Ok(_) => Ok(Received::Provided(
                done.provided.expect("a receive brings its buffer"),
            )),
            Err(Errno(libc::ENOBUFS)) => {
                let block = self.pool().take(4 * PAGE);
                let len = block.capacity();
                let (result, block) = self.receive_into(socket, block, 0, len, false).await;
                Ok(match result? {
                    0 => Received::End,
                    n => Received::Block(block, n as u32),
                })
            }
            Err(errno) => Err(errno),
        }
    }

    /// Receives into `block[start..start + len]`; with `all`, until it is full or the stream
    /// ends. The caller holds no part of that range.
    pub async fn receive_into(
        &self,
        socket: Handle,
        block: Block,
        start: usize,
        len: usize,
        all: bool,
    ) -> (Result<usize, Errno>, Block) {
        assert!(start + len <= block.capacity());
        let mut block = block;
        let mut got = 0;
        loop {
            let done = self
                .submit(Op::Recv {
                    socket,
                    block,
                    start: (start + got) as u32,
                    len: (len - got) as u32,
                    all,
                })
                .await;
            let Op::Recv { block: back, .. } = done.op else {
                unreachable!()
            };
            block = back;
            match done.result {
                Ok(n) => {
                    got += n as usize;
                    if n == 0 || !all || got == len {
                        return (Ok(got), block);
                    }
                }
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return (Err(errno), block),
            }
        }
    }

    /// Sends a gather list whole.
    pub async fn send(&self, socket: Handle, parts: Parts) -> Result<(), Errno> {
        let mut parts = parts;
        loop {
            let wanted = parts_len(&parts);
            let done = self.submit(Op::Send { socket, parts }).await;
            let sent = match done.result {
                Ok(0) if wanted > 0 => return Err(Errno(libc::EPIPE)),
                Ok(sent) => sent as usize,
                Err(Errno(libc::EINTR)) => 0,
                Err(errno) => return Err(errno),
            };
            if sent >= wanted {
                return Ok(());
            }
            let Op::Send { parts: back, .. } = done.op else {
                unreachable!()
            };
            parts = after(back, sent);
        }
    }

    /// Sends a gather list whole, out of the memory itself. On return the socket has taken it; the
    /// memory is let go when the network has.
    pub async fn send_zero_copy(&self, socket: Handle, parts: Parts) -> Result<(), Errno> {
        if !self.zero_copy() {
            return self.send(socket, parts).await;
        }
        let (wanted, parts) = (parts_len(&parts), Rc::new(parts));
        let mut sent = 0;
        while sent < wanted {
            let op = Op::SendZeroCopy {
                socket,
                parts: parts.clone(),
                skip: sent,
            };
            match self.submit(op).await.result {
                Ok(0) => return Err(Errno(libc::EPIPE)),
                Ok(n) => sent += n as usize,
                Err(Errno(libc::EINTR)) => {}
                // Too much is pinned already: this once, it is copied.
                Err(Errno(libc::ENOMEM | libc::ENOBUFS)) => {
                    let rest = after(Parts::clone(&parts), sent);
                    return self.send(socket, rest).await;
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Sends `[pos, pos + len)` of a file out of page cache. Ends early (with the count sent)
    /// at the file's end.
    pub async fn sendfile(
        &self,
        socket: Handle,
        file: Handle,
        pos: u64,
        len: usize,
    ) -> Result<usize, Errno> {
        let mut sent = 0;
        while sent < len {
            let op = Op::Sendfile {
                socket,
                file,
                pos: pos + sent as u64,
                len: (len - sent).min(crate::limits::SENDFILE_BYTES_MAX) as u32,
            };
            match self.submit(op).await.result {
                Ok(0) => break,
                Ok(n) => sent += n as usize,
                Err(Errno(libc::EAGAIN)) => {
                    self.submit(Op::Writable { socket }).await.result?;
                }
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(sent)
    }

    /// Writes a gather list whole at `pos`; with `dsync` it is durable on return.
    pub async fn write(
        &self,
        file: Handle,
        pos: u64,
        parts: Parts,
        dsync: bool,
    ) -> Result<(), Errno> {
        self.write_whole(pos, parts, |pos, parts| Op::Write {
            file,
            pos,
            parts,
            dsync,
            cache: Cache::AsOpened,
        })
        .await
    }

    /// Writes a gather list whole through the page cache; it is durable on return. `uncached` as
    /// in [`Cache::Through`].
    pub async fn write_through(
        &self,
        file: Handle,
        pos: u64,
        parts: Parts,
        uncached: bool,
    ) -> Result<(), Errno> {
        self.write_whole(pos, parts, |pos, parts| Op::Write {
            file,
            pos,
            parts,
            dsync: true,
            cache: Cache::Through { uncached },
        })
        .await
    }

    /// Writes a gather list whole through the page cache, at once. `uncached` as in
    /// [`Cache::Through`].
    pub async fn write_now(
        &self,
        file: Handle,
        pos: u64,
        parts: Parts,
        uncached: bool,
    ) -> Result<(), Errno> {
        self.write_whole(pos, parts, |pos, parts| Op::WriteNow {
            file,
            pos,
            parts,
            uncached,
        })
        .await
    }

    async fn write_whole(
        &self,
        pos: u64,
        parts: Parts,
        op: impl Fn(u64, Parts) -> Op,
    ) -> Result<(), Errno> {
        let (mut pos, mut parts) = (pos, parts);
        loop {
            let wanted = parts_len(&parts);
            let done = self.submit(op(pos, parts)).await;
            let written = match done.result {
                Ok(0) if wanted > 0 => return Err(Errno(libc::ENOSPC)),
                Ok(written) => written as usize,
                Err(Errno(libc::EINTR | libc::EAGAIN)) => 0,
                Err(errno) => return Err(errno),
            };
            if written >= wanted {
                return Ok(());
            }
            let (Op::Write { parts: back, .. } | Op::WriteNow { parts: back, .. }) = done.op else {
                unreachable!()
            };
            parts = after(back, written);
            pos += written as u64;
        }
    }

    /// Reads up to `len` bytes at `pos` into `block` from `start`; fewer only at the file's end.
    pub async fn read(
        &self,
        file: Handle,
        pos: u64,
        block: Block,
        start: usize,
        len: usize,
    ) -> (Result<usize, Errno>, Block) {
        assert!(start + len <= block.capacity());
        let (mut block, mut got) = (block, 0);
        while got < len {
            let done = self
                .submit(Op::Read {
                    file,
                    pos: pos + got as u64,
                    block,
                    start: (start + got) as u32,
                    len: (len - got) as u32,
                    cached: false,
                })
                .await;
            let Op::Read { block: back, .. } = done.op else {
                unreachable!()
            };
            block = back;
            match done.result {
                Ok(0) => break,
                // A direct read that stopped short of a page stopped at the file's end.
                Ok(n) => {
                    got += n as usize;
                    if !(n as usize).is_multiple_of(PAGE) {
                        break;
                    }
                }
                Err(Errno(libc::EINTR | libc::EAGAIN)) => {}
                Err(errno) => return (Err(errno), block),
            }
        }
        (Ok(got), block)
    }

    /// A whole small file, at most `max` bytes (EFBIG beyond).
    pub async fn read_file(&self, at: &Path, max: usize) -> Result<Vec<u8>, Errno> {
        let file = self.open(at, OpenMode::default()).await?;
        let result = async {
            let len = self.size(file).await?;
            if len > max as u64 {
                return Err(Errno(libc::EFBIG));
            }
            let len = len as usize;
            let block = self.pool().take(len.max(1));
            let (got, block) = self.read(file, 0, block, 0, len).await;
            Ok(block.bytes(0, got?).to_vec())
        }
        .await;
        self.close(file).await;
        result
    }

    /// Replaces a file's contents so that a crash leaves the old or the new whole: written
    /// beside it, synced, renamed over it, directory synced.
    pub async fn replace_file(&self, at: &Path, contents: Vec<u8>) -> Result<(), Errno> {
        self.place_file(at, contents).await?;
        self.sync_directory(at.parent().unwrap_or(Path::new(".")))
            .await
    }

    /// The same but for the directory: until somebody [syncs](Self::sync_directory) it, a loss of
    /// power may bring the old contents back, or no file. Of several files placed one after the
    /// other any may be back.
    pub async fn place_file(&self, at: &Path, contents: Vec<u8>) -> Result<(), Errno> {
        let mut name = at.as_os_str().to_owned();
        name.push(".tmp");
        let beside = Path::new(&name);
        let mode = OpenMode {
            write: true,
            create: true,
            truncate: true,
            ..OpenMode::default()
        };
        let file = self.open(beside, mode).await?;
        let mut written = Ok(());
        if !contents.is_empty() {
            let mut parts = Parts::new();
            parts.push(Part::Owned(contents));
            written = self.write(file, 0, parts, false).await;
        }
        let synced = match written {
            Ok(()) => self.sync(file).await,
            failed => failed,
        };
        self.close(file).await;
        synced?;
        self.rename(beside, at).await
    }

    /// Makes data written before this call durable (fdatasync).
    pub async fn data_sync(&self, file: Handle) -> Result<(), Errno> {
        self.submit(Op::DataSync { file }).await.result.map(drop)
    }

    /// Makes a file durable, metadata included (fsync).
    pub async fn sync(&self, file: Handle) -> Result<(), Errno> {
        self.submit(Op::Sync { file }).await.result.map(drop)
    }

    /// Makes a directory's entries durable.
    pub async fn sync_directory(&self, at: &Path) -> Result<(), Errno> {
        let mode = OpenMode {
            directory: true,
            ..OpenMode::default()
        };
        let directory = self.open(at, mode).await?;
        let result = self.sync(directory).await;
        self.close(directory).await;
        result
    }

    /// Allocates `[pos, pos + len)` of a file, extending it; unwritten bytes read as zero.
    pub async fn allocate(&self, file: Handle, pos: u64, len: u64) -> Result<(), Errno> {
        let op = Op::Allocate { file, pos, len };
        self.submit(op).await.result.map(drop)
    }

    /// Sets a file's length.
    pub async fn truncate(&self, file: Handle, len: u64) -> Result<(), Errno> {
        let op = Op::Truncate { file, len };
        self.submit(op).await.result.map(drop)
    }

    /// Opens a file.
    pub async fn open(&self, at: &Path, mode: OpenMode) -> Result<Handle, Errno> {
        let path = path(at)?;
        let done = self.submit(Op::Open { path, mode }).await;
        Ok(Handle(done.result? as i32))
    }

    /// Closes a file or a socket. Errors are not reported: nothing durable hangs on a close.
    pub async fn close(&self, handle: Handle) {
        drop(self.submit(Op::Close { handle }).await);
    }

    /// Ends both directions of a socket.
    pub async fn shutdown(&self, socket: Handle) {
        drop(self.submit(Op::Shutdown { socket }).await);
    }

    /// Renames, replacing what stands at `to`.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from, to) = (path(from)?, path(to)?);
        let op = Op::Rename { from, to };
        self.submit(op).await.result.map(drop)
    }

    /// Removes a file.
    pub async fn remove(&self, at: &Path) -> Result<(), Errno> {
        let path = path(at)?;
        self.submit(Op::Remove { path }).await.result.map(drop)
    }

    /// Removes an empty directory.
    pub async fn remove_dir(&self, at: &Path) -> Result<(), Errno> {
        let path = path(at)?;
        self.submit(Op::RemoveDir { path }).await.result.map(drop)
    }

    /// Makes a directory; an existing one is fine.
    pub async fn make_dir(&self, at: &Path) -> Result<(), Errno> {
        let path = path(at)?;
        match self.submit(Op::MakeDir { path }).await.result {
            Ok(_) | Err(Errno(libc::EEXIST)) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// A file's length, bytes.
    pub async fn size(&self, file: Handle) -> Result<u64, Errno> {
        let Done { result, op, .. } = self.submit(Op::Size { file, len: 0 }).await;
        result?;
        let Op::Size { len, .. } = op else {
            unreachable!()
        };
        Ok(len)
    }

    /// Where the first byte from `pos` on lies that may be anything but zero; none: there is none.
    pub async fn data_after(&self, file: Handle, pos: u64) -> Result<Option<u64>, Errno> {
        let found = None;
        let op = Op::DataAfter { file, pos, found };
        let Done { result, op, .. } = self.submit(op).await;
        result?;
        let Op::DataAfter { found, .. } = op else {
            unreachable!()
        };
        Ok(found)
    }

    /// Makes durable all that was written, before this call and by whomever, to the file system that
    /// a directory is in. Only at start: it may keep the shard's thread for long.
    ///
    /// # Errors
    /// EOPNOTSUPP: not known to do so here. Others: something written was lost since somebody asked
    /// last, and any file may be the one (Linux 5.8; `syncfs(2)`, Errors); a sync of that file still
    /// tells.
    pub async fn sync_file_system(&self, at: &Path) -> Result<(), Errno> {
        let path = path(at)?;
        let op = Op::SyncFileSystem { path };
        self.submit(op).await.result.map(drop)
    }

    /// The names in a directory, sorted.
    pub async fn list(&self, at: &Path) -> Result<Vec<String>, Errno> {
        let path = path(at)?;
        let names = Vec::new();
        let Done { result, op, .. } = self.submit(Op::List { path, names }).await;
        result?;
        let Op::List { mut names, .. } = op else {
            unreachable!()
        };
        names.sort_unstable();
        Ok(names)
    }

    /// The file system under a path: its size, and what is left for an ordinary process; bytes.
    pub async fn space(&self, at: &Path) -> Result<(u64, u64), Errno> {
        let path = path(at)?;
        let (total, usable) = (0, 0);
        let op = Op::Space {
            path,
            total,
            usable,
        };
        let Done { result, op, .. } = self.submit(op).await;
        result?;
        let Op::Space { total, usable, .. } = op else {
            unreachable!()
        };
        Ok((total, usable))
    }

    /// Whether `[pos, pos + len)` is wholly in page cache.
    pub async fn resident(&self, file: Handle, pos: u64, len: u64) -> bool {
        self.resident_bytes(file, pos, len).await >= len
    }

    /// How much of `[pos, pos + len)` is in page cache, about: `len` only if all of it is; 0 where that
    /// is not known.
    pub async fn resident_bytes(&self, file: Handle, pos: u64, len: u64) -> u64 {
        let done = self.submit(Op::Resident { file, pos, len }).await;
        done.result.map_or(0, |bytes| u64::from(bytes).min(len))
    }
}

/// What is left of a gather list after its first `n` bytes.
fn after(parts: Parts, n: usize) -> Parts {
    let mut skip = n;
    let mut left = Parts::new();
    for mut part in parts {
        let len = part.len();
        if skip >= len {
            skip -= len;
            continue;
        }
        part.advance(skip);
        skip = 0;
        left.push(part);
    }
    left
}
