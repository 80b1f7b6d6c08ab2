//! Lines out of a file descriptor, and keys out of lines.
//!
//! Lines are borrowed from one buffer. A line is everything up to a line feed, any bytes; the
//! last one needs none. The wait for input can be bounded, so that batches do not wait for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::bail;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const READ_BYTES: usize = 1 << 20;

/// Bytes of the longest line.
const LINE_BYTES_MAX: usize = 256 << 20;

/// See the [module](self).
pub struct Lines {
    input: File,
    buffer: Vec<u8>,
    /// The part of the buffer that holds input.
    start: usize,
    end: usize,
    /// No line ends between `start` and here.
    searched: usize,
    ended: bool,
    bytes_read: u64,
    lines: u64,
}

impl Lines {
    pub fn new(input: OwnedFd) -> Self {
        Self {
            input: input.into(),
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            searched: 0,
            ended: false,
            bytes_read: 0,
            lines: 0,
        }
    }

    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads what is there, waiting for it up to `wait` (for ever if none). False once all input
    /// has been read; the lines must be taken all the same.
    ///
    /// # Errors
    /// The input's; a line longer than 256 MiB.
    pub fn fill(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        if self.ended || !self.wait(wait)? {
            return Ok(!self.ended);
        }
        self.make_room()?;
        let got = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Stdin may be non-blocking, by the will of whoever shares it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                outcome => break outcome?,
            }
        };
        self.end += got;
        self.bytes_read += got as u64;
        self.ended = got == 0;
        Ok(!self.ended)
    }

    /// The next line that has been read, and its number from 1.
    pub fn next_line(&mut self) -> Option<(u64, &[u8])> {
        let start = self.start;
        let line = match memchr::memchr(b'\n', &self.buffer[self.searched..self.end]) {
            Some(at) => {
                let end = self.searched + at;
                self.start = end + 1;
                start..end
            }
            None if self.ended && self.start < self.end => {
                self.start = self.end;
                start..self.end
            }
            None => {
                self.searched = self.end;
                return None;
            }
        };
        self.searched = self.start;
        self.lines += 1;
        Some((self.lines, &self.buffer[line]))
    }

    fn wait(&self, wait: Option<Duration>) -> io::Result<bool> {
        let timeout = match wait {
            // Rounded up: a wait of less than a millisecond must not spin.
            Some(wait) => PollTimeout::try_from(wait.as_micros().div_ceil(1000) as u64)
                .unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let mut polled = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        let kept = self.end - self.start;
        if kept + READ_BYTES / 2 > self.buffer.len() {
            if kept > LINE_BYTES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "line {} is longer than {LINE_BYTES_MAX} bytes",
                        self.lines + 1
                    ),
                ));
            }
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.searched -= self.start;
        self.end = kept;
        self.start = 0;
        Ok(())
    }
}

/// How a line becomes a record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Split<'a> {
    pub key_separator: Option<&'a [u8]>,
    pub null_marker: Option<&'a [u8]>,
}

/// A line's key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl Split<'_> {
    /// # Errors
    /// The separator is not in the line.
    pub fn line<'l>(&self, line: &'l [u8]) -> anyhow::Result<Line<'l>> {
        let (key, value) = match self.key_separator {
            None => (None, line),
            Some(separator) => match memchr::memmem::find(line, separator) {
                Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
                None => bail!(
                    "it has no key: {:?} is not in it",
                    String::from_utf8_lossy(separator)
                ),
            },
        };
        let not_null = |text: &&[u8]| self.null_marker != Some(*text);
        Ok(Line {
            key: key.filter(not_null),
            value: Some(value).filter(not_null),
        })
    }
}
