//! The last offset of each key, in a bounded table.
//!
//! A key is known by a 128-bit hash under a secret that is drawn anew for every cleaning, so that
//! nobody can make two keys that are taken for one. (Kafka takes MD5 without a secret.) Open
//! addressing, linear probing, nothing is ever removed. An entry takes [`SLOT_BYTES`].
//!
//! Memory is asked for at once but is there only once it is touched, by an entry or, piece by piece,
//! [ahead of them](KeyMap::touch).
//!
//! Entries lie anywhere in it, so each look waits for memory. Who has several keys to look for takes
//! their [hashes](KeyMap::hash) first, [announces](KeyMap::fetch) them all, and looks then: they are
//! waited for together.
//!
//! Source: Kafka `SkimpyOffsetMap`.

use std::ffi::c_void;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};
use siphasher::sip128::SipHasher13;

use crate::bytes::PAGE;
use crate::types::Offset;

/// Memory of one entry, as in Kafka: 16 bytes of hash, 8 of offset.
pub const SLOT_BYTES: usize = WORDS * 8;
const WORDS: usize = 3;
/// Of a cache line.
const LINE_WORDS: usize = 8;
/// Smallest of the system's large pages.
const LARGE_PAGE: usize = 2 << 20;

/// A key, as a map knows it. Of use to the map that made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash(u64, u64);

/// See the module.
pub struct KeyMap {
    hasher: SipHasher13,
    /// Two words of hash, then the offset plus one: 0 is a free slot.
    words: Vec<u64>,
    slots: usize,
    len: usize,
    /// Entries at which it takes no new key.
    len_max: usize,
}

impl KeyMap {
    /// A map of at most `bytes` of memory, filled up to `load` (above 0, at most 1: 0.9 where Kafka's
    /// default is asked for), for not more than `keys_max` keys. `secret`: random.
    pub fn new(bytes: usize, load: f64, keys_max: u64, secret: (u64, u64)) -> KeyMap {
        let load = if load > 0.0 { load.min(1.0) } else { 0.9 };
        let affordable = bytes / SLOT_BYTES;
        let wanted = (keys_max.min(affordable as u64) as f64 / load).ceil() as usize + 1;
        let slots = wanted.min(affordable).max(2);
        // One slot stays free: there a search for what is not here ends.
        let len_max = ((slots as f64 * load) as usize).clamp(1, slots - 1);
        let mut words = vec![0; slots * WORDS];
        ask_for_large_pages(&mut words);
        KeyMap {
            hasher: SipHasher13::new_with_keys(secret.0, secret.1),
            words,
            slots,
            len: 0,
            len_max,
        }
    }

    /// Keys in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, touched or not.
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Sees to it that a piece of a large map's memory is there, from byte `from` on; gives where the
    /// next begins. The system clears what is touched first: entries lie anywhere, so the first
    /// thousand of them would have it clear all of a gigabyte at once.
    pub fn touch(&mut self, from: usize) -> Option<usize> {
        let next = from + LARGE_PAGE;
        if next > self.bytes() {
            return None;
        }
        for word in (from / 8..next / 8).step_by(PAGE / 8) {
            // What is there stays, but the compiler must not know.
            self.words[word] = std::hint::black_box(self.words[word]);
        }
        Some(next)
    }

    /// How many keys it takes.
    pub fn room(&self) -> usize {
        self.len_max
    }

