//! What the driver knows of handles: who uses them, and which sockets are ready.
//!
//! A socket is watched from the first time that an operation has to wait on it, for both
//! directions and by edges, so that waiting again costs no call. `readable` and `writable` are what
//! was heard last: false only after a call said EAGAIN, or moved less than it could have, and then
//! the next edge is told.
//!
//! A handle is closed when the last operation on it has ended: its number must not become another
//! file's while a thread of the pool is about to use it. (An operation on a ring holds its file.)

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use smallvec::SmallVec;

use crate::io::driver::Token;
use crate::types::Map;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    In,
    Out,
}

/// A socket's readiness, and who waits for it.
pub(super) struct Socket {
    watched: bool,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// No more will come, or it is broken: what is there may be read without waiting.
    pub(super) ended: bool,
    readers: SmallVec<[Token; 2]>,
    writers: SmallVec<[Token; 2]>,
}

impl Default for Socket {
    fn default() -> Self {
        Socket {
            watched: false,
            readable: true,
            writable: true,
            ended: false,
            readers: SmallVec::new(),
            writers: SmallVec::new(),
        }
    }
}

impl Socket {
    pub(super) fn ready(&self, way: Way) -> bool {
        match way {
            Way::In => self.readable,
            Way::Out => self.writable,
        }
    }

    /// Who waits, in the order in which they came.
    pub(super) fn waiting(&mut self, way: Way) -> &mut SmallVec<[Token; 2]> {
        match way {
            Way::In => &mut self.readers,
            Way::Out => &mut self.writers,
        }
    }

    /// Takes what was heard of it.
    pub(super) fn hear(&mut self, flags: EpollFlags) {
        let broken = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        let ended = broken | EpollFlags::EPOLLRDHUP;
        self.ended |= flags.intersects(ended);
        self.readable |= flags.intersects(ended | EpollFlags::EPOLLIN);
        self.writable |= flags.intersects(broken | EpollFlags::EPOLLOUT);
    }
}

/// A handle in use.
#[derive(Default)]
struct Entry {
    /// Operations in flight on it.
    users: u32,
    /// To be closed when they have ended.
    closing: bool,
    socket: Option<Socket>,
}

/// What is to be done about a handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Close {
    /// Nothing yet.
    No,
    /// Now: it does not wait.
    Socket,
    /// On the pool: the last close of a file may have blocks to free.
    File,
}

/// See the module. Handles that nobody uses, and that are no sockets, are not in it.
#[derive(Default)]
pub(super) struct Handles(Map<i32, Entry>);

impl Handles {
    /// The system has given this number out: what is known under it is of no more use.
    pub(super) fn fresh(&mut self, handle: i32) {
        let old = self.0.remove(&handle);
        debug_assert!(
            old.is_none_or(|old| old.users == 0),
            "{handle} was closed while it was in use"
        );
    }

    /// A socket, known as one from now on.
    pub(super) fn socket(&mut self, handle: i32) -> &mut Socket {
        let entry = self.0.entry(handle).or_default();
        entry.socket.get_or_insert_default()
    }

    /// A socket, if it is known as one.
    pub(super) fn known(&mut self, handle: i32) -> Option<&mut Socket> {
        self.0.get_mut(&handle)?.socket.as_mut()
    }

    /// An operation on it begins.
    pub(super) fn enter(&mut self, handle: i32) {
        self.0.entry(handle).or_default().users += 1;
    }

    /// An operation on it has ended.
    pub(super) fn leave(&mut self, handle: i32) -> Close {
        let Some(entry) = self.0.get_mut(&handle) else {
            return Close::No; // It was given away.
        };
        entry.users -= 1;
        if entry.users > 0 || (!entry.closing && entry.socket.is_some()) {
            return Close::No;
        }
        let entry = self.0.remove(&handle).expect("found above");
        match entry.closing {
            true => entry.how_to_close(),
            false => Close::No,
        }
    }

    /// It is to be closed: at once, or with the last operation on it.
    pub(super) fn close(&mut self, handle: i32) -> Close {
        let Some(entry) = self.0.get_mut(&handle) else {
            return Close::File;
        };
        if entry.users > 0 {
            entry.closing = true;
            return Close::No;
        }
        let entry = self.0.remove(&handle).expect("found above");
        entry.how_to_close()
    }

    /// It goes to another driver: who waited on it.
    pub(super) fn give_away(&mut self, handle: i32, epoll: &Epoll) -> SmallVec<[Token; 2]> {
        let Some(mut socket) = self.0.remove(&handle).and_then(|entry| entry.socket) else {
            return SmallVec::new();
        };
        if socket.watched {
            // Fails only for what is not open any more.
            let _ = epoll.delete(borrow(handle));
        }
        socket.readers.append(&mut socket.writers);
        socket.readers
    }

    /// Hears of a socket's edges from now on, its present state first.
    ///
    /// # Errors
    /// ENOSPC (`fs.epoll.max_user_watches`), ENOMEM; EPERM for what cannot be waited for.
    pub(super) fn watch(&mut self, handle: i32, epoll: &Epoll) -> Result<(), Errno> {
        let socket = self.socket(handle);
        if !socket.watched {
            let flags = EpollFlags::EPOLLIN
                | EpollFlags::EPOLLOUT
                | EpollFlags::EPOLLRDHUP
                | EpollFlags::EPOLLET;
            let mut event = EpollEvent::new(flags, handle as u64);
            match epoll.add(borrow(handle), event) {
                Err(Errno::EEXIST) => epoll.modify(borrow(handle), &mut event)?,
                added => added?,
            }
            socket.watched = true;
        }
        Ok(())
    }
}

impl Entry {
    fn how_to_close(&self) -> Close {
        match self.socket {
            Some(_) => Close::Socket,
            None => Close::File,
        }
    }
}

fn borrow<'a>(handle: i32) -> BorrowedFd<'a> {
    // SAFETY: used for one call, and the handle is open: whoever waits on it has not closed it
    // (closing waits for the operations in flight), or is only now giving it away.
    unsafe { BorrowedFd::borrow_raw(handle) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_closed_with_the_last_operation_on_it() {
        let mut handles = Handles::default();
        assert_eq!(handles.close(3), Close::File, "nobody uses it");
        handles.enter(3);
        handles.enter(3);
        assert_eq!(handles.close(3), Close::No);
        assert_eq!(handles.leave(3), Close::No);
        assert_eq!(handles.leave(3), Close::File);
        handles.socket(4);
        handles.enter(4);
        assert_eq!(handles.leave(4), Close::No, "nobody closes it");
        assert_eq!(handles.close(4), Close::Socket);
        assert!(handles.0.is_empty());
    }

    #[test]
    fn what_has_ended_stays_readable() {
        let mut socket = Socket {
            readable: false,
            writable: false,
            ..Socket::default()
        };
        socket.hear(EpollFlags::EPOLLIN);
        assert!(socket.readable && !socket.writable && !socket.ended);
        socket.readable = false;
        socket.hear(EpollFlags::EPOLLRDHUP);
        assert!(socket.readable && !socket.writable && socket.ended);
        socket.hear(EpollFlags::EPOLLERR);
        assert!(socket.writable);
    }
}
