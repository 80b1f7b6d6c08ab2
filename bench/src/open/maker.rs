//! What a producer's messages are made of: when, with which key, how long.

use super::proof::PROOF_BYTES;
use super::shared::Clock;
use crate::load::{Contents, KEY_BYTES, KeyDraw, Load, SizeDraw, Timetable};

/// See the module.
pub(super) struct Maker<'a> {
    /// None in a closed loop.
    table: Option<Timetable>,
    keys: KeyDraw,
    /// None in a replay.
    sizes: Option<SizeDraw>,
    pub(super) contents: &'a mut Contents,
    pub(super) clock: Clock,
}

impl<'a> Maker<'a> {
    /// Of producer `number`.
    pub(super) fn new(
        load: &Load,
        number: usize,
        contents: &'a mut Contents,
        clock: Clock,
    ) -> Self {
        Self {
            table: Timetable::new(load.arrivals, number, load.producers, load.seed),
            keys: KeyDraw::new(load.keys, number, load.seed),
            sizes: SizeDraw::new(&load.sizes, PROOF_BYTES, number, load.seed),
            contents,
            clock,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.table.is_some()
    }

    /// When the next message is intended; a closed loop's is now.
    #[inline]
    pub(super) fn intended(&self, now: u64) -> u64 {
        match &self.table {
            Some(table) => self.clock.begin + table.next(),
            None => now,
        }
    }

    /// The next message was made.
    #[inline]
    pub(super) fn advance(&mut self) {
        if let Some(table) = &mut self.table {
            table.advance();
        }
    }

    /// The next message's key, and the bytes of its value behind the proof.
    #[inline]
    pub(super) fn draw(&mut self) -> (Option<[u8; KEY_BYTES]>, usize) {
        let key = self.keys.draw();
        let rest_bytes = match &mut self.sizes {
            Some(sizes) => sizes.draw() - PROOF_BYTES,
            None => self.contents.line_bytes(),
        };
        (key, rest_bytes)
    }
}
