//! What each operation does when its moment comes, and what a crash makes of those whose moment
//! had not come.

use super::disk::{Failed, Inode};
use super::file::Covered;
use super::net::FlightId;
use super::world::{Object, World, text};
use crate::bytes::{PAGE, Part, parts_len};
use crate::io::op::{Op, OpenMode};

/// Cached pages are found dropped once in so many looks.
const EVICT_ONE_IN: u64 = 16;

/// What is a hole counts as data once in so many looks.
const DATA_ANYWAY_ONE_IN: u64 = 8;

/// The longest file, bytes: what a common file system takes.
const FILE_BYTES_MAX: u64 = 1 << 44;

fn aligned(n: u64) -> bool {
    n.is_multiple_of(PAGE as u64)
}

/// Checks a position and a length as the kernel does.
fn span(pos: u64, len: u64) -> Result<(), Failed> {
    match pos.checked_add(len) {
        Some(end) if end <= FILE_BYTES_MAX => Ok(()),
        Some(end) if end <= i64::MAX as u64 => Err(libc::EFBIG),
        _ => Err(libc::EINVAL),
    }
}

fn result(result: Result<(), Failed>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => -errno,
    }
}

/// A file to write to.
fn writable(object: Object, otherwise: Failed) -> Result<(Inode, bool), Failed> {
    match object {
        Object::File {
            inode,
            write: true,
            direct,
        } => Ok((inode, direct)),
        Object::File { .. } | Object::Directory(_) => Err(otherwise),
        _ => Err(libc::EINVAL),
    }
}

impl World {
    /// An operation's moment: it is done, or begins to wait for its peer.
    pub(super) fn attempt(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get(&id) else {
            return; // cancelled
        };
        // SAFETY: the operation is in flight, so its memory is there and this driver's alone;
        // it is not used any more once `complete` is called.
        let op = unsafe { &mut *flight.op_pointer() };
        let object = flight.object.as_deref().copied();
        let source = flight.source.as_deref().copied();
        let done = match (op, object) {
            (Op::Write { .. } | Op::WriteNow { .. }, Some(object)) => {
                self.begin_write(id, object);
                return;
            }
            (Op::Accept { .. }, Some(Object::Listener(listener))) => {
                let waiting = self.net.listeners.get_mut(&listener).expect("it is held");
                waiting.acceptors.push_back(id);
                return self.pump_accepts(listener);
            }
            (Op::Accept { .. }, _) => -libc::EINVAL,
            (Op::RecvProvided { .. } | Op::Recv { .. }, Some(Object::Socket(end))) => {
                let socket = self.net.sockets.get_mut(&end).expect("it is held");
                socket.receivers.push_back(id);
                return self.pump_receives(end);
            }
            (Op::Send { .. }, Some(Object::Socket(end))) => return self.pump_send(end, id),
            (Op::Writable { .. }, Some(Object::Socket(end))) => {
                let socket = self.net.sockets.get_mut(&end).expect("it is held");
                socket.writers.push(id);
                return self.pump_writers(end);
            }
            (Op::Sendfile { pos, len, .. }, Some(Object::Socket(end))) => match source {
                Some(Object::File { inode, .. }) => self.sendfile(end, inode, *pos, *len),
                _ => -libc::EINVAL,
            },
            (Op::Listen { address, shared }, _) => self.listen(address, *shared),
            (Op::Connect { address }, _) => self.connect(*address),
            (Op::Shutdown { .. }, Some(object)) => self.shutdown(&object),
            (Op::Peer { address, .. }, Some(Object::Socket(end))) => {
                let socket = &self.net.sockets[&end];
                *address = (!socket.broken).then_some(socket.remote);
                if socket.broken { -libc::ENOTCONN } else { 0 }
            }
            (Op::Wake { .. }, object) => match object {
                Some(Object::Driver(peer)) if self.shards.contains_key(&peer) => {
                    self.shards[&peer].wake.arrive();
                    self.progress += 1;
                    0
                }
                _ => -libc::EBADFD,
            },
            (Op::Close { .. }, _) => 0,
            // Nobody asks for them here: see `Driver::pipes`.
            (
                Op::SendZeroCopy { .. }
                | Op::Pipe { .. }
                | Op::SpliceIn { .. }
                | Op::SpliceOut { .. },
                _,
            ) => -libc::EOPNOTSUPP,
            (
                Op::RecvProvided { .. }
                | Op::Recv { .. }
                | Op::Send { .. }
                | Op::Sendfile { .. }
                | Op::Writable { .. }
                | Op::Peer { .. },
                _,
            ) => -libc::ENOTSOCK,
            (
                Op::Read {
                    pos,
                    block,
                    start,
                    len,
                    cached,
                    ..
                },
                Some(object),
            ) => {
                // SAFETY: nobody else looks at the range that a read in flight fills.
                let into = unsafe { block.bytes_mut(*start as usize, *len as usize) };
                self.read(object, *pos, into, *cached)
            }
            (op, object) => {
                let flight = &self.flights[&id];
                let (covered, sequence) = (flight.covered.clone(), flight.sequence);
                match (op, object, covered) {
                    (
                        Op::DataSync { .. } | Op::Sync { .. },
                        Some(Object::File { inode, .. }),
                        Some(covered),
                    ) => {
                        if self.fails(inode, self.faults.now.sync_fails, "failed flush") {
                            let rng = &mut self.faults.rng;
                            let file = self.disk.file(inode);
                            file.sync_failed(&covered, || rng.next());
                            self.faults.sync_error()
                        } else if self.disk.file(inode).tell() {
                            self.faults.sync_error()
                        } else {
                            self.disk.file(inode).sync(&covered);
                            0
                        }
                    }
                    (Op::DataSync { .. } | Op::Sync { .. }, Some(Object::Directory(inode)), _) => {
                        self.disk.sync_directory(inode, sequence);
                        0
                    }
                    (Op::DataSync { .. } | Op::Sync { .. }, ..) => -libc::EINVAL,
                    (Op::SyncFileSystem { path }, _, Some(covered)) => {
                        match text(path).and_then(|path| self.disk.find(path)) {
                            Ok(_) => self.sync_all(&covered),
                            Err(errno) => -errno,
                        }
                    }
                    (op, object, _) => self.perform(op, object),
                }
            }
        };
        self.complete(id, done);
    }

