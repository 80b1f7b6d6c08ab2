//! Zigzag varints, as records use them, over a slice that is consumed from the front.
//!
//! Source: Kafka `ByteUtils.readVarint`, `readVarlong`: at most 5 and 10 bytes; bits that do not
//! fit the integer are dropped, as there.

/// Takes `count` bytes from the front of `bytes`; `None`, taking nothing, when there are fewer.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(front)
}

fn unsigned(bytes: &mut &[u8], length_max: usize) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate().take(length_max) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

/// `None` when the bytes end, or after 5 bytes without an end.
pub(super) fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let value = unsigned(bytes, 5)? as u32;
    Some((value >> 1) as i32 ^ -((value & 1) as i32))
}

/// `None` when the bytes end, or after 10 bytes without an end.
pub(super) fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let value = unsigned(bytes, 10)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    // A value in 32 bits has the same zigzag encoding in 64.
    write_i64(out, i64::from(value));
}

/// Bytes that [`write_i64`] takes.
pub(super) fn size_i64(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64, narrow: i32) {
            let mut bytes = Vec::new();
            write_i64(&mut bytes, value);
            prop_assert_eq!(bytes.len(), size_i64(value));
            write_i32(&mut bytes, narrow);
            bytes.push(7);
            let mut rest = &bytes[..];
            prop_assert_eq!(read_i64(&mut rest), Some(value));
            prop_assert_eq!(read_i32(&mut rest), Some(narrow));
            prop_assert_eq!(rest, &[7]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            while read_i32(&mut rest).is_some() {}
            let mut rest = &bytes[..];
            while read_i64(&mut rest).is_some() {}
        }
    }

    #[test]
    fn an_endless_varint_is_refused() {
        let mut bytes = &[0xff_u8; 20][..];
        assert_eq!(read_i32(&mut bytes), None);
        assert_eq!(read_i64(&mut bytes), None);
        assert_eq!(bytes.len(), 20);
    }

    #[test]
    fn known_encodings() {
        let encoded = |value| {
            let mut bytes = Vec::new();
            write_i64(&mut bytes, value);
            bytes
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(-1), [1]);
        assert_eq!(encoded(1), [2]);
        assert_eq!(encoded(-64), [0x7f]);
        assert_eq!(encoded(64), [0x80, 0x01]);
        assert_eq!(encoded(i64::MIN).len(), 10);
    }
}
