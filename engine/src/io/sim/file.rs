//! One file: what reads see, and what would survive a power cut.
//!
//! A page has its cached content, its durable content, and between them the versions written
//! and not yet synced, in order. Making a version durable copies the 512-byte sectors it wrote;
//! sectors it overwrote are gone from the versions before it, so an older write never comes
//! back over a newer one. The length moves the same way, through `lengths`; as in a journal,
//! a change of length becomes durable together with all changes before it.
//!
//! Invariants: an absent page is zeros, cached and durable; a page is in `dirty` exactly when
//! it has unsynced versions.
//!
//! Absent on purpose: names, time, and choice (crashes draw theirs in [`crash`](super::crash)).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::bytes::PAGE;

/// What a disk writes whole or not at all, bytes.
pub(super) const SECTOR: usize = 512;

/// Unsynced versions of one page beyond which the oldest is written back, as a kernel does to
/// old dirty pages by itself.
const VERSIONS_MAX: usize = 8;

type Content = [u8; PAGE];

/// A bit per sector of a page.
pub(super) type Mask = u8;
const WHOLE: Mask = Mask::MAX;
const _: () = assert!(PAGE / SECTOR == Mask::BITS as usize);

/// One write's effect on one page.
pub(super) struct Version {
    pub(super) sequence: u64,
    /// The whole page after the write; `None` is zeros.
    content: Option<Rc<Content>>,
    /// The sectors that the write touched.
    pub(super) mask: Mask,
    /// The zeros of a truncation: durable with its length, not with data.
    pub(super) cut: bool,
}

#[derive(Default)]
pub(super) struct Page {
    cached: Option<Rc<Content>>,
    durable: Option<Rc<Content>>,
    pub(super) versions: Vec<Version>,
    /// In page cache (a direct write leaves nothing there).
    resident: bool,
    /// A sync of it failed: page cache shows `cached` and thinks it clean, the disk has `durable`.
    phantom: bool,
    /// The write that was made durable last, and what was durable before it.
    before: Option<(u64, Option<Rc<Content>>)>,
}

/// A change of length, not yet durable.
pub(super) struct Length {
    pub(super) sequence: u64,
    len: u64,
    pub(super) shrinks: bool,
}

/// Which writes a sync covers: those that had completed when it was submitted.
#[derive(Clone, Debug)]
pub(super) struct Covered {
    upto: u64,
    except: BTreeSet<u64>,
}

impl Covered {
    /// The writes that `files` still have under way, up to this one, are not covered.
    pub(super) fn but_for<'a>(upto: u64, files: impl Iterator<Item = &'a File>) -> Covered {
        let except = files.flat_map(|file| &file.unfinished).copied().collect();
        Covered { upto, except }
    }

    pub(super) fn covers(&self, sequence: u64) -> bool {
        sequence <= self.upto && !self.except.contains(&sequence)
    }
}

/// A file's contents.
#[derive(Default)]
pub(super) struct File {
    pages: BTreeMap<u64, Page>,
    dirty: BTreeSet<u64>,
    len: u64,
    durable_len: u64,
    lengths: Vec<Length>,
    /// Writes that have taken effect and not completed.
    unfinished: BTreeSet<u64>,
    /// A sync of everything has failed for it, and no sync of its own has told yet.
    untold: bool,
}

fn zeros() -> Rc<Content> {
    Rc::new([0; PAGE])
}

impl Page {
    /// Makes the sectors in `mask` of version `at` durable and forgets that version.
    pub(super) fn keep(&mut self, at: usize, mask: Mask) {
        let version = self.versions.remove(at);
        if mask != 0 {
            self.before = Some((version.sequence, self.durable.clone()));
        }
        if mask == WHOLE {
            self.durable = version.content;
        } else if mask != 0 {
            let durable = Rc::make_mut(self.durable.get_or_insert_with(zeros));
            for sector in (0..PAGE / SECTOR).filter(|sector| mask >> sector & 1 == 1) {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                match &version.content {
                    Some(content) => durable[range.clone()].copy_from_slice(&content[range]),
                    None => durable[range].fill(0),
                }
            }
        }
        for earlier in &mut self.versions[..at] {
            earlier.mask &= !mask;
        }
    }