    /// A sync of everything: of each file that it fails for, its own next sync tells, too.
    fn sync_all(&mut self, covered: &Covered) -> i32 {
        let mut result = 0;
        for inode in self.disk.files() {
            if self.fails(inode, self.faults.now.sync_fails, "failed flush of all") {
                let rng = &mut self.faults.rng;
                let file = self.disk.file(inode);
                file.sync_failed(covered, || rng.next());
                file.keep_error();
                result = self.faults.sync_error();
            } else {
                self.disk.file(inode).sync(covered);
            }
        }
        self.disk.sync_names(covered);
        result
    }

    /// File and name operations that are done at one moment.
    fn perform(&mut self, op: &mut Op, object: Option<Object>) -> i32 {
        match (op, object) {
            (Op::Open { path, mode }, _) => text(path)
                .and_then(|path| self.open(path, *mode))
                .unwrap_or_else(|errno| -errno),
            (Op::Rename { from, to }, _) => {
                let paths = text(from).and_then(|from| Ok((from, text(to)?)));
                result(paths.and_then(|(from, to)| self.disk.rename(from, to)))
            }
            (Op::Remove { path }, _) => result(text(path).and_then(|path| self.disk.remove(path))),
            (Op::RemoveDir { path }, _) => {
                result(text(path).and_then(|path| self.disk.remove_dir(path)))
            }
            (Op::MakeDir { path }, _) => {
                result(text(path).and_then(|path| self.disk.make_dir(path)))
            }
            (Op::List { path, names }, _) => {
                match text(path).and_then(|path| self.disk.list(path)) {
                    Ok(found) => {
                        *names = found;
                        0
                    }
                    Err(errno) => -errno,
                }
            }
            (Op::Space { total, usable, .. }, _) => {
                (*total, *usable) = self.disk.space();
                0
            }
            (Op::Size { len, .. }, Some(object)) => match object {
                Object::File { inode, .. } => {
                    *len = self.disk.file(inode).len();
                    0
                }
                _ => {
                    *len = 0;
                    0
                }
            },
            (Op::DataAfter { pos, found, .. }, Some(Object::File { inode, .. })) => {
                let file = self.disk.file(inode);
                // Not every file system knows.
                *found = match self.rng.one_in(DATA_ANYWAY_ONE_IN) {
                    true => Some(*pos).filter(|pos| *pos < file.len()),
                    false => file.data_after(*pos),
                };
                0
            }
            (Op::DataAfter { .. }, _) => -libc::EINVAL,
            (Op::Truncate { len, .. }, Some(object)) => result(self.truncate(object, *len)),
            (Op::Allocate { pos, len, .. }, Some(object)) => {
                result(self.allocate(object, *pos, *len))
            }
            (Op::Resident { pos, len, .. }, Some(Object::File { inode, .. })) => {
                self.maybe_evict(inode, *pos, *len);
                let there = self.disk.file(inode).resident(*pos, *len);
                there.min(i32::MAX as u64) as i32
            }
            (Op::Resident { .. }, _) => -libc::EBADF,
            (other, _) => unreachable!("{other:?} has no moment"),
        }
    }

