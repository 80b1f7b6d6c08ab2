//! What can be asked of a driver, and what it answers.
//!
//! An operation owns everything the kernel touches, and is kept by the operation table until its
//! final completion; whoever awaits it may go away earlier.

use std::ffi::CString;
use std::rc::Rc;

use super::provided::Provided;
use crate::bytes::{Block, Parts};

/// A file or a socket, in the driver's own numbering (a file descriptor on Linux drivers).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Handle(pub i32);

/// A Linux error number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// As the standard library's error.
    pub fn io(self) -> std::io::Error {
        std::io::Error::from_raw_os_error(self.0)
    }

    /// Whether it says of a socket that its other end does not listen any more, which no file's
    /// error does.
    pub fn of_peer(self) -> bool {
        use libc::{ECANCELED, ECONNABORTED, ECONNRESET, EHOSTUNREACH, ENETUNREACH};
        use libc::{ENETDOWN, ENOTCONN, EPIPE, ETIMEDOUT};
        matches!(
            self.0,
            EPIPE
                | ECONNRESET
                | ECONNABORTED
                | ENOTCONN
                | ETIMEDOUT
                | ECANCELED
                | EHOSTUNREACH
                | ENETUNREACH
                | ENETDOWN
        )
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.io().fmt(f)
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.io().fmt(f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        errno.io()
    }
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenMode {
    /// For writing as well as reading.
    pub write: bool,
    /// Create if missing.
    pub create: bool,
    /// Past the page cache (O_DIRECT): positions, lengths and memory aligned to a page.
    pub direct: bool,
    /// A directory, to be synced.
    pub directory: bool,
    /// Drop contents.
    pub truncate: bool,
}

/// What a write has to do with the page cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cache {
    /// As the file was opened.
    AsOpened,
    /// It goes through, and may block whoever performs it: a thread of the kernel's does it.
    /// `uncached`: pages leave the cache once they are on disk (RWF_DONTCACHE, Linux 6.14;
    /// EOPNOTSUPP where the file system has no such writes).
    Through { uncached: bool },
}

