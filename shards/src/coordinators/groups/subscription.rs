//! The topics in a consumer's subscription (Kafka's `ConsumerProtocolSubscription`).
//!
//! Only the part that every version begins with is read: the version, then the topics.

use std::collections::BTreeSet;

/// The topics named in a subscription, or `None` where the bytes are not one.
pub(super) fn topics(bytes: &[u8]) -> Option<BTreeSet<String>> {
    let (version, rest) = bytes.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = i32::from_be_bytes(*count);
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.insert(str::from_utf8(name).ok()?.to_owned());
        rest = after;
    }
    (count >= 0).then_some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_topics_and_ignores_what_later_versions_add() {
        let bytes = b"\x00\x03\x00\x00\x00\x02\x00\x01b\x00\x02aa\xff\xff\xff\xff";
        let expected = BTreeSet::from(["aa".to_owned(), "b".to_owned()]);
        assert_eq!(topics(bytes), Some(expected));
    }

    #[test]
    fn counts_and_lengths_that_lie_give_none() {
        for bytes in [
            &b""[..],
            b"\x00\x00",
            b"\xff\xff\x00\x00\x00\x00",
            b"\x00\x00\xff\xff\xff\xff",
            b"\x00\x00\x7f\xff\xff\xff",
            b"\x00\x00\x00\x00\x00\x01\x00\x05a",
            b"\x00\x00\x00\x00\x00\x01\xff\xff",
            b"\x00\x00\x00\x00\x00\x01\x00\x01\xff",
        ] {
            assert_eq!(topics(bytes), None, "{bytes:?}");
        }
    }
}
