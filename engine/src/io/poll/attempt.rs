//! One operation on a socket, as far as it goes without waiting.
//!
//! Sockets are in non-blocking mode. A transfer that moved less than it could have has emptied (or
//! filled) the socket: it waits for the next edge without another call, as epoll(7) says of
//! streams; not once the peer has ended its side, when no edge comes any more.

use super::buffers::Buffers;
use super::handles::{Socket, Way};
use crate::io::calls::{self, check, sockets};
use crate::io::op::Op;
use crate::io::provided::Provided;

/// Entries of one gather list that the kernel takes (IOV_MAX).
const VECTORS_MAX: usize = 1024;

/// How far it came.
pub(super) enum Step {
    Done(i32),
    /// With a buffer of the driver's.
    Brought(i32, Option<Provided>),
    /// It waits; the socket is not ready that way.
    Wait,
}

/// Which way an operation waits.
pub(super) fn way(op: &Op) -> Way {
    match op {
        Op::Accept { .. } | Op::RecvProvided { .. } | Op::Recv { .. } => Way::In,
        _ => Way::Out,
    }
}

/// Goes on with `op`. `handle`: its socket; `done`: bytes moved so far.
pub(super) fn attempt(
    op: &mut Op,
    handle: i32,
    done: &mut usize,
    vectors: &mut Vec<libc::iovec>,
    socket: &mut Socket,
    buffers: &Buffers,
) -> Step {
    match op {
        Op::Accept { .. } => accept(handle, socket),
        Op::Connect { .. } => connected(handle),
        Op::RecvProvided { .. } => provided(handle, socket, buffers),
        Op::Recv {
            block,
            start,
            len,
            all,
            ..
        } => loop {
            let left = *len as usize - *done;
            let got = receive(handle, block.ptr(*start as usize + *done), left);
            if got > 0 {
                *done += got as usize;
            }
            match got {
                0 => return Step::Done(*done as i32),
                got if got == -libc::EINTR => {}
                got if got == -libc::EAGAIN => {
                    socket.readable = false;
                    return Step::Wait;
                }
                got if got < 0 => return Step::Done(so_far(*done, got)),
                got => {
                    emptied(socket, got as usize, left);
                    if !*all || *done == *len as usize {
                        return Step::Done(*done as i32);
                    }
                    if !socket.readable {
                        return Step::Wait;
                    }
                }
            }
        },
        Op::Send { parts, .. } => loop {
            calls::gather(vectors, parts, *done);
            let whole = vectors.len() <= VECTORS_MAX;
            vectors.truncate(VECTORS_MAX);
            let wanted: usize = vectors.iter().map(|vector| vector.iov_len).sum();
            let sent = send(handle, vectors);
            if sent >= 0 {
                *done += sent as usize;
            }
            match sent {
                sent if sent == -libc::EINTR => {}
                sent if sent == -libc::EAGAIN => {
                    socket.writable = false;
                    return Step::Wait;
                }
                sent if sent < 0 => return Step::Done(so_far(*done, sent)),
                sent if sent as usize == wanted && whole => return Step::Done(*done as i32),
                sent if sent as usize == wanted => {}
                _ => {
                    socket.writable = false;
                    return Step::Wait;
                }
            }
        },
        Op::Writable { .. } => writable(handle, socket),
        other => unreachable!("{other:?} does not wait for a socket"),
    }
}

/// What an operation that ends early says.
pub(super) fn so_far(done: usize, error: i32) -> i32 {
    match done {
        0 => error,
        done => done as i32,
    }
}

fn emptied(socket: &mut Socket, got: usize, asked: usize) {
    if got < asked && !socket.ended {
        socket.readable = false;
    }
}

fn accept(handle: i32, socket: &mut Socket) -> Step {
    let (none, length) = (std::ptr::null_mut(), std::ptr::null_mut());
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no address is asked for.
    let got = check(i64::from(unsafe {
        libc::accept4(handle, none, length, flags)
    }));
    if got == -libc::EAGAIN {
        socket.readable = false;
        return Step::Wait;
    }
    if got >= 0 {
        sockets::connected(got);
    }
    Step::Done(got)
}

/// How a connect under way has ended.
fn connected(handle: i32) -> Step {
    match sockets::error(handle) {
        0 => {
            sockets::connected(handle);
            Step::Done(handle)
        }
        error => Step::Done(-error),
    }
}

fn receive(handle: i32, into: *mut u8, len: usize) -> i32 {
    // SAFETY: the memory is the operation's or the driver's own, `len` bytes long, and nobody
    // else looks at it meanwhile.
    check(unsafe { libc::recv(handle, into.cast(), len, libc::MSG_DONTWAIT) } as i64)
}

fn provided(handle: i32, socket: &mut Socket, buffers: &Buffers) -> Step {
    let asked = buffers.size();
    match buffers.fill(|into| receive(handle, into, asked)) {
        None => Step::Done(-libc::ENOBUFS),
        Some((error, _)) if error == -libc::EAGAIN => {
            socket.readable = false;
            Step::Wait
        }
        Some((got, buffer)) => {
            if got > 0 {
                emptied(socket, got as usize, asked);
            }
            Step::Brought(got, buffer)
        }
    }
}

fn send(handle: i32, vectors: &mut [libc::iovec]) -> i32 {
    // SAFETY: all-zero is a valid, empty msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len() as _;
    // SAFETY: the message and its vectors outlive the call, and name the operation's own memory.
    check(
        unsafe { libc::sendmsg(handle, &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) } as i64,
    )
}

/// Asks, because nobody may have tried yet.
fn writable(handle: i32, socket: &mut Socket) -> Step {
    let mut ask = libc::pollfd {
        fd: handle,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call, and no time to wait.
    match check(i64::from(unsafe { libc::poll(&mut ask, 1, 0) })) {
        0 => {
            socket.writable = false;
            Step::Wait
        }
        error if error < 0 => Step::Done(error),
        _ if ask.revents & libc::POLLNVAL != 0 => Step::Done(-libc::EBADF),
        _ => Step::Done(i32::from(ask.revents)),
    }
}
