//! Kafka's UUID: 16 bytes, shown as 22 characters of unpadded URL-safe base64
//! (`org.apache.kafka.common.Uuid`).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A topic id, directory id, member id or cluster id in Kafka's form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// A text is not 22 characters of URL-safe base64 that stand for 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a Kafka UUID (22 characters of URL-safe base64)")]
pub struct ParseUuidError(String);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LENGTH: usize = 22;

impl Uuid {
    /// What Kafka writes where there is no id.
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// True of the id that stands for none.
    pub const fn is_zero(&self) -> bool {
        u128::from_be_bytes(self.0) == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 22 characters carry 132 bits: the last four are zero.
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; TEXT_LENGTH];
        text[TEXT_LENGTH - 1] = ALPHABET[((bits << 4) & 63) as usize];
        for (i, character) in text[..TEXT_LENGTH - 1].iter_mut().enumerate() {
            *character = ALPHABET[((bits >> (122 - 6 * i)) & 63) as usize];
        }
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    /// Accepts trailing `=` padding, as Java's decoder does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseUuidError(text.chars().take(64).collect());
        let digits = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if digits.len() != TEXT_LENGTH {
            return Err(error());
        }
        let mut bits = 0u128;
        for (i, digit) in digits.iter().enumerate() {
            let value = ALPHABET.iter().position(|c| c == digit).ok_or_else(error)? as u128;
            bits = if i + 1 < TEXT_LENGTH {
                bits << 6 | value
            } else {
                bits << 2 | value >> 4
            };
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_that_of_java() {
        // From org.apache.kafka.common.Uuid: the zero id, and new Uuid(0x0123456789abcdef, -2).
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        let id = Uuid(0x0123_4567_89ab_cdef_ffff_ffff_ffff_fffe_u128.to_be_bytes());
        assert_eq!(id.to_string(), "ASNFZ4mrze___________g");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn every_bit_survives() {
        for bit in 0..128 {
            let id = Uuid((1u128 << bit).to_be_bytes());
            assert_eq!(id.to_string().len(), TEXT_LENGTH);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn ill_text_is_refused() {
        for text in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAA+",
            "AAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
