//! What is done at submission: calls that do not block, or happen only at start.
#![allow(clippy::disallowed_methods)] // this is the driver

use std::net::SocketAddr;

use nix::sys::socket::{SockaddrLike, SockaddrStorage};

use crate::io::op::{Errno, Handle, Op};

fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

fn check(result: i64) -> i32 {
    if result < 0 {
        -errno()
    } else {
        result.min(i64::from(i32::MAX)) as i32
    }
}

fn set(socket: i32, level: i32, option: i32, value: i32) -> i32 {
    // SAFETY: the value outlives the call and its size is given.
    check(i64::from(unsafe {
        libc::setsockopt(
            socket,
            level,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as u32,
        )
    }))
}

/// Replies are whole when they are sent: waiting for more only delays them. A peer that vanished
/// without a word is noticed sooner or later. (Both as in Kafka: `Acceptor.accept`.)
pub(super) fn connected(socket: i32) {
    set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
}

pub(super) fn close(fd: i32) {
    // SAFETY: the descriptor is ours and nobody uses it any more.
    unsafe { libc::close(fd) };
}

/// A TCP socket of the address's family.
pub(super) fn socket(address: SocketAddr) -> Result<i32, i32> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 { Err(errno()) } else { Ok(fd) }
}

/// Listens before any ring exists: a node binds its ports before it starts its shards.
pub fn listen_now(address: SocketAddr, how: &Listening) -> Result<(Handle, SocketAddr), Errno> {
    let mut address = address;
    match listen(&mut address, how) {
        fd if fd >= 0 => Ok((Handle(fd), address)),
        error => Err(Errno(-error)),
    }
}

/// Closes what [`listen_now`] opened.
pub fn close_now(handle: Handle) {
    close(handle.0);
}

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Several listeners share the address (SO_REUSEPORT).
    pub shared: bool,
    /// Connections that may wait to be accepted, at most; the system has a bound of its own
    /// (`net.core.somaxconn`).
    pub backlog: i32,
    /// SO_SNDBUF and SO_RCVBUF in bytes, of which the system makes the double (socket(7)); accepted
    /// connections inherit them. `None`: as the system likes, which then grows them as needed.
    pub send_buffer: Option<i32>,
    pub receive_buffer: Option<i32>,
}

impl Listening {
    /// As the system likes.
    pub fn usual(shared: bool) -> Self {
        Listening {
            shared,
            backlog: 1024,
            send_buffer: None,
            receive_buffer: None,
        }
    }
}

fn listen(address: &mut SocketAddr, how: &Listening) -> i32 {
    let fd = match socket(*address) {
        Ok(fd) => fd,
        Err(errno) => return -errno,
    };
    let result = listen_on(fd, address, how);
    if result < 0 {
        close(fd);
        return result;
    }
    fd
}

fn listen_on(fd: i32, address: &mut SocketAddr, how: &Listening) -> i32 {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
    if how.shared {
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
    }
    // Before it listens: the window's scale is agreed on when a connection is made (tcp(7)).
    let buffers = [
        (libc::SO_SNDBUF, how.send_buffer),
        (libc::SO_RCVBUF, how.receive_buffer),
    ];
    for (option, bytes) in buffers {
        if let Some(bytes) = bytes {
            set(fd, libc::SOL_SOCKET, option, bytes);
        }
    }
    let wanted = SockaddrStorage::from(*address);
    // SAFETY: the address outlives the calls and its length is its own.
    let bound = unsafe { libc::bind(fd, wanted.as_ptr(), wanted.len()) };
    if bound < 0 {
        return -errno();
    }
    // SAFETY: no pointers.
    if unsafe { libc::listen(fd, how.backlog) } < 0 {
        return -errno();
    }
    match nix::sys::socket::getsockname::<SockaddrStorage>(fd) {
        Ok(name) => {
            if let Some(name) = to_address(&name) {
                *address = name;
            }
            0
        }
        Err(errno) => -(errno as i32),
    }
}

