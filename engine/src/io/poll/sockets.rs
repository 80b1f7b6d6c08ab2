//! Operations on sockets, from submission to completion.

use std::net::SocketAddr;

use nix::sys::epoll::EpollFlags;

use super::attempt::{Step, attempt, so_far, way};
use super::{NONE, PollDriver, Way};
use crate::io::calls;
use crate::io::driver::Token;
use crate::io::op::Op;

/// What is kept of an operation in flight.
pub(super) struct Flight {
    /// Valid until the completion has been reaped.
    pub(super) op: *mut Op,
    /// What it uses.
    pub(super) handles: [i32; 2],
    /// Bytes moved so far.
    done: usize,
    /// It waits for a socket.
    pub(super) waits: bool,
    /// Of whichever operation has this place.
    pub(super) vectors: Vec<libc::iovec>,
}

impl Default for Flight {
    fn default() -> Self {
        Flight {
            op: std::ptr::null_mut(),
            handles: [NONE; 2],
            done: 0,
            waits: false,
            vectors: Vec::new(),
        }
    }
}

impl PollDriver {
    /// Tries an operation on a socket; if it must wait, it waits in order.
    pub(super) fn begin(&mut self, token: Token, op: &mut Op, socket: i32) {
        self.enter(token, op, socket);
        let (listens, way) = (matches!(op, Op::Accept { .. }), way(op));
        if listens && self.handles.known(socket).is_none() {
            // It may have been made elsewhere.
            calls::sockets::without_blocking(socket);
        }
        let known = self.handles.socket(socket);
        let first = known.ready(way) && known.waiting(way).is_empty();
        if !(first && self.attempt(token, socket)) {
            self.wait(token, socket, way);
        }
    }

    pub(super) fn connect(&mut self, token: Token, op: &mut Op, address: SocketAddr) {
        let socket = match calls::sockets::socket(address) {
            Ok(socket) => socket,
            Err(errno) => return self.complete(token, -errno, None),
        };
        calls::sockets::without_blocking(socket);
        self.handles.fresh(socket);
        self.enter(token, op, socket);
        match calls::sockets::connect(socket, address) {
            0 => {
                calls::sockets::connected(socket);
                self.handles.socket(socket);
                self.complete(token, socket, None);
            }
            error if error == -libc::EINPROGRESS || error == -libc::EINTR => {
                self.handles.socket(socket).writable = false;
                self.wait(token, socket, Way::Out);
            }
            error => self.ended(token, socket, error, None),
        }
    }

    fn enter(&mut self, token: Token, op: &mut Op, socket: i32) {
        self.handles.enter(socket);
        let flight = &mut self.flights[token as usize];
        flight.op = op;
        flight.handles = [socket, NONE];
        flight.done = 0;
        flight.waits = false;
    }

    fn wait(&mut self, token: Token, socket: i32, way: Way) {
        self.flights[token as usize].waits = true;
        self.handles.socket(socket).waiting(way).push(token);
        if let Err(errno) = self.handles.watch(socket, &self.epoll) {
            self.stop_waiting(token);
            self.ended(token, socket, -(errno as i32), None);
        }
    }

    /// Goes on with an operation; whether it has ended.
    fn attempt(&mut self, token: Token, socket: i32) -> bool {
        let flight = &mut self.flights[token as usize];
        // SAFETY: the operation is in flight: it stays where it was submitted, and nobody else
        // touches it.
        let op = unsafe { &mut *flight.op };
        let known = self.handles.socket(socket);
        let (done, vectors) = (&mut flight.done, &mut flight.vectors);
        let (result, provided) = match attempt(op, socket, done, vectors, known, &self.buffers) {
            Step::Wait => return false,
            Step::Done(result) => (result, None),
            Step::Brought(result, provided) => (result, provided),
        };
        if matches!(op, Op::Accept { .. }) && result >= 0 {
            self.handles.fresh(result);
            self.handles.socket(result);
        }
        self.stop_waiting(token);
        self.ended(token, socket, result, provided);
        true
    }

    fn ended(
        &mut self,
        token: Token,
        socket: i32,
        result: i32,
        provided: Option<crate::io::Provided>,
    ) {
        // SAFETY: as above: its completion has not even been pushed.
        let connects = matches!(
            unsafe { &*self.flights[token as usize].op },
            Op::Connect { .. }
        );
        if connects && result < 0 {
            let close = self.handles.close(socket);
            debug_assert_eq!(close, super::Close::No, "this operation is in flight");
        }
        self.complete(token, result, provided);
    }

    fn stop_waiting(&mut self, token: Token) {
        let flight = &mut self.flights[token as usize];
        if !std::mem::take(&mut flight.waits) {
            return;
        }
        let socket = flight.handles[0];
        for way in [Way::In, Way::Out] {
            let waiting = self.handles.socket(socket).waiting(way);
            waiting.retain(|other| *other != token);
        }
    }

    /// A socket's edge: who waits for it goes on.
    pub(super) fn heard(&mut self, socket: i32, flags: EpollFlags) {
        // Unknown: it has been closed since, or given away.
        let Some(known) = self.handles.known(socket) else {
            return;
        };
        known.hear(flags);
        for way in [Way::In, Way::Out] {
            while let Some(known) = self.handles.known(socket)
                && known.ready(way)
                && let Some(token) = known.waiting(way).first().copied()
                && self.attempt(token, socket)
            {}
        }
    }

    /// Ends what waits for a socket; what a thread has, it keeps.
    pub(super) fn end_early(&mut self, token: Token) {
        let Some(flight) = self.flights.get(token as usize).filter(|one| one.waits) else {
            return;
        };
        let (socket, done) = (flight.handles[0], flight.done);
        self.stop_waiting(token);
        self.ended(token, socket, so_far(done, -libc::ECANCELED), None);
    }
}
