//! What happened, folded into one number, and its last lines in words.
//!
//! The hash covers every submission (kind, handle, positions, lengths, paths, and the bytes
//! written or sent), every completion (token, result, time) and every crash. Two runs with one
//! seed have equal hashes, or something in them depended on what a seed does not decide.

use std::collections::VecDeque;
use std::fmt::Write;

use super::rng::mix;
use crate::bytes::Part;
use crate::io::driver::Token;
use crate::io::op::Op;

/// Lines kept for a failure's report.
const LINES_KEPT: usize = 256;

struct Line {
    time: u64,
    driver: u32,
    token: Token,
    what: What,
}

enum What {
    Submit(Fields),
    Done(&'static str, i32),
    Note(&'static str),
}

/// The fields of an operation that decide what it does.
struct Fields {
    kind: &'static str,
    handle: i32,
    numbers: [u64; 2],
    text: String,
    content: u32,
}

/// The running hash and the last lines.
pub(super) struct Trace {
    hash: u64,
    lines: VecDeque<Line>,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        Trace {
            hash: mix(seed),
            lines: VecDeque::with_capacity(LINES_KEPT),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    fn fold(&mut self, x: u64) {
        self.hash = mix(self.hash.rotate_left(17) ^ x);
    }

    fn fold_text(&mut self, text: &str) {
        self.fold(u64::from(crc32c::crc32c(text.as_bytes())));
    }

    fn push(&mut self, time: u64, driver: u32, token: Token, what: What) {
        self.fold(time);
        self.fold(u64::from(driver) << 32 | u64::from(token));
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(Line {
            time,
            driver,
            token,
            what,
        });
    }

    pub(super) fn submit(&mut self, time: u64, driver: u32, token: Token, op: &Op) {
        let fields = fields(op);
        self.fold_text(fields.kind);
        self.fold(fields.handle as u64);
        self.fold(fields.numbers[0]);
        self.fold(fields.numbers[1]);
        self.fold_text(&fields.text);
        self.fold(u64::from(fields.content));
        self.push(time, driver, token, What::Submit(fields));
    }

    pub(super) fn done(&mut self, time: u64, driver: u32, token: Token, op: &Op, result: i32) {
        self.fold(result as u64);
        self.push(time, driver, token, What::Done(fields_kind(op), result));
    }

    pub(super) fn note(&mut self, time: u64, note: &'static str) {
        self.fold_text(note);
        self.push(time, 0, 0, What::Note(note));
    }

    /// The last `count` lines.
    pub(super) fn tail(&self, count: usize) -> String {
        let mut text = String::new();
        for line in self
            .lines
            .iter()
            .skip(self.lines.len().saturating_sub(count))
        {
            let micros = line.time / 1_000;
            let nanos = line.time % 1_000;
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "{micros:>9}.{nanos:03} us  driver {} #{:<4} ",
                line.driver, line.token
            );
            let _ = match &line.what {
                What::Submit(f) => writeln!(
                    text,
                    "{} handle={} {} {} {}",
                    f.kind, f.handle, f.numbers[0], f.numbers[1], f.text
                ),
                What::Done(kind, result) => writeln!(text, "  -> {kind} = {result}"),
                What::Note(note) => writeln!(text, "== {note}"),
            };
        }
        text
    }
}

fn crc_of(parts: &[Part]) -> u32 {
    parts
        .iter()
        .fold(0, |crc, part| crc32c::crc32c_append(crc, part.bytes()))
}

/// The kind of an operation, in a word.
pub(super) fn fields_kind(op: &Op) -> &'static str {
    match op {
        Op::Vacant => "vacant",
        Op::Listen { .. } => "listen",
        Op::Accept { .. } => "accept",
        Op::Connect { .. } => "connect",
        Op::RecvProvided { .. } => "recv-provided",
        Op::Recv { .. } => "recv",
        Op::Send { .. } => "send",
        Op::Sendfile { .. } => "sendfile",
        Op::SendZeroCopy { .. } => "send-zero-copy",
        Op::Pipe { .. } => "pipe",
        Op::SpliceIn { .. } => "splice-in",
        Op::SpliceOut { .. } => "splice-out",
        Op::Writable { .. } => "writable",
        Op::Shutdown { .. } => "shutdown",
        Op::Write { dsync: false, .. } => "write",
        Op::Write { dsync: true, .. } => "write-dsync",
        Op::WriteNow { .. } => "write-now",
        Op::Read { cached: false, .. } => "read",
        Op::Read { cached: true, .. } => "read-cached",
        Op::DataSync { .. } => "fdatasync",
        Op::Sync { .. } => "fsync",
        Op::Allocate { .. } => "allocate",
        Op::Truncate { .. } => "truncate",
        Op::Open { .. } => "open",
        Op::Close { .. } => "close",
        Op::Rename { .. } => "rename",
        Op::Remove { .. } => "remove",
        Op::RemoveDir { .. } => "rmdir",
        Op::MakeDir { .. } => "mkdir",
        Op::Size { .. } => "size",
        Op::DataAfter { .. } => "seek-data",
        Op::SyncFileSystem { .. } => "syncfs",
        Op::List { .. } => "list",
        Op::Space { .. } => "space",
        Op::Resident { .. } => "resident",
        Op::Peer { .. } => "peer",
        Op::Wake { .. } => "wake",
    }
}

fn fields(op: &Op) -> Fields {
    let mut text = String::new();
    let mut content = 0;
    let (handle, a, b) = match op {
        Op::Vacant => (-1, 0, 0),
        Op::Listen { address, shared } => {
            text = address.to_string();
            (-1, u64::from(*shared), 0)
        }
        Op::Connect { address } => {
            text = address.to_string();
            (-1, 0, 0)
        }
        Op::Accept { listener: handle }
        | Op::RecvProvided { socket: handle }
        | Op::Writable { socket: handle }
        | Op::Shutdown { socket: handle }
        | Op::DataSync { file: handle }
        | Op::Sync { file: handle }
        | Op::Close { handle }
        | Op::Size { file: handle, .. }
        | Op::Peer { socket: handle, .. } => (handle.0, 0, 0),
        Op::Wake { peer } => (peer.ring().map_or(-1, |ring| ring.0), 0, 0),
        Op::Recv {
            socket, len, all, ..
        } => (socket.0, u64::from(*len), u64::from(*all)),
        // What this driver does not have is refused whatever it holds.
        Op::SendZeroCopy { .. } | Op::Pipe { .. } | Op::SpliceIn { .. } | Op::SpliceOut { .. } => {
            (-1, 0, 0)
        }
        Op::Send { socket, parts } => {
            content = crc_of(parts);
            (socket.0, 0, crate::bytes::parts_len(parts) as u64)
        }
        Op::Sendfile {
            socket, pos, len, ..
        } => (socket.0, *pos, u64::from(*len)),
        Op::Write {
            file, pos, parts, ..
        }
        | Op::WriteNow {
            file, pos, parts, ..
        } => {
            content = crc_of(parts);
            (file.0, *pos, crate::bytes::parts_len(parts) as u64)
        }
        Op::Read { file, pos, len, .. } => (file.0, *pos, u64::from(*len)),
        Op::Allocate { file, pos, len } | Op::Resident { file, pos, len } => (file.0, *pos, *len),
        Op::Truncate { file, len } => (file.0, 0, *len),
        Op::DataAfter { file, pos, .. } => (file.0, *pos, 0),
        Op::Open { path, mode } => {
            text = path.to_string_lossy().into_owned();
            let mode = [
                mode.write,
                mode.create,
                mode.direct,
                mode.directory,
                mode.truncate,
            ];
            let bits = mode
                .iter()
                .fold(0, |bits, flag| bits << 1 | u64::from(*flag));
            (-1, bits, 0)
        }
        Op::Rename { from, to } => {
            text = format!("{} {}", from.to_string_lossy(), to.to_string_lossy());
            (-1, 0, 0)
        }
        Op::Remove { path }
        | Op::RemoveDir { path }
        | Op::MakeDir { path }
        | Op::Space { path, .. }
        | Op::SyncFileSystem { path }
        | Op::List { path, .. } => {
            text = path.to_string_lossy().into_owned();
            (-1, 0, 0)
        }
    };
    Fields {
        kind: fields_kind(op),
        handle,
        numbers: [a, b],
        text,
        content,
    }
}
