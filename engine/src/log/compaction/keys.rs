//! The last offset of each key, in a bounded table.
//!
//! A key is known by a hash under a secret that is drawn anew for every cleaning, so that nobody can
//! make two keys that are taken for one. (Kafka takes MD5 without a secret.) Open addressing, linear
//! probing, nothing is ever removed. An entry takes [`SLOT_BYTES`], so that four lie in a cache line:
//! 88 bits of the hash, and 40 of the offset's distance from where the cleaning begins. Other bits of the
//! hash say where an entry lies. Of 50 million keys two are taken for one in fewer than one cleaning of
//! 10^11, by the 88 bits alone.
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

use bytemuck::Zeroable;
use nix::sys::mman::{MmapAdvise, madvise};
use siphasher::sip128::SipHasher13;

use crate::bytes::PAGE;
use crate::types::Offset;

/// Memory of one entry (24 in Kafka: 16 of hash, 8 of offset).
pub const SLOT_BYTES: usize = size_of::<Slot>();
/// In a cache line.
const LINE_SLOTS: usize = 64 / SLOT_BYTES;
/// Of the distance from the base, plus one.
const DISTANCE_BITS: u32 = 40;
const DISTANCE_MASK: u64 = (1 << DISTANCE_BITS) - 1;
/// Smallest of the system's large pages.
const LARGE_PAGE: usize = 2 << 20;

/// A key, as a map knows it. Of use to the map that made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash {
    /// Its high bits say where a search begins.
    place: u64,
    /// What an entry has of it: a word, and the high bits of another.
    low: u64,
    high: u64,
}

/// All zeros: free.
#[derive(Clone, Copy, Zeroable)]
#[repr(C, align(16))]
struct Slot {
    low: u64,
    /// 24 bits of hash, then the offset's distance from the base plus one.
    rest: u64,
}

impl Slot {
    fn is_free(self) -> bool {
        self.rest == 0
    }

    fn is_of(self, key: KeyHash) -> bool {
        self.low == key.low && self.rest & !DISTANCE_MASK == key.high
    }
}

/// See the module.
pub struct KeyMap {
    hasher: SipHasher13,
    base: Offset,
    slots: Vec<Slot>,
    len: usize,
    /// Entries at which it takes no new key.
    len_max: usize,
}

