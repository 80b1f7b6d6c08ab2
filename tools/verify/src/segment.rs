//! A segment file, walked batch by batch.
//!
//! Whatever the bytes claim, no more memory is taken than the file has bytes. Behind the last
//! batch there may be zeros up to the end of the file (space that was allocated ahead): they are
//! told apart from a torn or foreign tail, as far as that can be: a batch that is torn within the
//! zeros that its base offset begins with looks like them.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use odradek_engine::record::{BatchHeader, BatchInfo, HEADER_BYTES, RecordError, Rules, validate};
use odradek_engine::types::Offset;

use crate::files::{Disk, Files};

const READ_BYTES: u64 = 1 << 20;

/// What is wrong, and at which byte of which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub path: PathBuf,
    pub position: u64,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, position, reason) = (self.path.display(), self.position, &self.reason);
        write!(f, "{path} at byte {position}: {reason}")
    }
}

/// What comes next in a segment.
#[derive(Debug)]
pub enum Step<'a> {
    /// A batch whose header and CRC are right.
    Batch {
        position: u64,
        info: BatchInfo,
        bytes: &'a [u8],
    },
    /// The end. So many zeros follow the last batch.
    End { padding: u64 },
    Fault {
        fault: Fault,
        /// The batch has a length, so that the one behind it may be looked for.
        goes_on: bool,
    },
}

/// See the [module](self).
pub struct Segment<'a> {
    path: PathBuf,
    base_offset: Offset,
    input: BufReader<Box<dyn Read + 'a>>,
    length: u64,
    position: u64,
    batch: Vec<u8>,
}

impl Segment<'static> {
    /// Opens `<base offset, 20 digits>.log`.
    ///
    /// # Errors
    /// A name that is no base offset; the file's.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Segment::open_in(&Disk, path)
    }
}

impl<'a> Segment<'a> {
    /// The same of a file that is elsewhere.
    ///
    /// # Errors
    /// As [`Segment::open`].
    pub fn open_in(files: &'a dyn Files, path: &Path) -> anyhow::Result<Self> {
        let base_offset = base_offset(path)
            .with_context(|| format!("{} is not named after an offset", path.display()))?;
        let opened = files.open(path);
        let (file, length) = opened.with_context(|| format!("cannot read {}", path.display()))?;
        let capacity = length.min(READ_BYTES) as usize;
        Ok(Self {
            path: path.to_owned(),
            base_offset,
            length,
            input: BufReader::with_capacity(capacity, file),
            position: 0,
            batch: Vec::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The offset that the file is named after.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next batch. Not to be called again after an end, or a fault that does not go on.
    ///
    /// # Errors
    /// The file's.
    pub fn step(&mut self) -> anyhow::Result<Step<'_>> {
        self.read()
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        if self.batch.is_empty() {
            return Ok(Step::End { padding: 0 });
        }
        let position = self.position;
        if self.batch.iter().all(|&byte| byte == 0) {
            if self.rest_is_zero()? {
                let padding = self.length - position;
                return Ok(Step::End { padding });
            }
            let reason = "zeros, but not up to the end of the file".to_owned();
            return Ok(Step::Fault {
                fault: self.fault(position, reason),
                goes_on: false,
            });
        }
        match validate(&self.batch, &Rules::LOG) {
            Ok(info) => {
                self.position += info.size as u64;
                Ok(Step::Batch {
                    position,
                    info,
                    bytes: &self.batch,
                })
            }
            Err(error) => {
                let goes_on = matches!(error, RecordError::Crc { .. });
                if goes_on {
                    self.position += self.batch.len() as u64;
                }
                let fault = self.fault(position, explain(&error));
                Ok(Step::Fault { fault, goes_on })
            }
        }
    }

    fn fault(&self, position: u64, reason: String) -> Fault {
        Fault {
            path: self.path.clone(),
            position,
            reason,
        }
    }

    /// Reads a batch, or what is left if that is less; of what cannot be a batch, the header.
    fn read(&mut self) -> io::Result<()> {
        self.batch.clear();
        self.take(HEADER_BYTES as u64)?;
        if let Some(Ok(size)) = BatchHeader::view(&self.batch).map(BatchHeader::size) {
            self.take((size - HEADER_BYTES) as u64)?;
        }
        Ok(())
    }

    fn take(&mut self, count: u64) -> io::Result<()> {
        (&mut self.input)
            .take(count)
            .read_to_end(&mut self.batch)
            .map(drop)
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        let mut piece = [0; 8192];
        loop {
            match self.input.read(&mut piece)? {
                0 => return Ok(true),
                count if piece[..count].iter().all(|&byte| byte == 0) => {}
                _ => return Ok(false),
            }
        }
    }
}

/// The offset in the name of a segment's file; none for other names.
pub fn base_offset(path: &Path) -> Option<Offset> {
    let stem = path.file_stem()?.to_str()?;
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok().map(Offset))?
}

fn explain(error: &RecordError) -> String {
    match error {
        RecordError::Incomplete { .. } => format!("{error}: torn, or no batch at all"),
        _ => error.to_string(),
    }
}
