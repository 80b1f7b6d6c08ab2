//! Socket operations: what they do when tried, and what wakes them when they had to wait.

use std::net::SocketAddr;

use super::clock;
use super::net::{End, FlightId, ListenerId};
use super::world::{Event, Object, World};
use crate::bytes::{Part, parts_len};
use crate::io::op::Op;
use crate::io::provided::Provided;

/// How long a stalled piece is under way at most, nanoseconds.
const STALL_MAX: u64 = 3_000_000_000;

/// Bytes `[from, from + len)` of a gather list.
fn copy_out(parts: &[Part], from: usize, len: usize) -> Vec<u8> {
    let (mut skip, mut out) = (from, Vec::with_capacity(len));
    for part in parts {
        let bytes = part.bytes();
        let start = skip.min(bytes.len());
        skip -= start;
        let count = (bytes.len() - start).min(len - out.len());
        out.extend_from_slice(&bytes[start..start + count]);
    }
    out
}

impl World {
    pub(super) fn listen(&mut self, address: &mut SocketAddr, shared: bool) -> i32 {
        match self.net.listen(*address, shared) {
            Ok((id, bound)) => {
                *address = bound;
                self.grant(Object::Listener(id))
            }
            Err(errno) => -errno,
        }
    }

    pub(super) fn connect(&mut self, address: SocketAddr) -> i32 {
        let listeners = self.net.listening(address);
        if listeners.is_empty() {
            return -libc::ECONNREFUSED;
        }
        let chosen = listeners[self.rng.range(0, listeners.len() as u64) as usize];
        let mut window = || 1 << self.rng.range(12, 19);
        let windows = (window(), window());
        let client = self.net.connect(address, chosen, windows);
        self.pump_accepts(chosen);
        self.grant(Object::Socket(client))
    }

    /// Gives waiting connections to waiting accepts.
    pub(super) fn pump_accepts(&mut self, id: ListenerId) {
        loop {
            let Some(listener) = self.net.listeners.get_mut(&id) else {
                return;
            };
            let Some(&flight) = listener.acceptors.front() else {
                return;
            };
            if !self.flights.contains_key(&flight) {
                listener.acceptors.pop_front();
                continue;
            }
            let result = if listener.shut {
                -libc::EINVAL
            } else {
                let Some(end) = listener.backlog.pop_front() else {
                    return;
                };
                self.grant(Object::Socket(end))
            };
            let listener = self.net.listeners.get_mut(&id).expect("as above");
            listener.acceptors.pop_front();
            self.complete(flight, result);
        }
    }

    /// Sends something to `end` that nothing overtakes.
    fn send_to(&mut self, end: End, event: impl FnOnce(End) -> Event) {
        let mut at = self.time + clock::travel(&mut self.rng);
        if self.faults.happens(self.faults.now.stall, "stalled socket") {
            at += self.faults.rng.range(1, STALL_MAX);
        }
        let Some(socket) = self.net.sockets.get_mut(&end) else {
            return;
        };
        socket.arrives = socket.arrives.max(at);
        let at = socket.arrives;
        self.schedule(at, event(end));
    }