    /// Page cache lets go of it.
    fn forget_phantom(&mut self) {
        self.phantom = false;
        self.cached = self.durable.clone();
    }

    /// Writing it back has failed: of what is `wanted`, any sector may be on disk, and none is
    /// dirty any more.
    fn lose_if(&mut self, wanted: impl Fn(&Version) -> bool, mut random: impl FnMut() -> u64) {
        let (mut at, mut earlier) = (0, None);
        while at < self.versions.len() {
            if wanted(&self.versions[at]) {
                earlier = Some(at);
                let mask = self.versions[at].mask & random() as Mask;
                self.keep(at, mask);
            } else {
                at += 1;
            }
        }
        let Some(earlier) = earlier else {
            return;
        };
        if self.resident {
            self.phantom = self.versions.is_empty();
            // What else was written keeps the page dirty, all of it as it is now: also what was
            // written before, which had not been asked for yet.
            for version in &mut self.versions[..earlier] {
                version.content.clone_from(&self.cached);
            }
            for version in &mut self.versions {
                version.mask = WHOLE;
            }
        } else {
            // Written past the cache: what shows is what is there.
            self.cached = self.durable.clone();
            for version in &self.versions {
                let Some(content) = &version.content else {
                    self.cached = None;
                    continue;
                };
                let cached = Rc::make_mut(self.cached.get_or_insert_with(zeros));
                for sector in (0..PAGE / SECTOR).filter(|sector| version.mask >> sector & 1 == 1) {
                    let range = sector * SECTOR..(sector + 1) * SECTOR;
                    cached[range.clone()].copy_from_slice(&content[range]);
                }
            }
        }
    }

    fn keep_if(&mut self, wanted: impl Fn(&Version) -> bool) {
        let mut at = 0;
        while at < self.versions.len() {
            if wanted(&self.versions[at]) {
                let mask = self.versions[at].mask;
                self.keep(at, mask);
            } else {
                at += 1;
            }
        }
    }
}

impl File {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Pages that take room on the disk.
    pub(super) fn pages(&self) -> u64 {
        let end = self.len.div_ceil(PAGE as u64);
        self.pages.range(..end).count() as u64
    }

    /// Pages that `[pos, pos + len)` would add.
    pub(super) fn pages_missing(&self, pos: u64, len: u64) -> u64 {
        if len == 0 {
            return 0;
        }
        let (first, end) = (pos / PAGE as u64, (pos + len).div_ceil(PAGE as u64));
        (end - first) - self.pages.range(first..end).count() as u64
    }

    fn set_len(&mut self, sequence: u64, len: u64, shrinks: bool) {
        self.len = len;
        self.lengths.push(Length {
            sequence,
            len,
            shrinks,
        });
    }

    /// Writes `bytes` at `pos` as part of write `sequence`. Sequences never decrease.
    pub(super) fn write(&mut self, sequence: u64, pos: u64, bytes: &[u8], direct: bool) {
        self.put(sequence, pos, bytes, direct, false);
        let end = pos + bytes.len() as u64;
        if end > self.len {
            self.set_len(sequence, end, false);
        }
    }

