//! Making and addressing TCP sockets.

use std::net::SocketAddr;

use nix::sys::socket::{SockaddrLike, SockaddrStorage};

use super::{check, errno};
use crate::io::op::{Errno, Handle};

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
pub(in crate::io) fn connected(socket: i32) {
    set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
}

pub(in crate::io) fn close(fd: i32) {
    // SAFETY: the descriptor is ours and nobody uses it any more.
    unsafe { libc::close(fd) };
}

/// A TCP socket of the address's family.
pub(in crate::io) fn socket(address: SocketAddr) -> Result<i32, i32> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 { Err(errno()) } else { Ok(fd) }
}

/// Listens before any driver exists: a node binds its ports before it starts its shards.
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

pub(super) fn listen(address: &mut SocketAddr, how: &Listening) -> i32 {
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

/// The other end of a connection.
pub(super) fn peer(socket: i32, address: &mut Option<SocketAddr>) -> i32 {
    match nix::sys::socket::getpeername::<SockaddrStorage>(socket) {
        Ok(name) => {
            *address = to_address(&name);
            0
        }
        Err(errno) => -(errno as i32),
    }
}

/// The error that waits at a socket, 0 if there is none.
pub(in crate::io) fn error(socket: i32) -> i32 {
    let mut value: i32 = 0;
    let mut length = size_of::<i32>() as u32;
    // SAFETY: both outlive the call, and the length is the value's.
    let asked = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut value).cast(),
            &mut length,
        )
    };
    if asked < 0 { errno() } else { value }
}

/// Begins to connect a socket in non-blocking mode: -EINPROGRESS mostly.
pub(in crate::io) fn connect(socket: i32, address: SocketAddr) -> i32 {
    let address = SockaddrStorage::from(address);
    // SAFETY: the address outlives the call and its length is its own.
    check(i64::from(unsafe {
        libc::connect(socket, address.as_ptr(), address.len())
    }))
}

/// Calls on it never wait.
pub(in crate::io) fn without_blocking(socket: i32) {
    // SAFETY: numbers only.
    unsafe {
        let mode = libc::fcntl(socket, libc::F_GETFL);
        if mode >= 0 {
            libc::fcntl(socket, libc::F_SETFL, mode | libc::O_NONBLOCK);
        }
    }
}

/// End both directions.
pub(in crate::io) fn shutdown(socket: i32) -> i32 {
    // SAFETY: numbers only.
    check(i64::from(unsafe {
        libc::shutdown(socket, libc::SHUT_RDWR)
    }))
}
