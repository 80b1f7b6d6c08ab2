//! Operations that wait for no socket: performed at submission, or by a thread of the pool.

use super::job::{Finished, Found, Job};
use super::{NONE, PollDriver};
use crate::io::calls;
use crate::io::calls::files::read_cached;
use crate::io::driver::Token;
use crate::io::op::Op;

impl PollDriver {
    /// Begins an operation that a thread performs, on up to two handles.
    pub(super) fn hand_over(&mut self, token: Token, op: &mut Op, handles: [i32; 2]) {
        for handle in handles.into_iter().filter(|handle| *handle != NONE) {
            self.handles.enter(handle);
        }
        let op_at: *mut Op = op;
        let flight = &mut self.flights[token as usize];
        flight.handles = handles;
        flight.op = op_at;
        let mut vectors = std::mem::take(&mut flight.vectors);
        if let Op::Write { parts, .. } = &*op {
            calls::gather(&mut vectors, parts, 0);
        }
        self.pool.submit(Job::new(token, op, vectors));
    }

    /// What came back from the pool.
    pub(super) fn collect(&mut self) {
        while let Some(finished) = self.pool.finished() {
            let Finished { job, result, found } = finished;
            let Some(token) = job.token else { continue };
            let flight = &mut self.flights[token as usize];
            flight.vectors = job.vectors;
            // SAFETY: the operation is in flight, so it lies where it was submitted, and the
            // pool's thread has given it back.
            match (found, unsafe { &mut *flight.op }) {
                (Found::Names(found), Op::List { names, .. }) => *names = found,
                (Found::Space(all, left), Op::Space { total, usable, .. }) => {
                    (*total, *usable) = (all, left);
                }
                (Found::Nothing, Op::Open { .. }) if result >= 0 => self.handles.fresh(result),
                _ => {}
            }
            self.complete(token, result, None);
        }
    }

    /// Performs at once what does not wait.
    pub(super) fn at_once(&mut self, token: Token, op: &mut Op) -> i32 {
        match op {
            Op::Shutdown { socket } => calls::sockets::shutdown(socket.0),
            Op::Read {
                file,
                pos,
                block,
                start,
                len,
                ..
            } => read_cached(file.0, *pos, block.ptr(*start as usize), *len as usize),
            Op::Wake { peer } => {
                peer.deliver();
                0
            }
            Op::WriteNow { parts, .. } => {
                let vectors = &mut self.flights[token as usize].vectors;
                calls::gather(vectors, parts, 0);
                calls::perform(op, vectors)
            }
            Op::Sendfile { socket, .. } | Op::SpliceOut { socket, .. } => {
                let socket = socket.0;
                let moved = calls::perform(op, &[]);
                if moved == -libc::EAGAIN {
                    self.handles.socket(socket).writable = false;
                }
                moved
            }
            _ => calls::perform(op, &[]),
        }
    }
}
