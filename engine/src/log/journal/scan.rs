//! Which of the frames that a crash has left are to be put in place, and in which order.
//!
//! In a file, frames follow each other from its start; what lies behind the last one is older or
//! torn. Where one is damaged the next may be whole: frames begin with pages, so each page is looked
//! at. Frames that had not all completed when the last of them was made may be there in any
//! choice: the first of these that is missing ends the journal. (Nobody was told that anything
//! behind it is durable.)
//!
//! Absent on purpose: I/O.

use super::frame::{Frame, Head, read};
use crate::bytes::{PAGE, page_ceil};
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
            Err(why) if rest.is_empty() => return Scanned::End(why),
            Err(_) => {
                at += PAGE;
                continue;
            }
        };
        let before = seen.last().filter(|before| before.file == file);
        if before.is_some_and(|before| before.head.sequence >= head.sequence) {
            // An older one, which was to be written over.
            at += PAGE;
            continue;
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

/// Frames that are not there though they were whole, and are needed as far as is known: the first
/// one's sequence, and how many.
pub fn missing(seen: &[Seen]) -> Option<(u64, u64)> {
    let kept = seen.iter().map(|one| one.head.kept).max()?;
    let done = seen.iter().map(|one| one.head.done).max()?;
    let mut there: Vec<u64> = seen.iter().map(|one| one.head.sequence).collect();
    there.retain(|sequence| (kept..done).contains(sequence));
    there.sort_unstable();
    there.dedup();
    let count = done.saturating_sub(kept) - there.len() as u64;
    let gap = there
        .iter()
        .zip(kept..)
        .find(|(sequence, due)| *sequence != due);
    let first = gap.map_or(kept + there.len() as u64, |(_, due)| due);
    (count > 0).then_some((first, count))
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
