//! The records inside a batch, read from uncompressed bytes.
//!
//! Reading borrows and allocates nothing. Each record is checked whole before it is handed out:
//! its fields fill its stated length exactly, and its headers are as many as it says.
//!
//! Source: Kafka `DefaultRecord`.

use super::RecordError;
use super::varint::{read_i32, read_i64, take};

/// One record. Offset and timestamp are relative to its batch's base offset and base timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// A record's headers: iterate to get (key, value). Keys are UTF-8 by convention only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    count: i32,
    bytes: &'a [u8],
}

impl Headers<'_> {
    pub const NONE: Self = Self {
        count: 0,
        bytes: &[],
    };

    pub fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.count == 0 {
            return None;
        }
        self.count -= 1;
        // Cannot fail: the record was checked whole before the headers were handed out.
        let header = read_header(&mut self.bytes).ok();
        debug_assert!(header.is_some(), "headers are checked with their record");
        header
    }
}

/// Iterates `count` records; after the last one nothing may be left.
///
/// Ends after the first error. Bytes left over after the last record are an error, too.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    bytes: &'a [u8],
    index: i32,
    count: i32,
    ended: bool,
}

impl<'a> RecordIter<'a> {
    /// Over the uncompressed records of a batch whose header says `count`.
    pub fn new(bytes: &'a [u8], count: i32) -> Self {
        Self {
            bytes,
            index: 0,
            count,
            ended: false,
        }
    }

    /// The next record and the bytes that it takes, its length included.
    pub(crate) fn next_with_size(&mut self) -> Option<Result<(Record<'a>, usize), RecordError>> {
        let before = self.bytes.len();
        let record = self.next()?;
        let size = before - self.bytes.len();
        Some(record.map(|record| (record, size)))
    }

    fn read(&mut self) -> Result<Record<'a>, &'static str> {
        let length = read_i32(&mut self.bytes).ok_or("its length is cut off")?;
        let length = usize::try_from(length).map_err(|_| "its length is negative")?;
        let body = take(&mut self.bytes, length).ok_or("it is longer than its batch")?;
        read_body(body)
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if self.index >= self.count {
            self.ended = true;
            return match self.bytes.len() {
                0 => None,
                bytes => Some(Err(RecordError::TrailingBytes { bytes })),
            };
        }
        let index = self.index;
        let record = self
            .read()
            .map_err(|what| RecordError::Record { index, what });
        self.ended = record.is_err();
        self.index += 1;
        Some(record)
    }
}

fn read_body(mut bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    // The record's own attributes have no meaning yet.
    take(&mut bytes, 1).ok_or("it is empty")?;
    let timestamp_delta = read_i64(&mut bytes).ok_or("its timestamp delta is cut off")?;
    let offset_delta = read_i32(&mut bytes).ok_or("its offset delta is cut off")?;
    let key = read_nullable(&mut bytes).ok_or("its key is cut off")?;
    let value = read_nullable(&mut bytes).ok_or("its value is cut off")?;
    let count = read_i32(&mut bytes).ok_or("its header count is cut off")?;
    // A header takes two bytes at least.
    match usize::try_from(count) {
        Ok(headers) if headers <= bytes.len() / 2 => {}
        _ => return Err("its header count is impossible"),
    }
    let headers = Headers { count, bytes };
    for _ in 0..count {
        read_header(&mut bytes)?;
    }
    if !bytes.is_empty() {
        return Err("its length exceeds its fields");
    }
    Ok(Record {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers,
    })
}

fn read_header<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), &'static str> {
    let length = read_i32(bytes).ok_or("a header key is cut off")?;
    let length = usize::try_from(length).map_err(|_| "a header has no key")?;
    let key = take(bytes, length).ok_or("a header key is cut off")?;
    let value = read_nullable(bytes).ok_or("a header value is cut off")?;
    Ok((key, value))
}

/// The outer `None` is "cut off", the inner one is null: any negative length, as in Kafka.
#[allow(clippy::option_option)]
fn read_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match usize::try_from(read_i32(bytes)?) {
        Ok(length) => take(bytes, length).map(Some),
        Err(_) => Some(None),
    }
}