impl KeyMap {
    /// A map of at most `bytes` of memory, filled up to `load` (above 0, at most 1: 0.9 where Kafka's
    /// default is asked for), for not more than `keys_max` keys, of records from `base` on. `secret`:
    /// random.
    pub fn new(bytes: usize, load: f64, keys_max: u64, base: Offset, secret: (u64, u64)) -> KeyMap {
        let load = if load > 0.0 { load.min(1.0) } else { 0.9 };
        let affordable = bytes / SLOT_BYTES;
        let wanted = (keys_max.min(affordable as u64) as f64 / load).ceil() as usize + 1;
        let slots = wanted.min(affordable).max(2);
        // One slot stays free: there a search for what is not here ends.
        let len_max = ((slots as f64 * load) as usize).clamp(1, slots - 1);
        // The memory is not touched: the system's is zeros.
        let mut slots = bytemuck::zeroed_vec(slots);
        ask_for_large_pages(&mut slots);
        KeyMap {
            hasher: SipHasher13::new_with_keys(secret.0, secret.1),
            base,
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
        self.slots.len() * SLOT_BYTES
    }

    /// Sees to it that a piece of a large map's memory is there, from byte `from` on; gives where the
    /// next begins. The system clears what is touched first: entries lie anywhere, so the first
    /// thousand of them would have it clear all of a gigabyte at once.
    pub fn touch(&mut self, from: usize) -> Option<usize> {
        let next = from + LARGE_PAGE;
        if next > self.bytes() {
            return None;
        }
        for slot in (from / SLOT_BYTES..next / SLOT_BYTES).step_by(PAGE / SLOT_BYTES) {
            // What is there stays, but the compiler must not know.
            self.slots[slot] = std::hint::black_box(self.slots[slot]);
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
        KeyHash {
            place: hash.h1,
            low: hash.h2,
            high: hash.h1 << DISTANCE_BITS,
        }
    }

    /// Has the memory come near in which this key is looked for first. Changes nothing.
    #[inline]
    pub fn fetch(&self, key: KeyHash) {
        // A search goes on from there for a cache line or two, if the map is not almost full.
        let at = self.slots.as_ptr().wrapping_add(self.home(key));
        fetch(at);
        fetch(at.wrapping_add(LINE_SLOTS));
    }

    /// The slot at which a search begins.
    #[inline]
    fn home(&self, key: KeyHash) -> usize {
        ((u128::from(key.place) * self.slots.len() as u128) >> 64) as usize
    }

    /// Where a key is, or the free slot where it would be.
    #[inline]
    fn find(&self, key: KeyHash) -> usize {
        let mut at = self.home(key);
        loop {
            let slot = self.slots[at];
            if slot.is_of(key) || slot.is_free() {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    /// Notes that a key's last record is at `offset`, which is not before the base, nor before what was
    /// noted earlier. `false`: the map is full, or the offset 2^40 behind the base; it knows nothing of
    /// this key that is new.
    #[must_use]
    pub fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        let distance = offset.0.wrapping_sub(self.base.0).wrapping_add(1) as u64;
        if distance == 0 || distance > DISTANCE_MASK {
            return false;
        }
        let at = self.find(key);
        if self.slots[at].is_free() {
            if self.len >= self.len_max {
                return false;
            }
            self.len += 1;
        }
        self.slots[at] = Slot {
            low: key.low,
            rest: key.high | distance,
        };
        true
    }

    /// The offset of a key's last record, if it was noted.
    pub fn get(&self, key: KeyHash) -> Option<Offset> {
        let distance = self.slots[self.find(key)].rest & DISTANCE_MASK;
        let distance = distance.checked_sub(1)?;
        Some(Offset(self.base.0 + distance as i64))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(at: *const Slot) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // SAFETY: a hint: it reads nothing that the program sees, and any address may be named.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// What is announced is also waited for together where groups of looks do not depend on each other.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_: *const Slot) {}

/// Each look into a map of a gigabyte is at another page: with small ones finding that page costs as
/// much as the look.
fn ask_for_large_pages(slots: &mut [Slot]) {
    let bytes = slots.as_mut_ptr_range();
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

    const BASE: Offset = Offset(0);

    proptest! {
        #[test]
        fn it_is_a_map_as_long_as_it_has_room(
            keys in prop::collection::vec(0..60u16, 0..200),
            slots in 2..80usize,
            load in 0.1..1.0f64,
            base in prop::sample::select(vec![0, 1, i64::MAX - 1000]),
        ) {
            let base = Offset(base);
            let mut map = KeyMap::new(slots * SLOT_BYTES, load, u64::MAX, base, (1, 2));
            prop_assert!(map.bytes() <= slots.max(2) * SLOT_BYTES);
            let mut model = BTreeMap::new();
            for (offset, key) in (base.0..).map(Offset).zip(&keys) {
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
        let mut map = KeyMap::new(3 * LARGE_PAGE, 0.9, u64::MAX, BASE, (1, 2));
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
        let map = KeyMap::new(1 << 30, 0.9, 9, BASE, (0, 0));
        assert_eq!(map.bytes(), 11 * SLOT_BYTES);
        let mut map = KeyMap::new(0, 0.9, 9, BASE, (0, 0));
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
        let map = KeyMap::new(BYTES, 0.9, u64::MAX, BASE, (1, 2));
        assert!(map.bytes() <= BYTES && map.room() >= KEYS, "{}", map.room());
        // What they need at the least, where no record is superseded.
        let least = KeyMap::new(BYTES, 0.9, KEYS as u64, BASE, (1, 2));
        assert!(least.room() >= KEYS);
        assert_eq!(least.bytes() >> 20, 847);
        // With Kafka's default of 128 MiB it takes more than one.
        let small = KeyMap::new(128 << 20, 0.9, u64::MAX, BASE, (1, 2));
        assert_eq!(KEYS.div_ceil(small.room()), 7);
    }

    #[test]
    fn what_is_too_far_from_the_base_is_not_taken() {
        let mut map = KeyMap::new(1 << 10, 0.9, 9, Offset(5), (1, 2));
        let key = map.hash(b"key");
        assert!(!map.put(key, Offset(4)));
        assert!(!map.put(key, Offset(5 + (1 << 40) - 1)));
        assert_eq!((map.get(key), map.len()), (None, 0));
        let last = Offset(5 + (1 << 40) - 2);
        assert!(map.put(key, Offset(5)) && map.put(key, last));
        assert_eq!((map.get(key), map.len()), (Some(last), 1));
    }
}
