//! Single shards, and two of them, on a simulated machine: one thing at a time that `odradek sim`, which
//! runs whole nodes with everything that can go wrong, meets by chance or not at all.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod beside;
mod clean_start;
mod closed;
mod compaction;
mod damaged;
mod durable;
mod full;
mod journal;
mod journal_moves;
mod left_behind;
mod moves;
mod settled;
mod tail;
