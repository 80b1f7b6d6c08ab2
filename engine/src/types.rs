//! Numbers that must not be mixed up, each a type of its own.
//!
//! A log speaks of offsets (which record), positions (which byte of a segment file), epochs
//! (which leader, which incarnation of a producer) and timestamps; all are integers, and a swap of
//! two of them compiles silently unless they are distinct. The inner value is public: these types
//! name what a number means, they do not restrict its range. Values read from the wire or from a
//! file are checked where they are read.
//!
//! Absent on purpose: conversions between any two of them.

use std::fmt;

mod map;

pub use map::{Map, MapSeed, Set, seed_maps};

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            pub const ZERO: Self = Self(0);

            /// `None` on overflow of the inner integer.
            pub const fn checked_add(self, amount: $inner) -> Option<Self> {
                match self.0.checked_add(amount) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// `None` on overflow of the inner integer.
            pub const fn checked_sub(self, amount: $inner) -> Option<Self> {
                match self.0.checked_sub(amount) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// How far `self` lies beyond `earlier`; `None` on overflow.
            pub const fn checked_since(self, earlier: Self) -> Option<$inner> {
                self.0.checked_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number!(
    /// The number of a record in its partition: the first record of a log is 0. -1 is "none".
    Offset(i64)
);
number!(
    /// A byte position in one segment file.
    Position(u64)
);
number!(
    /// A partition leader's epoch: raised by the controller with each new leader. -1 is "unknown".
    Epoch(i32)
);
number!(
    /// Milliseconds since the Unix epoch. -1 is "no timestamp".
    Timestamp(i64)
);
number!(
    /// The id of an idempotent or transactional producer. -1 is "not idempotent".
    ProducerId(i64)
);
number!(
    /// The epoch of a producer id: raised to fence the id's earlier users. -1 is "none".
    ProducerEpoch(i16)
);

impl Offset {
    pub const NONE: Self = Self(-1);

    /// The offset `count` records later.
    ///
    /// # Panics
    /// When the offset leaves its 63-bit range: offsets that come from outside are bounded when
    /// they are read, so that is a broken invariant and not an input.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        self.checked_add(count).expect("offset out of range")
    }

    /// Records from `earlier` up to `self`.
    ///
    /// # Panics
    /// As [`Offset::plus`].
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.checked_since(earlier).expect("offset out of range")
    }

    /// The offset relative to a base as segment indexes store it; `None` when it does not fit
    /// into 0..=i32::MAX.
    pub const fn relative_to(self, base: Self) -> Option<u32> {
        match self.checked_since(base) {
            Some(delta) if delta >= 0 && delta <= i32::MAX as i64 => Some(delta as u32),
            _ => None,
        }
    }
}

impl Position {
    /// The position `bytes` later.
    ///
    /// # Panics
    /// Past 2⁶⁴: a broken invariant.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        self.checked_add(bytes).expect("position out of range")
    }

    /// Bytes from `earlier` up to `self`.
    ///
    /// # Panics
    /// When `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.checked_since(earlier).expect("position out of range")
    }
}

impl Epoch {
    pub const NONE: Self = Self(-1);
}

impl Timestamp {
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    pub const NONE: Self = Self(-1);
}

/// The number that a producer gives to a record, per partition: 0..=i32::MAX, then 0 again.
/// -1 is "none". Kafka: `DefaultRecordBatch.incrementSequence`.
///
/// Ordered by value only; after a wrap-around the order of values is not that of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub struct Sequence(pub i32);

impl Sequence {
    pub const NONE: Self = Self(-1);
    pub const ZERO: Self = Self(0);
    const MODULUS: i64 = i32::MAX as i64 + 1;

    /// The sequence `count` records later, wrapping from `i32::MAX` to 0. `count` is at least 0,
    /// `self` not [`Sequence::NONE`]; other values give some sequence, never a panic.
    #[must_use]
    pub const fn increment(self, count: i32) -> Self {
        Self((self.0 as i64 + count as i64).rem_euclid(Self::MODULUS) as i32)
    }

    /// The sequence `count` records earlier, wrapping from 0 to `i32::MAX`.
    #[must_use]
    pub const fn decrement(self, count: i32) -> Self {
        Self((self.0 as i64 - count as i64).rem_euclid(Self::MODULUS) as i32)
    }

    /// Is `self` the one that comes right after `last`? After "none" comes 0.
    pub const fn follows(self, last: Self) -> bool {
        self.0 as i64 == last.0 as i64 + 1 || (self.0 == 0 && last.0 == i32::MAX)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A transaction's end, as its coordinator tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionEnd {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_epoch: Epoch,
    pub commit: bool,
    /// The transaction version that the coordinator goes by.
    pub version: i8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_as_in_kafka() {
        assert_eq!(Sequence(0).increment(1), Sequence(1));
        assert_eq!(Sequence(i32::MAX).increment(0), Sequence(i32::MAX));
        assert_eq!(Sequence(i32::MAX).increment(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 2).increment(5), Sequence(2));
        assert_eq!(Sequence(2).decrement(5), Sequence(i32::MAX - 2));
        assert_eq!(Sequence(0).decrement(0), Sequence(0));
        assert_eq!(
            Sequence(i32::MAX).increment(i32::MAX),
            Sequence(i32::MAX - 1)
        );
    }

    #[test]
    fn a_sequence_follows_its_predecessor_only() {
        assert!(Sequence(0).follows(Sequence::NONE));
        assert!(Sequence(8).follows(Sequence(7)));
        assert!(Sequence(0).follows(Sequence(i32::MAX)));
        assert!(!Sequence(7).follows(Sequence(7)));
        assert!(!Sequence(0).follows(Sequence(5)));
        assert!(!Sequence(i32::MIN).follows(Sequence(i32::MAX)));
    }

    #[test]
    fn relative_offsets_fit_an_index_or_are_refused() {
        assert_eq!(Offset(12).relative_to(Offset(10)), Some(2));
        assert_eq!(Offset(9).relative_to(Offset(10)), None);
        assert_eq!(
            Offset(i64::from(i32::MAX)).relative_to(Offset(0)),
            Some(i32::MAX as u32)
        );
        assert_eq!(Offset(i64::from(i32::MAX) + 1).relative_to(Offset(0)), None);
        assert_eq!(Offset(i64::MIN).relative_to(Offset(i64::MAX)), None);
    }
}