fn to_address(name: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = name.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    name.as_sockaddr_in6()
        .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

/// Calls without waiting for the peer. The ring arms its own polls on sockets only while they are
/// in blocking mode, so the mode is changed for this one call.
fn without_waiting(socket: i32, call: impl FnOnce() -> isize) -> i32 {
    // SAFETY: numbers only.
    let mode = unsafe { libc::fcntl(socket, libc::F_GETFL) };
    if mode < 0 {
        return -errno();
    }
    // SAFETY: numbers only.
    unsafe { libc::fcntl(socket, libc::F_SETFL, mode | libc::O_NONBLOCK) };
    let result = check(call() as i64);
    // SAFETY: numbers only.
    unsafe { libc::fcntl(socket, libc::F_SETFL, mode & !libc::O_NONBLOCK) };
    result
}

fn sendfile(socket: i32, file: i32, pos: u64, len: u32) -> i32 {
    let mut pos = pos as i64;
    // SAFETY: `pos` outlives the call; the rest are numbers.
    without_waiting(socket, || unsafe {
        libc::sendfile(socket, file, &mut pos, len as usize)
    })
}

fn splice_out(pipe: i32, socket: i32, len: u32) -> i32 {
    let none = std::ptr::null_mut();
    // SAFETY: no positions are passed; the rest are numbers.
    without_waiting(socket, || unsafe {
        libc::splice(pipe, none, socket, none, len as usize, 0)
    })
}

fn splice_in(file: i32, pos: u64, pipe: i32, len: u32) -> i32 {
    let mut pos = pos as i64;
    let none = std::ptr::null_mut();
    // SAFETY: `pos` outlives the call; the rest are numbers. The pipe is empty: it does not wait.
    check(unsafe { libc::splice(file, &mut pos, pipe, none, len as usize, 0) } as i64)
}

fn pipe(len: u32, ends: &mut [Handle; 2]) -> i32 {
    let mut fds = [0; 2];
    // SAFETY: two descriptors are written into an array of two.
    let made = check(i64::from(unsafe {
        libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC)
    }));
    if made >= 0 {
        // Where it may not be as large, it holds less at a time.
        // SAFETY: numbers only.
        unsafe { libc::fcntl(fds[1], libc::F_SETPIPE_SZ, len as i32) };
        *ends = fds.map(Handle);
    }
    made
}

/// cachestat(2), Linux 6.5.
fn resident(file: i32, pos: u64, len: u64) -> i32 {
    const CACHESTAT: libc::c_long = 451;
    let range = [pos, len];
    let mut stat = [0u64; 5];
    // SAFETY: both arrays have the sizes of `cachestat_range` and `cachestat` and outlive the
    // call.
    let result = unsafe {
        libc::syscall(
            CACHESTAT,
            file,
            range.as_ptr(),
            stat.as_mut_ptr(),
            0 as libc::c_uint,
        )
    };
    if result < 0 {
        return -errno();
    }
    // Whole pages, the first and the last perhaps partly outside the range.
    let first = crate::bytes::page_floor(pos);
    let pages = (crate::bytes::page_ceil(pos + len) - first) / crate::bytes::PAGE as u64;
    if stat[0] >= pages {
        len.min(i32::MAX as u64) as i32
    } else {
        (stat[0] * crate::bytes::PAGE as u64).min(len.saturating_sub(1)) as i32
    }
}

/// Performs an operation now; its result.
pub(super) fn perform(op: &mut Op, vectors: &[libc::iovec]) -> i32 {
    match op {
        Op::Listen { address, shared } => listen(address, &Listening::usual(*shared)),
        Op::Sendfile {
            socket,
            file,
            pos,
            len,
        } => sendfile(socket.0, file.0, *pos, *len),
        Op::Pipe { len, ends } => pipe(*len, ends),
        Op::SpliceIn {
            file,
            pos,
            pipe,
            len,
            ..
        } => splice_in(file.0, *pos, pipe.0, *len),
        Op::SpliceOut { pipe, socket, len } => splice_out(pipe.0, socket.0, *len),
        Op::WriteNow {
            file,
            pos,
            uncached,
            ..
        } => {
            let flags = if *uncached { libc::RWF_DONTCACHE } else { 0 };
            let (vectors, count) = (vectors.as_ptr(), vectors.len() as i32);
            // SAFETY: the vectors point into the operation's parts, which outlive the call.
            check(unsafe { libc::pwritev2(file.0, vectors, count, *pos as i64, flags) as i64 })
        }
        Op::Truncate { file, len } => {
            // SAFETY: numbers only.
            let result = unsafe { libc::ftruncate(file.0, *len as i64) };
            check(i64::from(result))
        }
        Op::Size { file, len } => {
            // SAFETY: all-zero is a valid stat to be filled in, and it outlives the call.
            unsafe {
                let mut stat: libc::stat = std::mem::zeroed();
                let result = check(i64::from(libc::fstat(file.0, &mut stat)));
                *len = stat.st_size as u64;
                result
            }
        }
        Op::List { path, names } => match list(path) {
            Ok(found) => {
                *names = found;
                0
            }
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        },
        Op::Space {
            path,
            total,
            usable,
        } => match nix::sys::statvfs::statvfs(path.as_c_str()) {
            Ok(stat) => {
                let bytes = |blocks| stat.fragment_size().saturating_mul(blocks);
                (*total, *usable) = (bytes(stat.blocks()), bytes(stat.blocks_available()));
                0
            }
            Err(errno) => -(errno as i32),
        },
        Op::Resident { file, pos, len } => resident(file.0, *pos, *len),
        Op::Peer { socket, address } => {
            match nix::sys::socket::getpeername::<SockaddrStorage>(socket.0) {
                Ok(name) => {
                    *address = to_address(&name);
                    0
                }
                Err(errno) => -(errno as i32),
            }
        }
        other => unreachable!("{other:?} goes through the ring"),
    }
}

fn list(path: &std::ffi::CStr) -> std::io::Result<Vec<String>> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}