    /// What the map knows this key by.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let hash = self.hasher.hash(key);
        KeyHash(hash.h1, hash.h2)
    }

    /// Has the memory come near in which this key is looked for first. Changes nothing.
    #[inline]
    pub fn fetch(&self, key: KeyHash) {
        // A search goes on from there for a cache line or two, if the map is not almost full.
        let at = self.words.as_ptr().wrapping_add(self.home(key) * WORDS);
        fetch(at);
        fetch(at.wrapping_add(LINE_WORDS));
    }

    /// The slot at which a search begins.
    #[inline]
    fn home(&self, key: KeyHash) -> usize {
        ((u128::from(key.0) * self.slots as u128) >> 64) as usize
    }

    /// Where a key is, or the free slot where it would be.
    #[inline]
    fn find(&self, key: KeyHash) -> usize {
        let mut slot = self.home(key);
        loop {
            let at = slot * WORDS;
            let entry = &self.words[at..at + WORDS];
            if entry[2] == 0 || (entry[0], entry[1]) == (key.0, key.1) {
                return at;
            }
            slot += 1;
            if slot == self.slots {
                slot = 0;
            }
        }
    }

    /// Notes that a key's last record is at `offset`, which is not negative and not before what was
    /// noted earlier. `false`: the map is full and knows nothing of this key.
    #[must_use]
    pub fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        let at = self.find(key);
        if self.words[at + 2] == 0 {
            if self.len >= self.len_max {
                return false;
            }
            self.len += 1;
        }
        self.words[at..at + WORDS].copy_from_slice(&[key.0, key.1, offset.0 as u64 + 1]);
        true
    }

    /// The offset of a key's last record, if it was noted.
    pub fn get(&self, key: KeyHash) -> Option<Offset> {
        self.words[self.find(key) + 2]
            .checked_sub(1)
            .map(|offset| Offset(offset as i64))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(at: *const u64) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // SAFETY: a hint: it reads nothing that the program sees, and any address may be named.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// What is announced is also waited for together where groups of looks do not depend on each other.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_: *const u64) {}

/// Each look into a map of a gigabyte is at another page: with small ones finding that page costs as
/// much as the look.
fn ask_for_large_pages(words: &mut [u64]) {
    let bytes = words.as_mut_ptr_range();
    let from = (bytes.start as usize).next_multiple_of(PAGE);
    let len = (bytes.end as usize).saturating_sub(from) / PAGE * PAGE;
    if let Some(from) = NonNull::new(from as *mut c_void).filter(|_| len >= LARGE_PAGE) {
        // SAFETY: whole pages, all of them within the slice, which nobody else has; the advice
        // changes nothing in them. Should the system have no large pages, they are memory as well.
        let _ = unsafe { madvise(from, len, MmapAdvise::MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_as_long_as_it_has_room(
            keys in prop::collection::vec(0..60u16, 0..200),
            slots in 2..80usize,
            load in 0.1..1.0f64,
        ) {
            let mut map = KeyMap::new(slots * SLOT_BYTES, load, u64::MAX, (1, 2));
            prop_assert!(map.bytes() <= slots.max(2) * SLOT_BYTES);
            let mut model = BTreeMap::new();
            for (offset, key) in (0..).map(Offset).zip(&keys) {
                let bytes = key.to_be_bytes();
                if map.put(map.hash(&bytes), offset) {
                    model.insert(*key, offset);
                } else {
                    prop_assert!(!model.contains_key(key));
                    prop_assert!(map.len() as f64 + 1.0 > (slots as f64 * load).min(slots as f64 - 1.0));
                }
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0..60u16 {
                let hash = map.hash(&key.to_be_bytes());
                map.fetch(hash);
                prop_assert_eq!(map.get(hash), model.get(&key).copied());
            }
        }
    }

    #[test]
    fn touching_it_changes_nothing() {
        let mut map = KeyMap::new(3 * LARGE_PAGE, 0.9, u64::MAX, (1, 2));
        let keys = || (0..100_000u32).map(u32::to_be_bytes);
        for (offset, key) in (0..).map(Offset).zip(keys()) {
            assert!(map.put(map.hash(&key), offset));
        }
        let (mut from, mut pieces) = (0, 0);
        while let Some(next) = map.touch(from) {
            (from, pieces) = (next, pieces + 1);
        }
        assert_eq!(pieces, map.bytes() / LARGE_PAGE);
        for (offset, key) in (0..).map(Offset).zip(keys()) {
            assert_eq!(map.get(map.hash(&key)), Some(offset));
        }
    }

    #[test]
    fn no_more_memory_is_taken_than_there_can_be_keys() {
        let map = KeyMap::new(1 << 30, 0.9, 9, (0, 0));
        assert_eq!(map.bytes(), 11 * SLOT_BYTES);
        let mut map = KeyMap::new(0, 0.9, 9, (0, 0));
        let (one, another) = (map.hash(b""), map.hash(b"another"));
        assert!(map.put(one, Offset(0)) && map.put(one, Offset(7)));
        assert!(!map.put(another, Offset(8)), "one key, and one free slot");
        assert_eq!((map.get(one), map.get(another)), (Some(Offset(7)), None));
    }

    /// The goal of the compaction scenario: 50 million keys in one pass, within 1.5 GiB.
    #[test]
    fn fifty_million_keys_fit_in_a_gigabyte_and_a_half() {
        const KEYS: usize = 50_000_000;
        const BYTES: usize = 1536 << 20;
        // Not touched, so it takes no memory here.
        let map = KeyMap::new(BYTES, 0.9, u64::MAX, (1, 2));
        assert!(map.bytes() <= BYTES && map.room() >= KEYS, "{}", map.room());
        // What they need at the least, where no record is superseded.
        let least = KeyMap::new(BYTES, 0.9, KEYS as u64, (1, 2));
        assert!(least.room() >= KEYS);
        assert_eq!(least.bytes() >> 20, 1271);
        // With Kafka's default of 128 MiB it takes more than one.
        let small = KeyMap::new(128 << 20, 0.9, u64::MAX, (1, 2));
        assert_eq!(KEYS.div_ceil(small.room()), 10);
    }
}