    fn open(&mut self, path: &str, mode: OpenMode) -> Result<i32, Failed> {
        let (inode, directory) = self.disk.open(path, mode)?;
        self.paths.insert(inode, path.to_owned());
        Ok(self.grant(if directory {
            Object::Directory(inode)
        } else {
            Object::File {
                inode,
                write: mode.write,
                direct: mode.direct,
            }
        }))
    }

    fn truncate(&mut self, object: Object, len: u64) -> Result<(), Failed> {
        let (inode, _) = writable(object, libc::EINVAL)?;
        span(0, len)?;
        let sequence = self.disk.next_sequence();
        self.disk.file(inode).truncate(sequence, len);
        Ok(())
    }

    fn allocate(&mut self, object: Object, pos: u64, len: u64) -> Result<(), Failed> {
        let (inode, _) = writable(object, libc::EBADF)?;
        if len == 0 {
            return Err(libc::EINVAL);
        }
        span(pos, len)?;
        let pages = self.disk.file(inode).pages_missing(pos, len);
        self.room(pages)?;
        let sequence = self.disk.next_sequence();
        self.disk.file(inode).allocate(sequence, pos, len);
        Ok(())
    }

    fn room(&mut self, pages: u64) -> Result<(), Failed> {
        let room = self.disk.room(pages);
        if room.is_err() {
            self.faults.count("disk full");
        }
        room
    }

    /// Whether an error of this rate happens to a file now.
    fn fails(&mut self, inode: Inode, rate: u64, name: &'static str) -> bool {
        rate > 0 && !self.faults.spares(self.paths.get(&inode)) && self.faults.happens(rate, name)
    }

    /// How many of `len` bytes are transferred: whole pages, if not all.
    fn transferred(&mut self, len: u64) -> u64 {
        let (page, rate) = (PAGE as u64, self.faults.now.short);
        if len <= page || !self.faults.happens(rate, "short transfer") {
            return len;
        }
        self.faults.rng.range(1, len.div_ceil(page)) * page
    }

    fn maybe_evict(&mut self, inode: Inode, pos: u64, len: u64) {
        if self.rng.one_in(EVICT_ONE_IN) {
            self.disk.file(inode).evict(pos, len);
        }
    }

    fn read(&mut self, object: Object, pos: u64, into: &mut [u8], cached: bool) -> i32 {
        let (inode, direct) = match object {
            Object::File { inode, direct, .. } => (inode, direct),
            Object::Directory(_) => return -libc::EISDIR,
            _ => return -libc::EINVAL,
        };
        let len = into.len() as u64;
        let memory = into.as_ptr() as u64;
        if pos > i64::MAX as u64 || direct && !(aligned(pos) && aligned(len) && aligned(memory)) {
            return -libc::EINVAL;
        }
        if cached {
            self.maybe_evict(inode, pos, len);
            let file = self.disk.file(inode);
            let there = len.min(file.len().saturating_sub(pos));
            if file.resident(pos, there) < there {
                return -libc::EAGAIN;
            }
        }
        if self.fails(inode, self.faults.now.read_fails, "failed read") {
            return -libc::EIO;
        }
        let len = match pos.is_multiple_of(PAGE as u64) {
            true => self.transferred(len),
            false => len,
        };
        let into = &mut into[..len as usize];
        let got = self.disk.file(inode).read(pos, into, direct);
        self.count_read(inode, got as u64);
        got as i32
    }

    /// Keeps account of what is read of which file.
    pub(super) fn count_read(&mut self, inode: Inode, bytes: u64) {
        if let Some(path) = self.paths.get(&inode) {
            *self.read.entry(path.clone()).or_default() += bytes;
        }
    }

    /// Whether a write can be made at all: where to, and whether past the cache.
    fn check_write(
        &mut self,
        object: Object,
        pos: u64,
        parts: &[Part],
    ) -> Result<(Inode, bool), Failed> {
        let (inode, direct) = writable(object, libc::EBADF)?;
        let len = parts_len(parts) as u64;
        span(pos, len)?;
        let parts_aligned = || {
            let mut parts = parts.iter().filter(|part| !part.is_empty());
            parts.all(|p| aligned(p.len() as u64) && aligned(p.bytes().as_ptr() as u64))
        };
        if direct && !(aligned(pos) && parts_aligned()) {
            return Err(libc::EINVAL);
        }
        let pages = self.disk.file(inode).pages_missing(pos, len);
        self.room(pages)?;
        Ok((inode, direct))
    }

