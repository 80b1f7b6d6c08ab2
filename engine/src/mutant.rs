//! Deliberately broken variants of the node, one at a time: what tests that claim to find such
//! faults are tested with.
//!
//! Each is one condition at one place, named here. Builds without debug assertions, such as a
//! release, have none of them: [`is`] is `false` there before the program runs.

use std::cell::Cell;

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What is broken.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
        pub enum Mutant { $($(#[doc = $doc])+ $name,)+ }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)+];

            /// What is broken, in words.
            pub fn breaks(self) -> &'static str {
                let text = match self { $(Mutant::$name => concat!($($doc),+),)+ };
                text.trim()
            }
        }
    };
}

mutants! {
    /// `acks=all` waits for *written* only.
    AckBeforeDurable,
    /// Recovery takes in batches whose CRC is wrong.
    SkipCrc,
    /// A log that goes on within a page writes that page without what it held.
    ForgetTailRewrite,
    /// A flush that failed counts as one that did not.
    TrustFailedFlush,
    /// Every eighth wait for a mark is forgotten.
    DropWaiter,
    /// An operation's memory is freed with its future, not at its completion.
    FreeEarly,
    /// Recovery forgets what lies past the log's end and leaves it in the file.
    LogicalTruncation,
    /// A start after a kill begins no new leader epochs.
    NoEpochBump,
    /// A new segment takes bytes before its name is durable.
    AckBeforeDirectorySync,
    /// A durable write makes *durable* pass earlier ones that are not.
    DurableOverGap,
    /// Retention does not wait for one removal to be durable before the next.
    RemoveOutOfOrder,
    /// A restarted node knows no producer's batches.
    ForgetProducers,
    /// A partition that moves is not flushed first, and counts as durable.
    MoveUnflushed,
    /// A segment that was finished keeps its index while it is written to.
    StayFinished,
    /// EndTxn is answered before the decision is durable.
    AnswerEndEarly,
    /// A transaction that was being ended when the node went down gets no markers in one of its topics.
    ForgetMarkers,
    /// Compaction drops the last record of some keys.
    ForgetNewest,
    /// A compacted segment takes its place before it is durable.
    ExchangeUnflushed,
    /// What a start after a kill finds counts as durable, and is not made so.
    SettleUnsynced,
    /// Recovery does not tell where it cuts off a damaged log.
    CutInSilence,
    /// SyncGroup is answered before the assignment is durable.
    AnswerSyncEarly,
}

/// Whether this build has mutants.
pub const POSSIBLE: bool = cfg!(debug_assertions);

thread_local! {
    static BROKEN: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this thread's node is broken so.
#[inline]
pub fn is(mutant: Mutant) -> bool {
    POSSIBLE && BROKEN.get() == Some(mutant)
}

/// How this thread's node is broken, if it is.
pub fn broken() -> Option<Mutant> {
    BROKEN.get()
}

/// Breaks the node that runs on this thread, or mends it. Panics in a build without mutants.
pub fn set(mutant: Option<Mutant>) {
    assert!(
        POSSIBLE || mutant.is_none(),
        "this build has no mutants: it is one without debug assertions"
    );
    BROKEN.set(mutant);
}