    fn put(&mut self, sequence: u64, pos: u64, bytes: &[u8], direct: bool, cut: bool) {
        let (mut pos, mut bytes) = (pos, bytes);
        while !bytes.is_empty() {
            let (number, at) = (pos / PAGE as u64, (pos % PAGE as u64) as usize);
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE - at));
            let page = self.pages.entry(number).or_default();
            if page.phantom && direct {
                page.forget_phantom();
            }
            let whole = std::mem::take(&mut page.phantom);
            let mut content = page.cached.take().unwrap_or_else(zeros);
            Rc::make_mut(&mut content)[at..at + now.len()].copy_from_slice(now);
            page.cached = Some(content.clone());
            page.resident = !direct;
            let mask = (at / SECTOR..(at + now.len()).div_ceil(SECTOR))
                .fold(0, |mask, sector| mask | 1 << sector);
            // The page is dirty again, all of it.
            let mask = if whole { WHOLE } else { mask };
            match page.versions.last_mut() {
                Some(last) if last.sequence == sequence => {
                    last.content = Some(content);
                    last.mask |= mask;
                }
                _ => page.versions.push(Version {
                    sequence,
                    content: Some(content),
                    mask,
                    cut,
                }),
            }
            self.dirty.insert(number);
            if page.versions.len() > VERSIONS_MAX {
                self.write_back(number);
            }
            pos += now.len() as u64;
            bytes = rest;
        }
    }

    fn write_back(&mut self, number: u64) {
        let oldest = self.pages[&number].versions[0].sequence;
        self.keep_lengths(oldest);
        let page = self.pages.get_mut(&number).expect("dirty pages exist");
        page.keep_if(|version| version.sequence <= oldest);
    }

    /// A write has taken effect; it completes later, by [`File::finish`].
    pub(super) fn begin(&mut self, sequence: u64) {
        self.unfinished.insert(sequence);
    }

    /// A write completes; with `dsync` what it wrote, and the length, are durable.
    pub(super) fn finish(&mut self, sequence: u64, pos: u64, len: u64, dsync: bool) {
        self.unfinished.remove(&sequence);
        if !dsync || len == 0 {
            return;
        }
        self.keep_lengths(sequence);
        let range = pos / PAGE as u64..(pos + len).div_ceil(PAGE as u64);
        let dirty: Vec<u64> = self.dirty.range(range).copied().collect();
        self.keep_versions(dirty, |version| version.sequence == sequence);
    }

    /// What a sync submitted now will cover.
    pub(super) fn covered(&self, sequence: u64) -> Covered {
        Covered {
            upto: sequence,
            except: self.unfinished.clone(),
        }
    }

    /// Makes durable what `covered` names.
    pub(super) fn sync(&mut self, covered: &Covered) {
        let last = self.lengths.iter().rev();
        if let Some(last) = last.map(|l| l.sequence).find(|s| covered.covers(*s)) {
            self.keep_lengths(last);
        }
        let dirty: Vec<u64> = self.dirty.iter().copied().collect();
        self.keep_versions(dirty, |version| {
            !version.cut && covered.covers(version.sequence)
        });
    }

    /// The next sync of the file fails.
    pub(super) fn keep_error(&mut self) {
        self.untold = true;
    }

    /// Whether a sync has to fail for what was [kept](Self::keep_error); said once.
    pub(super) fn tell(&mut self) -> bool {
        std::mem::take(&mut self.untold)
    }

    /// Where the first page lies, from `pos` on, that was written.
    pub(super) fn data_after(&self, pos: u64) -> Option<u64> {
        let page = PAGE as u64;
        let mut pages = self.pages.range(pos / page..self.len.div_ceil(page));
        let written = |page: &Page| {
            page.cached.is_some() || page.durable.is_some() || !page.versions.is_empty()
        };
        let (number, _) = pages.find(|(_, page)| written(page))?;
        Some(pos.max(number * page)).filter(|at| *at < self.len)
    }

    /// A sync of what `covered` names has failed: see [`Page::lose_if`]. The length is not durable.
    pub(super) fn sync_failed(&mut self, covered: &Covered, random: impl FnMut() -> u64) {
        let wanted = |version: &Version| !version.cut && covered.covers(version.sequence);
        self.lose_versions(0..u64::MAX, wanted, random);
    }

    /// The same of one write.
    pub(super) fn write_failed(
        &mut self,
        sequence: u64,
        pos: u64,
        len: u64,
        random: impl FnMut() -> u64,
    ) {
        let range = pos / PAGE as u64..(pos + len).div_ceil(PAGE as u64);
        self.lose_versions(range, |version| version.sequence == sequence, random);
    }

    fn lose_versions(
        &mut self,
        range: std::ops::Range<u64>,
        wanted: impl Fn(&Version) -> bool,
        mut random: impl FnMut() -> u64,
    ) {
        let dirty: Vec<u64> = self.dirty.range(range).copied().collect();
        for number in dirty {
            let page = self.pages.get_mut(&number).expect("dirty pages exist");
            page.lose_if(&wanted, &mut random);
            if page.versions.is_empty() {
                self.dirty.remove(&number);
            }
        }
    }

    /// Other bytes wherever these are held.
    pub(super) fn corrupt(&mut self, pos: u64, bytes: &[u8]) {
        assert!(
            pos + bytes.len() as u64 <= self.len,
            "beyond the file's end"
        );
        for (at, byte) in (pos..).zip(bytes) {
            let (number, at) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let page = self.pages.entry(number).or_default();
            let contents = [&mut page.cached, &mut page.durable];
            let versions = page.versions.iter_mut().map(|version| &mut version.content);
            for content in contents.into_iter().chain(versions) {
                Rc::make_mut(content.get_or_insert_with(zeros))[at] = *byte;
            }
        }
    }

    /// What would stand in the file around `pos` if the write that was made durable last there had
    /// never reached the disk, and from where on; whole pages. `None`: nothing was written there, or
    /// something since.
    pub(super) fn before(&self, pos: u64) -> Option<(u64, Vec<u8>)> {
        let known = |number: u64| {
            let page = self.pages.get(&number)?;
            let before = page.before.as_ref();
            before.filter(|_| page.versions.is_empty())
        };
        let number = pos / PAGE as u64;
        let (write, _) = known(number)?;
        let same = |number: &u64| known(*number).is_some_and(|(of, _)| of == write);
        let first = (0..=number).rev().take_while(same).last()?;
        let mut bytes = Vec::new();
        for (_, content) in (first..).take_while(same).filter_map(&known) {
            match content {
                Some(content) => bytes.extend_from_slice(&content[..]),
                None => bytes.resize(bytes.len() + PAGE, 0),
            }
        }
        let from = first * PAGE as u64;
        bytes.truncate(self.len.checked_sub(from)? as usize);
        Some((from, bytes))
    }

    /// Another one with the same bytes, all of them durable and none in page cache.
    pub(super) fn copy(&self) -> File {
        let pages = self.pages.iter().map(|(number, page)| {
            let content = page.cached.clone();
            let page = Page {
                durable: content.clone(),
                cached: content,
                ..Page::default()
            };
            (*number, page)
        });
        File {
            pages: pages.collect(),
            len: self.len,
            durable_len: self.len,
            ..File::default()
        }
    }

    fn keep_versions(&mut self, pages: Vec<u64>, wanted: impl Fn(&Version) -> bool) {
        for number in pages {
            let page = self.pages.get_mut(&number).expect("dirty pages exist");
            page.keep_if(&wanted);
            if page.versions.is_empty() {
                self.dirty.remove(&number);
            }
        }
    }

    /// Makes every change of length up to `sequence` durable, truncations' zeros with them.
    pub(super) fn keep_lengths(&mut self, sequence: u64) {
        let mut cut = false;
        let count = self.lengths.partition_point(|l| l.sequence <= sequence);
        for length in self.lengths.drain(..count) {
            self.durable_len = length.len;
            cut |= length.shrinks;
        }
        if cut {
            let dirty: Vec<u64> = self.dirty.iter().copied().collect();
            self.keep_versions(dirty, |version| version.cut && version.sequence <= sequence);
        }
    }

    /// Reads at `pos`; fewer bytes than asked for only at the end.
    pub(super) fn read(&mut self, pos: u64, into: &mut [u8], direct: bool) -> usize {
        let len = (self.len.saturating_sub(pos)).min(into.len() as u64) as usize;
        let (mut pos, mut left) = (pos, &mut into[..len]);
        while !left.is_empty() {
            let (number, at) = (pos / PAGE as u64, (pos % PAGE as u64) as usize);
            let count = left.len().min(PAGE - at);
            let (now, rest) = left.split_at_mut(count);
            match self.pages.get_mut(&number) {
                Some(page) => {
                    page.resident |= !direct;
                    let on_disk = page.phantom && direct;
                    let seen = if on_disk { &page.durable } else { &page.cached };
                    match seen {
                        Some(content) => now.copy_from_slice(&content[at..at + count]),
                        None => now.fill(0),
                    }
                }
                None => now.fill(0),
            }
            pos += count as u64;
            left = rest;
        }
        len
    }

    /// How many bytes of `[pos, pos + len)` are in page cache; all, or fewer than `len`.
    pub(super) fn resident(&self, pos: u64, len: u64) -> u64 {
        if len == 0 {
            return 0;
        }
        let (first, end) = (pos / PAGE as u64, (pos + len).div_ceil(PAGE as u64));
        let range = self.pages.range(first..end);
        let there = range.filter(|(_, page)| page.resident).count() as u64;
        if there == end - first {
            len
        } else {
            (there * PAGE as u64).min(len - 1)
        }
    }

    /// Drops clean pages of `[pos, pos + len)` from page cache.
    pub(super) fn evict(&mut self, pos: u64, len: u64) {
        let range = pos / PAGE as u64..pos.saturating_add(len).div_ceil(PAGE as u64);
        for (_, page) in self.pages.range_mut(range) {
            page.resident &= !page.versions.is_empty();
            if page.phantom {
                page.forget_phantom();
            }
        }
    }

    /// Allocates `[pos, pos + len)`, extending the file with zeros.
    pub(super) fn allocate(&mut self, sequence: u64, pos: u64, len: u64) {
        for number in pos / PAGE as u64..(pos + len).div_ceil(PAGE as u64) {
            self.pages.entry(number).or_default();
        }
        if pos + len > self.len {
            self.set_len(sequence, pos + len, false);
        }
    }

    /// Sets the length.
    pub(super) fn truncate(&mut self, sequence: u64, len: u64) {
        let old = self.len;
        if len >= old {
            if len > old {
                self.set_len(sequence, len, false);
            }
            return;
        }
        self.set_len(sequence, len, true);
        let kept = len.div_ceil(PAGE as u64);
        if !len.is_multiple_of(PAGE as u64) && self.pages.contains_key(&(kept - 1)) {
            let tail = vec![0; (kept * PAGE as u64 - len) as usize];
            let direct = !self.pages[&(kept - 1)].resident;
            self.put(sequence, len, &tail, direct, true);
        }
        let mut gone = Vec::new();
        for (number, page) in self.pages.range_mut(kept..) {
            page.cached = None;
            (page.resident, page.phantom) = (false, false);
            if page.durable.is_none() && page.versions.is_empty() {
                gone.push(*number);
                continue;
            }
            page.versions.push(Version {
                sequence,
                content: None,
                mask: WHOLE,
                cut: true,
            });
            self.dirty.insert(*number);
        }
        for number in gone {
            self.pages.remove(&number);
        }
    }

    /// Changes of length that are not durable.
    pub(super) fn lengths(&self) -> &[Length] {
        &self.lengths
    }

    /// Pages with unsynced versions.
    pub(super) fn dirty_pages(&mut self) -> impl Iterator<Item = &mut Page> {
        let dirty = &self.dirty;
        self.pages
            .iter_mut()
            .filter(|(number, _)| dirty.contains(number))
            .map(|(_, page)| page)
    }

    /// The power is back: what is durable is all there is.
    pub(super) fn settle(&mut self) {
        self.lengths.clear();
        self.unfinished.clear();
        self.untold = false;
        self.dirty.clear();
        self.len = self.durable_len;
        drop(self.pages.split_off(&self.len.div_ceil(PAGE as u64)));
        for page in self.pages.values_mut() {
            page.versions.clear();
            (page.resident, page.phantom) = (false, false);
            page.cached = page.durable.clone();
        }
        let tail = (self.len % PAGE as u64) as usize;
        if tail != 0
            && let Some(page) = self.pages.get_mut(&(self.len / PAGE as u64))
            && let Some(content) = &mut page.durable
        {
            // Beyond its end a file reads as zeros, also when it grows over it again.
            Rc::make_mut(content)[tail..].fill(0);
            page.cached = page.durable.clone();
        }
    }
}
