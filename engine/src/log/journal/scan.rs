//! Which of the frames that a crash has left are to be put in place, and in which order.
//!
//! In a file, frames follow each other from its start; what lies behind the last one is older or
//! torn. Frames that had not all completed when the last of them was made may be there in any
//! choice: the first of these that is missing ends the journal. (Nobody was told that anything
//! behind it is durable.)
//!
//! Absent on purpose: I/O.

use super::frame::{Frame, Head, read};
use crate::bytes::page_ceil;
use crate::limits::JOURNAL_FRAME_BYTES_MAX;

/// A frame that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// In which file.
    pub file: usize,
    /// Where in it.
    pub pos: u64,
    /// Its length without padding.
    pub bytes: usize,
    pub head: Head,
}

/// What to do next with a file that is being scanned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scanned {
    /// Read on from this position.
    On(u64),
    /// Nothing more; why, in words.
    End(&'static str),
}

/// Takes in the frames of a file at `pos`, of which `bytes` were read; `last`: the file ends there.
/// Frames of the file that were seen before stand at the end of `seen`.
pub fn scan(
    seen: &mut Vec<Seen>,
    file: usize,
    pos: u64,
    bytes: &[u8],
    life: u64,
    last: bool,
) -> Scanned {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        if rest.len() < JOURNAL_FRAME_BYTES_MAX && !last {
            return Scanned::On(pos + at as u64);
        }
        let Frame { head, bytes, .. } = match read(rest, life) {
            Ok(frame) => frame,
            Err(why) => return Scanned::End(why),
        };
        let before = seen.last().filter(|before| before.file == file);
        if before.is_some_and(|before| before.head.sequence + 1 != head.sequence) {
            return Scanned::End("an older frame");
        }
        seen.push(Seen {
            file,
            pos: pos + at as u64,
            bytes,
            head,
        });
        at += page_ceil(bytes as u64) as usize;
    }
}

/// Those that are needed, in their order.
pub fn order(mut seen: Vec<Seen>) -> Vec<Seen> {
    let kept = seen.iter().map(|one| one.head.kept).max().unwrap_or(0);
    let done = seen.iter().map(|one| one.head.done).max().unwrap_or(0);
    seen.sort_unstable_by_key(|one| one.head.sequence);
    let mut expected = done;
    seen.retain(|one| {
        let sequence = one.head.sequence;
        if sequence >= done && sequence != expected {
            return false;
        }
        expected += u64::from(sequence >= done);
        sequence >= kept
    });
    seen
}