    /// Sends bytes to `end`, in pieces. They fit its window.
    fn send_bytes(&mut self, end: End, bytes: Vec<u8>) {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let count = match self.rng.range(0, 2) {
                0 => bytes.len(),
                _ => self.rng.range(1, bytes.len() as u64 + 1) as usize,
            };
            let rest = bytes.split_off(count);
            self.net
                .sockets
                .get_mut(&end)
                .expect("it has room")
                .travelling += count;
            let piece = std::mem::replace(&mut bytes, rest);
            self.send_to(end, |end| Event::Arrive(end, piece));
            if self.faults.happens(self.faults.now.cut, "cut socket") {
                // Both ends hear of it, each in its time.
                let peer = self.net.sockets[&end].peer;
                self.send_to(end, Event::Reset);
                self.send_to(peer, Event::Reset);
            }
        }
    }

    /// Why nothing can be sent from `end`, if so: its error number.
    fn unsendable(&mut self, end: End) -> Option<i32> {
        let socket = self.net.sockets.get_mut(&end).expect("it is held");
        if socket.broken {
            return Some(socket.error.take().unwrap_or(libc::EPIPE));
        }
        socket.shut.then_some(libc::EPIPE)
    }

    fn room_at_peer(&self, end: End) -> usize {
        let peer = self.net.sockets[&end].peer;
        self.net.sockets.get(&peer).map_or(0, |peer| peer.room())
    }

    /// Goes on with a send; it waits where the peer's window is full.
    pub(super) fn pump_send(&mut self, end: End, id: FlightId) {
        let progress = self.flights[&id].progress as usize;
        let Op::Send { parts, .. } = self.flights[&id].op_ref() else {
            unreachable!("only sends wait as senders")
        };
        let wanted = parts_len(parts);
        if let Some(errno) = self.unsendable(end) {
            let result = if progress > 0 {
                progress as i32
            } else {
                -errno
            };
            self.net.sockets.get_mut(&end).expect("it is held").sender = None;
            return self.complete(id, result);
        }
        let mut wanted = wanted;
        if wanted - progress > 1 && self.faults.happens(self.faults.now.short, "short transfer") {
            // It ends here; the caller goes on.
            wanted = self.faults.rng.range(progress as u64 + 1, wanted as u64) as usize;
        }
        let count = (wanted - progress).min(self.room_at_peer(end));
        if count > 0 {
            let Op::Send { parts, .. } = self.flights[&id].op_ref() else {
                unreachable!("as above")
            };
            let bytes = copy_out(parts, progress, count);
            let peer = self.net.sockets[&end].peer;
            self.send_bytes(peer, bytes);
            let flight = self.flights.get_mut(&id).expect("it is in flight");
            flight.progress += count as u32;
        }
        let done = progress + count == wanted;
        let socket = self.net.sockets.get_mut(&end).expect("it is held");
        socket.sender = (!done).then_some(id);
        if done {
            self.complete(id, wanted as i32);
        }
    }

    /// Sends from page cache what fits now.
    pub(super) fn sendfile(&mut self, end: End, inode: u64, pos: u64, len: u32) -> i32 {
        if let Some(errno) = self.unsendable(end) {
            return -errno;
        }
        let file = self.disk.file(inode);
        let wanted = u64::from(len).min(file.len().saturating_sub(pos)) as usize;
        let count = wanted.min(self.room_at_peer(end));
        if wanted > 0 && count == 0 {
            return -libc::EAGAIN;
        }
        let mut bytes = vec![0; count];
        self.disk.file(inode).read(pos, &mut bytes, false);
        self.count_read(inode, count as u64);
        let peer = self.net.sockets[&end].peer;
        self.send_bytes(peer, bytes);
        count as i32
    }

    /// Completes those who wait to send, where a good part of the window is free.
    pub(super) fn pump_writers(&mut self, end: End) {
        let Some(socket) = self.net.sockets.get(&end) else {
            return;
        };
        let ended = socket.broken || socket.shut;
        let window = self.net.sockets.get(&socket.peer).map_or(0, |p| p.window);
        if !ended && self.room_at_peer(end) <= window / 3 {
            return;
        }
        let socket = self.net.sockets.get_mut(&end).expect("as above");
        for id in std::mem::take(&mut socket.writers) {
            if self.flights.contains_key(&id) {
                self.complete(id, i32::from(libc::POLLOUT));
            }
        }
    }

    /// Those who send from `end` may go on.
    fn pump_outgoing(&mut self, end: End) {
        let Some(socket) = self.net.sockets.get(&end) else {
            return;
        };
        if let Some(id) = socket.sender {
            if self.flights.contains_key(&id) {
                self.pump_send(end, id);
            } else {
                let socket = self.net.sockets.get_mut(&end).expect("as above");
                socket.sender = None;
            }
        }
        self.pump_writers(end);
    }

    /// Gives what has arrived to those who wait for it, in order.
    pub(super) fn pump_receives(&mut self, end: End) {
        loop {
            let Some(socket) = self.net.sockets.get_mut(&end) else {
                return;
            };
            let Some(&id) = socket.receivers.front() else {
                return;
            };
            if !self.flights.contains_key(&id) {
                socket.receivers.pop_front();
                continue;
            }
            let (peer, before) = (socket.peer, socket.inbox.len());
            let received = self.receive(end, id);
            let socket = self.net.sockets.get_mut(&end).expect("as above");
            let left = socket.inbox.len();
            let waits = received.is_none();
            if let Some((result, provided)) = received {
                socket.receivers.pop_front();
                self.complete_with(id, result, provided, left > 0);
            }
            if left < before {
                self.pump_outgoing(peer);
            }
            if waits {
                return;
            }
        }
    }

    /// Tries one receive: its result, or nothing while it has to wait.
    fn receive(&mut self, end: End, id: FlightId) -> Option<(i32, Option<Provided>)> {
        let flight = self.flights.get_mut(&id).expect("it is in flight");
        let socket = self.net.sockets.get_mut(&end).expect("it is held");
        let (driver, progress) = (flight.driver, flight.progress);
        let (room, all) = match flight.op() {
            Op::RecvProvided { .. } => {
                let shard = &self.shards[&driver];
                if shard.free.borrow().is_empty() {
                    return Some((-libc::ENOBUFS, None));
                }
                (shard.buffers.size() as usize, false)
            }
            Op::Recv { len, all, .. } => ((*len - progress) as usize, *all),
            other => unreachable!("{other:?} does not receive"),
        };
        let count = room.min(socket.inbox.len());
        if count == 0 && room > 0 {
            if progress > 0 {
                return socket.ended().then_some((progress as i32, None));
            }
            if let Some(errno) = socket.error.take() {
                return Some((-errno, None));
            }
            return socket.ended().then_some((0, None));
        }
        let bytes: Vec<u8> = socket.inbox.drain(..count).collect();
        match flight.op() {
            Op::Recv {
                block, start, len, ..
            } => {
                // SAFETY: the caller holds no part of the range that it receives into, and this
                // operation alone is in flight on it.
                unsafe { block.bytes_mut((*start + progress) as usize, count) }
                    .copy_from_slice(&bytes);
                let (got, len) = (progress + count as u32, *len);
                flight.progress = got;
                (!all || got == len).then_some((got as i32, None))
            }
            _ => {
                let shard = &self.shards[&driver];
                let buffer = shard.free.borrow_mut().pop().expect("not empty, as above");
                let mut provided = shard.buffers.lend(buffer, count as u32);
                provided.bytes_mut().copy_from_slice(&bytes);
                Some((count as i32, Some(provided)))
            }
        }
    }

    pub(super) fn arrive(&mut self, end: End, bytes: Vec<u8>) {
        let Some(socket) = self.net.sockets.get_mut(&end) else {
            return;
        };
        socket.travelling -= bytes.len();
        if socket.broken {
            return;
        }
        if socket.released || socket.shut {
            // Nobody will read this, and the peer is told so.
            socket.broken = true;
            let peer = socket.peer;
            return self.send_to(peer, Event::Reset);
        }
        socket.inbox.extend(bytes);
        self.pump_receives(end);
    }

    pub(super) fn arrive_fin(&mut self, end: End) {
        if let Some(socket) = self.net.sockets.get_mut(&end) {
            socket.fin = true;
            self.pump_receives(end);
        }
    }

    pub(super) fn arrive_reset(&mut self, end: End) {
        let Some(socket) = self.net.sockets.get_mut(&end) else {
            return;
        };
        if socket.broken {
            return;
        }
        socket.broken = true;
        socket.error = Some(if socket.fin {
            libc::EPIPE
        } else {
            libc::ECONNRESET
        });
        self.pump_receives(end);
        self.pump_outgoing(end);
    }

    pub(super) fn shutdown(&mut self, object: &Object) -> i32 {
        match object {
            Object::Socket(end) => {
                let end = *end;
                let socket = self.net.sockets.get_mut(&end).expect("it is held");
                if socket.broken {
                    return -libc::ENOTCONN;
                }
                socket.shut = true;
                let peer = socket.peer;
                if !std::mem::replace(&mut socket.fin_sent, true) {
                    self.send_to(peer, Event::Fin);
                }
                self.pump_receives(end);
                self.pump_outgoing(end);
                0
            }
            Object::Listener(id) => {
                let id = *id;
                self.net.listeners.get_mut(&id).expect("it is held").shut = true;
                self.pump_accepts(id);
                0
            }
            _ => -libc::ENOTSOCK,
        }
    }

    pub(super) fn close_socket(&mut self, end: End) {
        let Some(socket) = self.net.sockets.get_mut(&end) else {
            return;
        };
        socket.released = true;
        let peer = socket.peer;
        if !socket.broken {
            if !socket.inbox.is_empty() {
                socket.broken = true;
                self.send_to(peer, Event::Reset);
            } else if !std::mem::replace(&mut socket.fin_sent, true) {
                self.send_to(peer, Event::Fin);
            }
        }
        self.net.forget(end);
    }

    pub(super) fn close_listener(&mut self, id: ListenerId) {
        let Some(listener) = self.net.listeners.remove(&id) else {
            return;
        };
        for end in listener.backlog {
            let socket = self.net.sockets.get_mut(&end).expect("not yet accepted");
            (socket.broken, socket.released) = (true, true);
            let peer = socket.peer;
            self.send_to(peer, Event::Reset);
            self.net.forget(end);
        }
    }
}
