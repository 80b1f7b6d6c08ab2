//! A cursor over hostile bytes.
//!
//! Nothing here panics. A count of elements is believed only up to the bytes that remain (no
//! element is shorter than one byte, as in Kafka), and its memory is taken from the reader's
//! budget before the first element is decoded: counts that lie at every level of nesting cannot
//! add up to more than the budget. Capacity grows with the elements that are really there.

use crate::error::DecodeError;
use crate::records::Records;
use crate::uuid::Uuid;

/// The memory that decoding one message may take for its arrays, in bytes, unless set.
pub const BUDGET_DEFAULT: usize = 64 << 20;

/// The longest string, in bytes, as in Kafka.
const STRING_MAX: i64 = i16::MAX as i64;

/// Elements for which memory is taken ahead of decoding; beyond, capacity doubles up to the count.
const CAPACITY_AHEAD: usize = 64;

/// A cursor over the bytes of a message.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    budget: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`, with the default budget.
    pub fn new(input: &'a [u8]) -> Self {
        Self::with_budget(input, BUDGET_DEFAULT)
    }

    /// A reader whose arrays may take `budget` bytes of memory altogether.
    pub fn with_budget(input: &'a [u8], budget: usize) -> Self {
        Self {
            input,
            position: 0,
            budget,
        }
    }

    /// Bytes from the start of the input to the cursor.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes from the cursor to the end of the input.
    pub fn remaining(&self) -> usize {
        self.input.len() - self.position
    }

    /// What is left of the memory budget, in bytes.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// The bytes from the cursor to the end of the input, which stay unread.
    pub fn rest(&self) -> &'a [u8] {
        &self.input[self.position..]
    }

    /// Errs where bytes are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            remaining => Err(DecodeError::Trailing {
                position: self.position,
                remaining,
            }),
        }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest().get(..count) {
            Some(bytes) => {
                self.position += count;
                Ok(bytes)
            }
            None => Err(self.truncated(what, count)),
        }
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk::<N>() {
            Some(bytes) => {
                self.position += N;
                Ok(*bytes)
            }
            None => Err(self.truncated(what, N)),
        }
    }

    #[cold]
    fn truncated(&self, what: &'static str, needed: usize) -> DecodeError {
        DecodeError::Truncated {
            what,
            position: self.position,
            needed,
            remaining: self.remaining(),
        }
    }

    /// One byte, of which any but 0 is true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.fixed::<1>("bool")? != [0])
    }

    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.fixed("int8")?))
    }

    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.fixed("int16")?))
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.fixed("uint16")?))
    }

    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.fixed("int32")?))
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.fixed("uint32")?))
    }

    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.fixed("int64")?))
    }

    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_be_bytes(self.fixed("float64")?))
    }

    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid(self.fixed("uuid")?))
    }

    /// An unsigned variable-length integer of at most 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let position = self.position;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>("varint")?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint { position })
    }

    /// The length of a string (16 bits where not flexible); none where null.
    #[inline]
    fn string_length(&mut self, flexible: bool) -> Result<Option<i64>, DecodeError> {
        let length = if flexible {
            i64::from(self.uvarint()?) - 1
        } else {
            i64::from(self.i16()?)
        };
        Ok((length >= 0).then_some(length))
    }

    /// The length of bytes or the count of an array (32 bits where not flexible); none where null.
    #[inline]
    fn length(&mut self, flexible: bool) -> Result<Option<i64>, DecodeError> {
        let length = if flexible {
            i64::from(self.uvarint()?) - 1
        } else {
            i64::from(self.i32()?)
        };
        Ok((length >= 0).then_some(length))
    }

    /// A string that may be null.
    pub fn str_opt(
        &mut self,
        flexible: bool,
        field: &'static str,
    ) -> Result<Option<&'a str>, DecodeError> {
        let position = self.position;
        let Some(length) = self.string_length(flexible)? else {
            return Ok(None);
        };
        if length > STRING_MAX {
            return Err(DecodeError::Length {
                field,
                position,
                length,
            });
        }
        let bytes = self.take(length as usize, field)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(DecodeError::Utf8 { field, position }),
        }
    }

    /// A string.
    pub fn str(&mut self, flexible: bool, field: &'static str) -> Result<&'a str, DecodeError> {
        let position = self.position;
        self.str_opt(flexible, field)?
            .ok_or(DecodeError::Null { field, position })
    }

    /// Bytes that may be null.
    pub fn bytes_opt(
        &mut self,
        flexible: bool,
        field: &'static str,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.length(flexible)? {
            Some(length) => Ok(Some(self.take(length as usize, field)?)),
            None => Ok(None),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, flexible: bool, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let position = self.position;
        self.bytes_opt(flexible, field)?
            .ok_or(DecodeError::Null { field, position })
    }

    /// Record bytes that may be null.
    pub fn records_opt(
        &mut self,
        flexible: bool,
        field: &'static str,
    ) -> Result<Records<'a>, DecodeError> {
        Ok(match self.bytes_opt(flexible, field)? {
            Some(bytes) => Records::Bytes(bytes),
            None => Records::Null,
        })
    }

    /// Record bytes.
    pub fn records(
        &mut self,
        flexible: bool,
        field: &'static str,
    ) -> Result<Records<'a>, DecodeError> {
        Ok(Records::Bytes(self.bytes(flexible, field)?))
    }

    /// An array that may be null; `element` decodes one element.
    pub fn array_opt<T>(
        &mut self,
        flexible: bool,
        field: &'static str,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.array_count(flexible, field, size_of::<T>())? else {
            return Ok(None);
        };
        let mut elements = Vec::with_capacity(count.min(CAPACITY_AHEAD));
        for _ in 0..count {
            if elements.len() == elements.capacity() {
                elements.reserve_exact(elements.len().min(count - elements.len()));
            }
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// An array; `element` decodes one element.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        field: &'static str,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let position = self.position;
        self.array_opt(flexible, field, element)?
            .ok_or(DecodeError::Null { field, position })
    }

    /// The count of an array's elements, checked against the input and paid from the budget.
    fn array_count(
        &mut self,
        flexible: bool,
        field: &'static str,
        element_size: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let Some(count) = self.length(flexible)? else {
            return Ok(None);
        };
        let remaining = self.remaining();
        if count > remaining as i64 {
            return Err(DecodeError::Count {
                field,
                position,
                count,
                remaining,
            });
        }
        let count = count as usize;
        let needed = count.saturating_mul(element_size);
        match self.budget.checked_sub(needed) {
            Some(left) => self.budget = left,
            None => {
                return Err(DecodeError::Budget {
                    field,
                    position,
                    needed,
                    left: self.budget,
                });
            }
        }
        Ok(Some(count))
    }

    /// The tagged fields at the end of a flexible structure. `known` decodes the field whose tag
    /// it is given, seeing no byte beyond its size, or answers false, and it is skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let position = self.position;
            if size > self.remaining() {
                return Err(self.truncated("tagged field", size));
            }
            let whole = self.input;
            self.input = &whole[..position + size];
            let outcome = known(self, tag);
            self.input = whole;
            if !outcome? {
                self.position = position + size;
            }
            let used = self.position - position;
            if used != size {
                return Err(DecodeError::TagSize {
                    tag,
                    position,
                    size,
                    used,
                });
            }
        }
        Ok(())
    }

    /// The tagged fields of a structure that knows none.
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }
}
