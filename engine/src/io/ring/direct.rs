//! What is done at submission. The ring arms its own polls on sockets only while they are in
//! blocking mode, so the mode is changed for a call that must not wait.

use crate::io::calls::{self, errno};
use crate::io::op::{Handle, Op};

/// Performs an operation now; its result.
pub(super) fn perform(op: &mut Op, vectors: &[libc::iovec]) -> i32 {
    match op {
        Op::Sendfile { socket, .. } | Op::SpliceOut { socket, .. } => {
            let socket = *socket;
            without_waiting(socket, || calls::perform(op, vectors))
        }
        _ => calls::perform(op, vectors),
    }
}

/// Calls without waiting for the peer.
fn without_waiting(socket: Handle, call: impl FnOnce() -> i32) -> i32 {
    // SAFETY: numbers only.
    let mode = unsafe { libc::fcntl(socket.0, libc::F_GETFL) };
    if mode < 0 {
        return -errno();
    }
    // SAFETY: numbers only.
    unsafe { libc::fcntl(socket.0, libc::F_SETFL, mode | libc::O_NONBLOCK) };
    let result = call();
    // SAFETY: numbers only.
    unsafe { libc::fcntl(socket.0, libc::F_SETFL, mode & !libc::O_NONBLOCK) };
    result
}
