//! An offset of one partition in a file of its own, in the format of Kafka's checkpoints.
//!
//! Two stand beside a compacted log. `cleaner-offset-checkpoint`: what lies before it was cleaned.
//! `offset-gaps-checkpoint` (ours): before it offsets may be missing; it is written before anything
//! is taken out. Kafka keeps the former in one file for all partitions of a log directory; here
//! each moves between shards with its partition.
//!
//! Source: Kafka `OffsetCheckpointFile`: version 0, count, then `topic partition offset` lines.

use crate::types::Offset;

/// See the module.
pub struct OffsetCheckpoint;

impl OffsetCheckpoint {
    /// File of the offset up to which a log was cleaned.
    pub const CLEANED: &str = "cleaner-offset-checkpoint";
    /// File of the offset before which offsets may be missing.
    pub const GAPS: &str = "offset-gaps-checkpoint";

    /// The content.
    pub fn text(topic: &str, partition: i32, offset: Offset) -> String {
        format!("0\n1\n{topic} {partition} {offset}\n")
    }

    /// What [`text`](Self::text) wrote for this partition; `None` for anything else.
    pub fn parse(bytes: &[u8], topic: &str, partition: i32) -> Option<Offset> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (_, digits) = text.trim_end_matches('\n').rsplit_once(' ')?;
        let offset = Offset(digits.parse().ok()?);
        let whole = offset.0 >= 0 && text == OffsetCheckpoint::text(topic, partition, offset);
        whole.then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_whole_is_believed() {
        let text = OffsetCheckpoint::text("a-topic", 3, Offset(1234));
        assert_eq!(text, "0\n1\na-topic 3 1234\n");
        let parse = |bytes| OffsetCheckpoint::parse(bytes, "a-topic", 3);
        assert_eq!(parse(text.as_bytes()), Some(Offset(1234)));
        for damaged in [
            &b""[..],
            b"0\n1\n",
            b"1\n1\na-topic 3 5\n",
            b"0\n2\na-topic 3 5\n",
            b"0\n1\na-topic 3 5\na-topic 1 6\n",
            b"0\n1\na-topic 3 -5\n",
            b"0\n1\na-topic 3 x\n",
            b"0\n1\na-topic 3 5",
            b"0\n1\na-topic 3\n",
            b"0\n1\na-topic 3 5 6\n",
            b"0\n1\na-topic 4 5\n",
            b"0\n1\nb-topic 3 5\n",
            b"\xff\n1\na-topic 3 5\n",
        ] {
            assert_eq!(parse(damaged), None, "{damaged:?}");
        }
    }
}
