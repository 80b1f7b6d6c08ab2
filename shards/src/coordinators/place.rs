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
        // Negative: -2130463047.
        assert_eq!(partition_for("hello world!!", many), java("hello world!!"));
        // i32::MIN itself.
        assert_eq!(partition_for("polygenelubricants", many), 0);
        // Surrogates are two units.
        assert_eq!(partition_for("\u{1F600}", many), 0xD83D * 31 + 0xDE00);
        assert_eq!(partition_for("abc", 50), 4);
    }

    /// The same by wide arithmetic.
    fn java(name: &str) -> usize {
        let wide = name.encode_utf16().fold(0i128, |hash, unit| {
            (hash * 31 + i128::from(unit)).rem_euclid(1 << 32)
        });
        let signed = if wide >= 1 << 31 {
            wide - (1 << 32)
        } else {
            wide
        };
        signed.unsigned_abs() as usize
    }
}
