//! What a driver does at submission: calls that do not block, or happen only at start.

use super::check;
use super::files::{
    data_after, list, pipe, resident, size, space, splice_in, sync_file_system, truncate,
};
use super::sockets::{Listening, listen, peer};
use crate::io::op::Op;

/// Performs an operation now; its result. `vectors`: of a write's parts. Sockets that bytes are
/// moved to are in non-blocking mode.
pub(in crate::io) fn perform(op: &mut Op, vectors: &[libc::iovec]) -> i32 {
    match op {
        Op::Listen { address, shared } => listen(address, &Listening::usual(*shared)),
        Op::Sendfile {
            socket,
            file,
            pos,
            len,
        } => {
            let mut pos = *pos as i64;
            // SAFETY: `pos` outlives the call; the rest are numbers.
            check(unsafe { libc::sendfile(socket.0, file.0, &mut pos, *len as usize) } as i64)
        }
        Op::Pipe { len, ends } => pipe(*len, ends),
        Op::SpliceIn {
            file,
            pos,
            pipe,
            len,
            ..
        } => splice_in(file.0, *pos, pipe.0, *len),
        Op::SpliceOut { pipe, socket, len } => {
            let none = std::ptr::null_mut();
            // SAFETY: no positions are passed; the rest are numbers.
            check(unsafe { libc::splice(pipe.0, none, socket.0, none, *len as usize, 0) } as i64)
        }
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
        Op::Truncate { file, len } => truncate(file.0, *len),
        Op::Size { file, len } => size(file.0, len),
        Op::DataAfter { file, pos, found } => data_after(file.0, *pos, found),
        Op::SyncFileSystem { path } => sync_file_system(path),
        Op::List { path, names } => match list(path) {
            Ok(found) => {
                *names = found;
                0
            }
            Err(errno) => -errno,
        },
        Op::Space {
            path,
            total,
            usable,
        } => match space(path) {
            Ok(found) => {
                (*total, *usable) = found;
                0
            }
            Err(errno) => -errno,
        },
        Op::Resident { file, pos, len } => resident(file.0, *pos, *len),
        Op::Peer { socket, address } => peer(socket.0, address),
        other => unreachable!("{other:?} is not done at submission"),
    }
}
