//! Hash maps whose order depends on one seed.
//!
//! The standard map draws a fresh seed per map, so anything that ever iterates one behaves
//! differently on each run and a simulated run could not be repeated. A fixed seed alone would let
//! a client choose producer ids or topic names that collide. Hence one seed per process: a program
//! that faces a network draws it at random at start ([`seed_maps`]), tests and simulations leave
//! the default.

// The aliases are what the lint points to.
#![allow(clippy::disallowed_types)]

use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A hash map with the process's seed. Create with `Map::default()`.
pub type Map<K, V> = std::collections::HashMap<K, V, MapSeed>;

/// A hash set with the process's seed. Create with `Set::default()`.
pub type Set<T> = std::collections::HashSet<T, MapSeed>;

const SEED_DEFAULT: u64 = 0x6f64_7261_6465_6b00;

static SEED: OnceLock<SharedSeed> = OnceLock::new();

/// Sets the seed of all maps of this process. Answers `false`, changing nothing, when a map was
/// already created or the seed was already set.
pub fn seed_maps(seed: u64) -> bool {
    SEED.set(SharedSeed::from_u64(seed)).is_ok()
}

/// The hasher state of [`Map`] and [`Set`].
#[derive(Clone, Debug)]
pub struct MapSeed(SeedableRandomState);

impl Default for MapSeed {
    fn default() -> Self {
        let shared = SEED.get_or_init(|| SharedSeed::from_u64(SEED_DEFAULT));
        Self(SeedableRandomState::with_seed(0, shared))
    }
}

impl BuildHasher for MapSeed {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_maps_of_one_process_iterate_alike() {
        let keys = |n: i32| (0..n).map(|k| (k * 7919, k)).collect::<Map<_, _>>();
        let first: Vec<_> = keys(1000).into_iter().collect();
        let second: Vec<_> = keys(1000).into_iter().collect();
        assert_eq!(first, second);
        assert!(!seed_maps(1), "a map exists already");
    }
}
