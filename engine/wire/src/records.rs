//! Record bytes inside a message, which may live elsewhere.

/// The value of a `records` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Records<'a> {
    #[default]
    Null,
    Bytes(&'a [u8]),
    /// This many bytes that the sender supplies itself: encoding writes their length and leaves
    /// a [`Gap`]. At most `i32::MAX`. Never the result of decoding.
    External(u32),
}

impl<'a> Records<'a> {
    /// The bytes, where they are here: none for null and for external records.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Records::Bytes(bytes) => Some(bytes),
            Records::Null | Records::External(_) => None,
        }
    }
}

/// A place in the written buffer where bytes kept elsewhere belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where, in bytes from the start of the written buffer, which does not hold them.
    pub at: usize,
    /// How many bytes belong there.
    pub len: u32,
}
