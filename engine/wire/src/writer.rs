//! Writes messages into an owned buffer, leaving gaps for bytes that are sent from elsewhere.

use crate::error::EncodeError;
use crate::records::{Gap, Records};
use crate::uuid::Uuid;

const STRING_MAX: usize = i16::MAX as usize;
const LENGTH_MAX: usize = i32::MAX as usize;

/// Appends to a buffer, which [`Writer::into_inner`] gives back.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    gap_bytes: usize,
    /// Where external record bytes belong, by rising position.
    pub gaps: Vec<Gap>,
}

/// A size prefix that waits for [`Writer::end_size`].
#[derive(Debug)]
#[must_use = "the size is written by Writer::end_size"]
pub struct SizeMark {
    at: usize,
    total: usize,
}

/// The count of a structure's tagged fields, raised with each.
#[derive(Debug, Clone, Copy)]
pub struct TagMark(usize);

impl Writer {
    /// A writer that appends to `buffer`. Positions of gaps count from the buffer's start.
    pub fn new(buffer: Vec<u8>) -> Self {
        Self {
            buffer,
            gap_bytes: 0,
            gaps: Vec::new(),
        }
    }

    /// The buffer, without its gaps' bytes.
    pub fn into_inner(self) -> Vec<u8> {
        self.buffer
    }

    /// The buffer and the gaps in it.
    pub fn into_parts(self) -> (Vec<u8>, Vec<Gap>) {
        (self.buffer, self.gaps)
    }

    /// What is written so far, without the gaps' bytes.
    pub fn written(&self) -> &[u8] {
        &self.buffer
    }

    /// The length of what will be sent: the buffer and all that belongs into its gaps.
    pub fn total_len(&self) -> usize {
        self.buffer.len() + self.gap_bytes
    }

    /// Leaves room for a 32-bit size of what follows.
    pub fn begin_size(&mut self) -> SizeMark {
        let at = self.buffer.len();
        self.i32(0);
        SizeMark {
            at,
            total: self.total_len(),
        }
    }

    /// Fills in the size of all that was written since `mark`, gaps counted in.
    pub fn end_size(&mut self, mark: SizeMark) -> Result<(), EncodeError> {
        let length = self.total_len() - mark.total;
        let size = length_i32(length, "size prefix")?;
        self.buffer[mark.at..mark.at + 4].copy_from_slice(&size.to_be_bytes());
        Ok(())
    }

    /// Appends `bytes` as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.buffer.push(u8::from(value));
    }

    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    /// An unsigned variable-length integer.
    #[inline]
    pub fn uvarint(&mut self, value: u32) {
        let (bytes, length) = uvarint_bytes(value);
        self.raw(&bytes[..length]);
    }

    /// The length of bytes, or the count of an array's elements.
    pub fn len(
        &mut self,
        flexible: bool,
        length: usize,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        let value = length_i32(length, field)?;
        if flexible {
            self.uvarint(value as u32 + 1);
        } else {
            self.i32(value);
        }
        Ok(())
    }

    /// The length that stands for null bytes or a null array.
    pub fn null_len(&mut self, flexible: bool) {
        if flexible {
            self.uvarint(0);
        } else {
            self.i32(-1);
        }
    }

    /// A string of at most 32,767 bytes.
    pub fn str(
        &mut self,
        flexible: bool,
        value: &str,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        let length = value.len();
        if length > STRING_MAX {
            return Err(EncodeError::TooLong {
                field,
                length,
                max: STRING_MAX,
            });
        }
        if flexible {
            self.uvarint(length as u32 + 1);
        } else {
            self.i16(length as i16);
        }
        self.raw(value.as_bytes());
        Ok(())
    }

    /// A string that is null where there is none; an error where it must not be.
    pub fn str_opt(
        &mut self,
        flexible: bool,
        value: Option<&str>,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.str(flexible, value, field),
            None if !nullable => Err(EncodeError::Null { field }),
            None if flexible => {
                self.uvarint(0);
                Ok(())
            }
            None => {
                self.i16(-1);
                Ok(())
            }
        }
    }

    /// Bytes, with their length.
    pub fn bytes(
        &mut self,
        flexible: bool,
        value: &[u8],
        field: &'static str,
    ) -> Result<(), EncodeError> {
        self.len(flexible, value.len(), field)?;
        self.raw(value);
        Ok(())
    }

    /// Bytes that are null where there are none; an error where they must not be.
    pub fn bytes_opt(
        &mut self,
        flexible: bool,
        value: Option<&[u8]>,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.bytes(flexible, value, field),
            None => self.null(flexible, nullable, field),
        }
    }

    /// A null array or null bytes; an error where they must not be null.
    pub fn null(
        &mut self,
        flexible: bool,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        if !nullable {
            return Err(EncodeError::Null { field });
        }
        self.null_len(flexible);
        Ok(())
    }

    /// Record bytes, or their length and a gap where they are external.
    pub fn records(
        &mut self,
        flexible: bool,
        value: Records<'_>,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match value {
            Records::Null => self.null(flexible, nullable, field),
            Records::Bytes(bytes) => self.bytes(flexible, bytes, field),
            Records::External(len) => {
                self.len(flexible, len as usize, field)?;
                self.gaps.push(Gap {
                    at: self.buffer.len(),
                    len,
                });
                self.gap_bytes += len as usize;
                Ok(())
            }
        }
    }

    /// Starts the tagged fields of a structure: their count, none so far.
    pub fn begin_tagged_fields(&mut self) -> TagMark {
        self.buffer.push(0);
        TagMark(self.buffer.len() - 1)
    }

    /// One tagged field, whose content `content` writes. Tags must rise, and no structure of
    /// Kafka's has the 128 of them at which their count would take a second byte.
    pub fn tagged_field(
        &mut self,
        mark: TagMark,
        tag: u32,
        content: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        debug_assert!(self.buffer[mark.0] < 0x7f, "a second byte of tag count");
        self.buffer[mark.0] += 1;
        self.uvarint(tag);
        let start = self.buffer.len();
        let total = self.total_len();
        let gaps = self.gaps.len();
        content(self)?;
        let size = length_i32(self.total_len() - total, "tagged field")?;
        let (bytes, length) = uvarint_bytes(size as u32);
        self.buffer
            .splice(start..start, bytes[..length].iter().copied());
        for gap in &mut self.gaps[gaps..] {
            gap.at += length;
        }
        Ok(())
    }
}

fn length_i32(length: usize, field: &'static str) -> Result<i32, EncodeError> {
    i32::try_from(length).map_err(|_| EncodeError::TooLong {
        field,
        length,
        max: LENGTH_MAX,
    })
}

#[inline]
fn uvarint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    while value >= 0x80 {
        bytes[length] = value as u8 | 0x80;
        value >>= 7;
        length += 1;
    }
    bytes[length] = value as u8;
    (bytes, length + 1)
}
