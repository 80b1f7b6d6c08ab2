//! Which file of a journal the next frame goes to, and which file may be used again.
//!
//! A file is missing until it is made, then free; it is in use from its first frame on, and free
//! again when everything in it is stored elsewhere. Frames fill one file after the other.
//!
//! Absent on purpose: the files.

use crate::limits::JOURNAL_FRAME_BYTES_MAX;

/// However small a file: the next one is asked for while frames of any length still fit.
const AHEAD_BYTES_MIN: u64 = 4 * JOURNAL_FRAME_BYTES_MAX as u64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum File {
    Missing,
    Free,
    /// Since the frame of this sequence.
    Used(u64),
}

/// Where a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which file, from 0.
    pub file: usize,
    /// Where in it, bytes; page-aligned if all lengths are.
    pub pos: u64,
    /// The frame's.
    pub sequence: u64,
    /// The first sequence that is still needed.
    pub kept: u64,
}

/// What a ring needs to go on without a pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// This file should be made.
    Make(usize),
    /// What is in this file should be stored: it is the oldest.
    Store(usize),
}

/// See the module.
#[derive(Debug)]
pub struct Ring {
    files: Vec<File>,
    file_bytes: u64,
    /// The next file is asked for when so much is left of the current one.
    ahead: u64,
    current: Option<usize>,
    /// Where the next frame goes in the current file.
    at: u64,
    sequence: u64,
}

impl Ring {
    /// So many files of so many bytes, none made yet.
    pub fn new(files: usize, file_bytes: u64) -> Self {
        Ring {
            files: vec![File::Missing; files],
            file_bytes,
            ahead: file_bytes.min(AHEAD_BYTES_MIN).max(file_bytes / 2),
            current: None,
            at: 0,
            sequence: 0,
        }
    }

    /// The sequence of the next frame.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The file that frames go to now.
    pub fn current(&self) -> Option<usize> {
        self.current
    }

    /// Whether a frame of `bytes` has a place.
    pub fn ready(&self, bytes: u64) -> bool {
        let fits = self.current.is_some() && self.at + bytes <= self.file_bytes;
        bytes <= self.file_bytes && (fits || self.files.contains(&File::Free))
    }

    /// Takes the next place. `None`: see [`ready`](Self::ready).
    pub fn take(&mut self, bytes: u64) -> Option<Place> {
        if !self.ready(bytes) {
            return None;
        }
        if self.current.is_none() || self.at + bytes > self.file_bytes {
            let free = self.files.iter().position(|file| *file == File::Free)?;
            self.files[free] = File::Used(self.sequence);
            (self.current, self.at) = (Some(free), 0);
        }
        let place = Place {
            file: self.current?,
            pos: self.at,
            sequence: self.sequence,
            kept: self.kept(),
        };
        self.at += bytes;
        self.sequence += 1;
        Some(place)
    }

    /// The first sequence that is still needed.
    pub fn kept(&self) -> u64 {
        let used = self.files.iter().filter_map(|file| match file {
            File::Used(first) => Some(*first),
            _ => None,
        });
        used.min().unwrap_or(self.sequence)
    }

    /// What it needs before the current file is full, if no file is free. `given_up`: files that
    /// cannot be stored now.
    pub fn need(&self, given_up: impl Fn(usize) -> bool) -> Option<Need> {
        let far = self.current.is_some() && self.file_bytes - self.at > self.ahead;
        if far || self.files.contains(&File::Free) {
            return None;
        }
        if let Some(missing) = self.files.iter().position(|file| *file == File::Missing) {
            return Some(Need::Make(missing));
        }
        let used = self
            .files
            .iter()
            .enumerate()
            .filter_map(|(at, file)| match file {
                File::Used(first) if self.current != Some(at) && !given_up(at) => {
                    Some((*first, at))
                }
                _ => None,
            });
        used.min().map(|(_, at)| Need::Store(at))
    }

    /// A missing file was made.
    pub fn made(&mut self, file: usize) {
        assert_eq!(self.files[file], File::Missing, "a file is made once");
        self.files[file] = File::Free;
    }

    /// Everything in a file is stored elsewhere. Nothing of it is in flight.
    pub fn stored(&mut self, file: usize) {
        assert!(self.current != Some(file), "frames go there");
        assert!(matches!(self.files[file], File::Used(_)), "it was used");
        self.files[file] = File::Free;
    }
}
