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

    /// What [`text`](Self::text) wrote; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Offset> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let (version, count) = (lines.next()?, lines.next()?);
        let mut words = lines.next()?.split(' ');
        let (_, partition, offset) = (words.next()?, words.next()?, words.next()?);
        partition.parse::<i32>().ok()?;
        let offset = offset.parse().ok()?;
        let whole = version == "0" && count == "1" && words.next().is_none();
        (whole && lines.next().is_none() && offset >= 0).then_some(Offset(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_whole_is_believed() {
        let text = OffsetCheckpoint::text("a-topic", 3, Offset(1234));
        assert_eq!(text, "0\n1\na-topic 3 1234\n");
        assert_eq!(OffsetCheckpoint::parse(text.as_bytes()), Some(Offset(1234)));
        for damaged in [
            &b""[..],
            b"0\n1\n",
            b"1\n1\nt 0 5\n",
            b"0\n2\nt 0 5\n",
            b"0\n1\nt 0 5\nt 1 6\n",
            b"0\n1\nt 0 -5\n",
            b"0\n1\nt 0\n",
            b"0\n1\nt 0 5 6\n",
            b"0\n1\nt x 5\n",
            b"\xff\n1\nt 0 5\n",
        ] {
            assert_eq!(OffsetCheckpoint::parse(damaged), None, "{damaged:?}");
        }
    }
}
