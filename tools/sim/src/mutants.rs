//! Whether the simulation finds what it is there to find: every deliberately broken variant of the
//! node must fail, and is named with the seed and the words that caught it.

use std::collections::BTreeSet;

use odradek_engine::mutant::{self, Mutant};

use crate::shrink::{Failure, attempt};

/// A variant, and what caught it.
pub struct Catch {
    pub mutant: Mutant,
    /// `None`: no seed that was tried.
    pub failure: Option<Failure>,
    pub tried: u64,
}

/// Runs a broken variant with one seed after the other, until one fails that does not otherwise.
pub fn hunt(mutant: Mutant, seeds: std::ops::Range<u64>) -> Catch {
    mutant::set(Some(mutant));
    let mut tried = 0;
    let mut failure = None;
    for seed in seeds {
        tried += 1;
        let Err(found) = attempt(seed, 0.0, BTreeSet::new()) else {
            continue;
        };
        // What fails whether it is broken or not has caught nothing.
        mutant::set(None);
        if attempt(seed, 0.0, BTreeSet::new()).is_ok() {
            failure = Some(*found);
            break;
        }
        mutant::set(Some(mutant));
    }
    mutant::set(None);
    Catch {
        mutant,
        failure,
        tried,
    }
}
