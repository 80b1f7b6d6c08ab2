//! What becomes of a received chunk.

use std::path::Path;

use super::Kind;
use super::files::{Mode, Segments};

/// Writes in flight, at most.
pub(super) const DEPTH: usize = 8;
/// Chunks of a cold file that are read, or on their way, before they are sent.
pub(super) const AHEAD: usize = 4;

/// The steps after a chunk was received, in this order.
pub(super) struct Then {
    /// crc32c
    pub(super) checks: bool,
    /// Into another buffer.
    pub(super) copies: bool,
    pub(super) writes: Option<Segments>,
}

impl Then {
    pub(super) fn of(kind: Kind, dir: &Path) -> Self {
        let mode = match kind {
            Kind::StoreBuffered => Some(Mode::Buffered),
            Kind::Store | Kind::StoreCopy => Some(Mode::Direct),
            Kind::StoreDurable => Some(Mode::Durable),
            _ => None,
        };
        Self {
            checks: kind != Kind::Receive,
            copies: matches!(kind, Kind::Copy | Kind::StoreCopy),
            writes: mode.map(|mode| Segments::new(dir, mode)),
        }
    }
}