/// One operation. The comment on each says what a non-negative result means.
#[derive(Debug)]
pub enum Op {
    /// The slot is free.
    Vacant,
    /// Listen on an address: the listener's handle; the bound address is left in `address`.
    /// `shared` lets every shard bind it (SO_REUSEPORT).
    Listen {
        address: std::net::SocketAddr,
        shared: bool,
    },
    /// Accept a connection: the new socket's handle.
    Accept { listener: Handle },
    /// Connect to an IPv4/IPv6 address: the new socket's handle.
    Connect { address: std::net::SocketAddr },
    /// Receive what is there into a provided buffer: bytes received, 0 at end of stream.
    RecvProvided { socket: Handle },
    /// Receive into `block` from `start`: bytes received, 0 at end of stream. `all` waits for
    /// `len` bytes.
    Recv {
        socket: Handle,
        block: Block,
        start: u32,
        len: u32,
        all: bool,
    },
    /// Send a gather list whole: bytes sent (fewer only when the peer went away).
    Send { socket: Handle, parts: Parts },
    /// Send what follows the first `skip` bytes of a gather list, out of the memory itself: bytes
    /// sent. Completes twice: when the socket has taken it, and when the network lets go of the
    /// memory, which stays with this operation until then. Only where [`super::Driver::zero_copy`].
    SendZeroCopy {
        socket: Handle,
        parts: Rc<Parts>,
        skip: usize,
    },
    /// Send a file range from page cache without waiting for the peer: bytes sent, EAGAIN when
    /// its window is full.
    Sendfile {
        socket: Handle,
        file: Handle,
        pos: u64,
        len: u32,
    },
    /// Make a pipe that holds `len` bytes, if the system allows that many: 0; its ends, to read and
    /// to write, are left in `ends`. Only where [`super::Driver::pipes`].
    Pipe { len: u32, ends: [Handle; 2] },
    /// Move a file range into an empty pipe, by reference to page cache: bytes moved. `worker`: a
    /// thread of the kernel's does it, for a range that may not be resident. Only where
    /// [`super::Driver::pipes`].
    SpliceIn {
        file: Handle,
        pos: u64,
        pipe: Handle,
        len: u32,
        worker: bool,
    },
    /// Move what is in a pipe to a socket without waiting for the peer: bytes moved, EAGAIN when
    /// its window is full. Only where [`super::Driver::pipes`].
    SpliceOut {
        pipe: Handle,
        socket: Handle,
        len: u32,
    },
    /// Wait until the socket takes bytes again.
    Writable { socket: Handle },
    /// End both directions; the peer sees the end of the stream, a pending receive returns.
    Shutdown { socket: Handle },
    /// Write a gather list at `pos`: bytes written. With `dsync` they are durable when it
    /// completes, and only they (RWF_DSYNC).
    Write {
        file: Handle,
        pos: u64,
        parts: Parts,
        dsync: bool,
        cache: Cache,
    },
    /// The same through the page cache and at once: for file systems that would hand a buffered
    /// write to a worker thread. `uncached` as in [`Cache::Through`].
    WriteNow {
        file: Handle,
        pos: u64,
        parts: Parts,
        uncached: bool,
    },
    /// Read at `pos`: bytes read, 0 at end of file. `cached` never touches the disk: EAGAIN if
    /// the bytes are not in page cache (RWF_NOWAIT).
    Read {
        file: Handle,
        pos: u64,
        block: Block,
        start: u32,
        len: u32,
        cached: bool,
    },
    /// Make written data durable (fdatasync): covers writes that completed before submission.
    DataSync { file: Handle },
    /// Make a file or a directory's entries durable (fsync).
    Sync { file: Handle },
    /// Allocate `[pos, pos + len)`, extending the file.
    Allocate { file: Handle, pos: u64, len: u64 },
    /// Set a file's length.
    Truncate { file: Handle, len: u64 },
    /// Open a file: its handle.
    Open { path: CString, mode: OpenMode },
    /// Close a file or a socket.
    Close { handle: Handle },
    /// Rename, replacing.
    Rename { from: CString, to: CString },
    /// Remove a file.
    Remove { path: CString },
    /// Remove an empty directory.
    RemoveDir { path: CString },
    /// Make a directory.
    MakeDir { path: CString },
    /// A file's length, left in `len`.
    Size { file: Handle, len: u64 },
    /// Where the first byte from `pos` on lies that may be anything but zero (SEEK_DATA), left in
    /// `found`; none: nothing but a hole, or room that was never written, follows. File systems that
    /// do not know say `pos`.
    DataAfter {
        file: Handle,
        pos: u64,
        found: Option<u64>,
    },
    /// Make durable all that was written to the file system around a directory (syncfs), by
    /// whomever. EOPNOTSUPP where that is not known to do so. It may take long, and keeps the thread:
    /// only at start.
    SyncFileSystem { path: CString },
    /// A directory's entries, left in `names` (files and directories, without `.` and `..`).
    List { path: CString, names: Vec<String> },
    /// The file system under a path (statvfs): its size in bytes, and how many of them an ordinary
    /// process may still use, left in `total` and `usable`.
    Space {
        path: CString,
        total: u64,
        usable: u64,
    },
    /// How many bytes of `[pos, pos + len)` are in page cache (cachestat), capped to i32.
    Resident { file: Handle, pos: u64, len: u64 },
    /// A socket's peer, left in `address`.
    Peer {
        socket: Handle,
        address: Option<std::net::SocketAddr>,
    },
    /// Wake a sleeping peer whose wake-up was claimed (MSG_RING). If that fails, it is delivered
    /// otherwise.
    Wake {
        peer: std::sync::Arc<dyn super::driver::RemoteWake>,
    },
}

/// How an operation ended.
#[derive(Debug)]
pub struct Done {
    /// Its result, as the variant of [`Op`] says.
    pub result: Result<u32, Errno>,
    /// The operation back, with what it owns.
    pub op: Op,
    /// The buffer that a [`Op::RecvProvided`] was given.
    pub provided: Option<Provided>,
    /// A receive left more bytes waiting in the socket.
    pub more_waiting: bool,
}
