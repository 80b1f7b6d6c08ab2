//! Which partition of an internal topic coordinates a name. Pure.

/// The coordinator partition of a group id or transactional id, of `partitions` (at least one).
///
/// Source: Kafka `GroupCoordinatorService.partitionFor`: Java's `String.hashCode` without its
/// sign, where the one value without a positive counterpart counts as 0.
pub fn partition_for(name: &str, partitions: usize) -> usize {
    let hash = name.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    hash.checked_abs().unwrap_or(0) as usize % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_java_hashes() {
        let many = i32::MAX as usize;
        // Known hash codes of java.lang.String.
        assert_eq!(partition_for("", many), 0);
        assert_eq!(partition_for("abc", many), 96_354);
        assert_eq!(partition_for("hello", many), 99_162_322);
        // Negative: -658362880.
        assert_eq!(partition_for("order-processors", many), 658_362_880);
        // i32::MIN itself.
        assert_eq!(partition_for("polygenelubricants", many), 0);
        // Surrogates are two units.
        assert_eq!(partition_for("\u{1F600}", many), 0xD83D * 31 + 0xDE00);
        assert_eq!(partition_for("abc", 50), 4);
    }
}