    /// A write takes effect. It completes later.
    fn begin_write(&mut self, id: FlightId, object: Object) {
        // SAFETY: as in `attempt`; only read.
        let op = unsafe { &*self.flights[&id].op_pointer() };
        let (pos, parts) = match op {
            Op::Write { pos, parts, .. } | Op::WriteNow { pos, parts, .. } => (*pos, parts),
            _ => unreachable!("only writes begin"),
        };
        let result = match self.check_write(object, pos, parts) {
            Err(errno) => -errno,
            Ok((inode, _)) if self.fails(inode, self.faults.now.write_fails, "failed write") => {
                self.settle_write(object, pos, parts);
                -libc::EIO
            }
            Ok((inode, direct)) => {
                let mut left = self.transferred(parts_len(parts) as u64);
                let sequence = self.disk.next_sequence();
                self.flights.get_mut(&id).expect("in flight").sequence = sequence;
                let file = self.disk.file(inode);
                file.begin(sequence);
                let mut at = pos;
                for part in parts {
                    let count = left.min(part.len() as u64);
                    file.write(sequence, at, &part.bytes()[..count as usize], direct);
                    (at, left) = (at + count, left - count);
                }
                (at - pos) as i32
            }
        };
        self.flights.get_mut(&id).expect("in flight").result = Some(result);
    }

    /// Forgets that a write has not completed; with `durable` it does complete.
    fn end_write(&mut self, id: FlightId, durable: bool) {
        let flight = &self.flights[&id];
        let (sequence, result) = (flight.sequence, flight.result);
        let (pos, dsync) = match flight.op_ref() {
            Op::Write { pos, dsync, .. } => (*pos, *dsync),
            Op::WriteNow { pos, .. } => (*pos, false),
            _ => unreachable!("only writes have a result before they complete"),
        };
        if let (Some(Object::File { inode, .. }), Some(len @ 0..)) =
            (flight.object.as_deref().copied(), result)
        {
            let file = self.disk.file(inode);
            file.finish(sequence, pos, len as u64, dsync && durable);
        }
    }

    /// A write completes.
    pub(super) fn finish(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get(&id) else {
            return;
        };
        let result = flight.result.expect("it took effect before");
        let fails = match (flight.op_ref(), flight.object.as_deref().copied()) {
            (Op::Write { dsync: true, .. }, Some(Object::File { inode, .. })) if result > 0 => {
                self.fails(inode, self.faults.now.sync_fails, "failed durable write")
            }
            _ => false,
        };
        self.end_write(id, !fails);
        if fails {
            self.lose_write(id, result as u64);
        }
        let result = match fails {
            true => self.faults.sync_error(),
            false => result,
        };
        self.complete(id, result);
    }

    /// A durable write has failed after it took effect.
    fn lose_write(&mut self, id: FlightId, len: u64) {
        let flight = &self.flights[&id];
        if let (Op::Write { pos, .. }, Some(Object::File { inode, .. })) =
            (flight.op_ref(), flight.object.as_deref().copied())
        {
            let (pos, sequence) = (*pos, flight.sequence);
            let rng = &mut self.faults.rng;
            let file = self.disk.file(inode);
            file.write_failed(sequence, pos, len, || rng.next());
        }
    }

    /// What a crash makes of an operation in flight.
    pub(super) fn settle(&mut self, id: FlightId) {
        let flight = &self.flights[&id];
        let object = flight.object.as_deref().copied();
        if flight.result.is_some() {
            return self.end_write(id, false);
        }
        // SAFETY: as in `attempt`: abandoned operations keep their memory until their driver,
        // or whoever kills it, has let go of them, which is after this.
        let op = unsafe { &mut *flight.op_pointer() };
        match op {
            Op::Write { pos, parts, .. } => {
                let object = object.expect("a write has a file");
                self.settle_write(object, *pos, parts);
            }
            Op::Open { .. }
            | Op::Rename { .. }
            | Op::Remove { .. }
            | Op::RemoveDir { .. }
            | Op::MakeDir { .. }
            | Op::Allocate { .. }
            | Op::Truncate { .. }
                if self.rng.one_in(2) =>
            {
                self.perform(op, object);
            }
            // Lost, or nothing to lose. (What a sync would have covered may be durable anyway.)
            _ => {}
        }
    }

    /// Any of a write's sectors, or none.
    fn settle_write(&mut self, object: Object, pos: u64, parts: &[Part]) {
        let fate = self.rng.range(0, 3);
        let Ok((inode, direct)) = self.check_write(object, pos, parts) else {
            return;
        };
        if fate == 0 {
            return;
        }
        let sequence = self.disk.next_sequence();
        let mut at = pos;
        for part in parts {
            let mut bytes = part.bytes();
            while !bytes.is_empty() {
                let sector = super::file::SECTOR as u64;
                let count = bytes.len().min((sector - at % sector) as usize);
                if fate == 1 || self.rng.one_in(2) {
                    let file = self.disk.file(inode);
                    file.write(sequence, at, &bytes[..count], direct);
                }
                at += count as u64;
                bytes = &bytes[count..];
            }
        }
    }
}
