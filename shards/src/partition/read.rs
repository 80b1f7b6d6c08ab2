//! Reading: from offsets to ranges of memory and of files.

use std::ops::Range;

use odradek_engine::bytes::Parts;
use odradek_engine::io::{Errno, FileRange};
use odradek_engine::log::{Found, Log, ReadLimits, ReadPlan};
use odradek_engine::record::{
    BatchHeader, HEADER_BYTES, OpenBatch, Rules, headers, validate, validate_header,
};
use odradek_engine::types::{Offset, Position, Timestamp};

use super::{Mark, Partition, Poisoned, SegmentFile};

/// A piece of what was read, in order.
pub enum Piece {
    File(FileRange),
    Memory(Parts),
}

/// What a reader may see (`isolation.level`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// All that is visible.
    Uncommitted,
    /// What lies before the last stable offset.
    Committed,
}

/// What a read found.
pub struct Read {
    pub pieces: Vec<Piece>,
    /// Bytes of all pieces.
    pub bytes: u64,
    pub log_start: Offset,
    /// High watermark.
    pub visible: Offset,
    /// Last stable offset.
    pub stable: Offset,
    /// No record that was read for a reader of committed records is at or after it.
    pub(super) reach: Option<Offset>,
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the offset is not in the log, which holds {start} to {end}")]
    OutOfRange { start: i64, end: i64 },
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    #[error("reading the log failed: {0}")]
    Io(#[from] Errno),
    #[error("the log is damaged in segment {segment} at position {pos}")]
    Damaged { segment: i64, pos: u64 },
}

/// Bytes that a search looks at in one go: what lies between two entries of an index, mostly.
const SEARCH_BYTES: usize = 8 << 10;

impl Partition {
    /// Plans a read from `offset`, at most `bytes_max` bytes, up to what is visible. An empty
    /// answer means nothing is visible there yet.
    pub async fn read(
        &self,
        offset: Offset,
        bytes_max: u64,
        first_whole: bool,
    ) -> Result<Read, ReadError> {
        self.read_as(Isolation::Uncommitted, offset, bytes_max, first_whole)
            .await
    }

    /// The same, up to what such a reader may see.
    pub async fn read_as(
        &self,
        isolation: Isolation,
        offset: Offset,
        bytes_max: u64,
        first_whole: bool,
    ) -> Result<Read, ReadError> {
        let planned = self.plan(isolation, offset, bytes_max, first_whole).await;
        self.told(planned)
    }

    async fn plan(
        &self,
        isolation: Isolation,
        offset: Offset,
        bytes_max: u64,
        first_whole: bool,
    ) -> Result<Read, ReadError> {
        let (mut offset, mut found) = (offset, None);
        // An end that was searched for; it moves on meanwhile.
        let mut until = None;
        let mut found_in = self.generation();
        loop {
            if std::mem::replace(&mut found_in, self.generation()) != self.generation() {
                // It was found in what is not the log any more.
                found = None;
            }
            let (plan, log_start, visible, stable, reach, generation) = {
                let state = self.state.borrow();
                self.check_read(&state)?;
                let visible = state.progress.visible();
                let stable = state.log.stable(visible);
                let limits = ReadLimits {
                    bytes_max,
                    first_whole,
                    end: until.unwrap_or(match isolation {
                        Isolation::Uncommitted => visible,
                        Isolation::Committed => stable,
                    }),
                    // What only the journal has is in no file yet.
                    tail: self.ground.read_tail || visible > state.progress.in_file(),
                };
                let plan = state.log.plan_read(offset, limits, found);
                let reach = match (isolation, &plan) {
                    (
                        Isolation::Committed,
                        ReadPlan::Range {
                            segment,
                            file,
                            bytes,
                            ..
                        },
                    ) => Some(state.log.bound(*segment, Position(file.0 + bytes))),
                    _ => None,
                };
                let log_start = state.log.log_start();
                (plan, log_start, visible, stable, reach, state.generation())
            };
            // What was found in the meantime was found in what is not the log any more.
            let stale = || self.expired(offset) || self.exchanged(generation);
            let mut read = Read {
                pieces: Vec::new(),
                bytes: 0,
                log_start,
                visible,
                stable,
                reach,
            };
            match plan {
                ReadPlan::OutOfRange => {
                    let end = self.standing().next;
                    return Err(ReadError::OutOfRange {
                        start: log_start.0,
                        end: end.0,
                    });
                }
                ReadPlan::Empty => return Ok(read),
                ReadPlan::Range {
                    segment,
                    file,
                    memory,
                    bytes,
                } => {
                    read.bytes = bytes;
                    if file.1 > 0 {
                        let opened = match self.file(segment, false).await {
                            Err(_) if stale() => continue,
                            opened => opened?,
                        };
                        if !self.hold(&opened, segment).await? || self.exchanged(generation) {
                            continue;
                        }
                        if opened.doubtful() {
                            self.probe(&opened, file.0, file.1).await?;
                        }
                        read.pieces.push(Piece::File(FileRange {
                            file: opened,
                            pos: file.0,
                            len: file.1,
                        }));
                    }
                    if !memory.is_empty() {
                        self.state.borrow_mut().tail_read = true;
                        read.pieces.push(Piece::Memory(memory));
                    }
                    return Ok(read);
                }
                ReadPlan::Index { segment } => match self.load_index(segment).await {
                    Err(_) if stale() => {}
                    loaded => loaded?,
                },
                ReadPlan::Search {
                    segment,
                    from,
                    to,
                    target,
                    begins_by,
                } => {
                    let holds = |header: &BatchHeader| header.last_offset() >= target;
                    let searched = self.search(segment, from..to, begins_by, generation, holds);
                    let searched = searched.await;
                    // Not what is read, but where it ends?
                    let of_end = target != offset;
                    match searched {
                        _ if self.exchanged(generation) => {}
                        Ok(batch) if of_end => {
                            let at = batch.map_or(to, |batch| batch.pos);
                            self.state.borrow_mut().log.found_end(target, segment, at);
                            until = Some(target);
                        }
                        Ok(Some(batch)) => found = Some(batch),
                        Ok(None) | Err(_) if self.expired(offset) => {}
                        Ok(None) => match self.segment_behind(segment) {
                            // Compaction took what was at the segment's end.
                            Some(next) => offset = next.max(offset),
                            None => return Ok(read),
                        },
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.state.borrow().generation()
    }

    /// Whether segments were exchanged since.
    pub(super) fn exchanged(&self, generation: u64) -> bool {
        self.generation() != generation
    }

    /// The base of the segment after this one.
    fn segment_behind(&self, segment: Offset) -> Option<Offset> {
        let bases = |log: &Log| {
            log.segments()
                .map(|one| one.base)
                .find(|base| *base > segment)
        };
        self.with_log(bases)
    }

    /// Reads what is about to be promised from a file that could not be read before.
    async fn probe(&self, file: &SegmentFile, pos: u64, len: u64) -> Result<(), Errno> {
        let probed = file.probe(pos, len).await;
        self.ground.troubles.log(self.io(), || {
            let outcome = match &probed {
                Ok(()) => "and could be read the second time".to_owned(),
                Err(error) => format!("and cannot be read again: {error}"),
            };
            let file = file.path().display();
            tracing::error!(
                partition = %self.name,
                "{file} could not be read from {pos} to {} while it was sent, {outcome}", pos + len
            );
        });
        probed
    }

    /// Whether retention took `offset` away while it was looked for.
    fn expired(&self, offset: Offset) -> bool {
        self.with_log(|log| log.log_start() > offset)
    }

    /// An index led to where no batch begins, or one behind what is looked for.
    fn tell_misled(&self, segment: Offset, from: u64, found: bool) {
        self.ground.troubles.log(self.io(), || {
            let outcome = match found {
                true => "the index is wrong; the segment is searched from its start",
                false => "the segment is damaged",
            };
            tracing::error!(
                partition = %self.name,
                "the index of segment {} leads to position {from}, which cannot be: {outcome}",
                segment.0
            );
        });
    }

    /// Walks the batch headers of a segment, where an index has led, to the first that `wanted` takes.
    /// `begins_by`: the first of them begins there at the latest. Where it does not, or there is none,
    /// from the segment's start: it may be the index that is wrong, there is no check of its own in it.
    async fn search(
        &self,
        segment: Offset,
        range: Range<u64>,
        begins_by: Offset,
        generation: u64,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Found>, ReadError> {
        let Range { start, end } = range;
        let searched = self.walk(segment, range, begins_by, &wanted).await;
        match searched {
            Err(ReadError::Damaged { pos, .. })
                if pos == start && start > 0 && !self.exchanged(generation) =>
            {
                let searched = self.walk(segment, 0..end, begins_by, &wanted).await;
                self.tell_misled(segment, start, searched.is_ok());
                searched
            }
            searched => searched,
        }
    }

    async fn walk(
        &self,
        segment: Offset,
        Range {
            start: from,
            end: to,
        }: Range<u64>,
        begins_by: Offset,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Found>, ReadError> {
        if from >= to && from > 0 {
            return Err(ReadError::Damaged {
                segment: segment.0,
                pos: from,
            });
        }
        let mut at = from;
        while at < to {
            let bytes = self.bytes(segment, at, SEARCH_BYTES).await?;
            let mut walked = 0;
            for (pos, header) in headers(&bytes) {
                let damaged = ReadError::Damaged {
                    segment: segment.0,
                    pos: at + pos as u64,
                };
                let Ok(size) = header.size() else {
                    return Err(damaged);
                };
                if at + pos as u64 == from && from > 0 && !leads(header, segment, begins_by) {
                    return Err(damaged);
                }
                if wanted(header) {
                    return Ok(Some(Found {
                        segment,
                        base: header.base_offset(),
                        pos: at + pos as u64,
                        len: size as u64,
                    }));
                }
                walked = pos + size;
            }
            if walked == 0 {
                if bytes.len() < HEADER_BYTES && (at != from || from == 0) {
                    return Ok(None);
                }
                // The first batch is longer than what was read; its header alone is enough.
                let header = BatchHeader::view(&bytes);
                let Some((header, size)) =
                    header.and_then(|header| Some((header, header.size().ok()?)))
                else {
                    return Err(ReadError::Damaged {
                        segment: segment.0,
                        pos: at,
                    });
                };
                if at == from && from > 0 && !leads(header, segment, begins_by) {
                    return Err(ReadError::Damaged {
                        segment: segment.0,
                        pos: at,
                    });
                }
                if wanted(header) {
                    return Ok(Some(Found {
                        segment,
                        base: header.base_offset(),
                        pos: at,
                        len: size as u64,
                    }));
                }
                walked = size;
            }
            at += walked as u64;
        }
        Ok(None)
    }

    /// Copies up to `len` bytes of a segment.
    pub(super) async fn bytes(
        &self,
        segment: Offset,
        pos: u64,
        len: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let plan = {
            let state = self.state.borrow();
            self.check_read(&state)?;
            state.log.plan_bytes(segment, pos, len as u64)
        };
        let ReadPlan::Range { file, memory, .. } = plan else {
            return Ok(Vec::new());
        };
        let mut bytes = Vec::new();
        if file.1 > 0 {
            let from = self.file(segment, false).await?;
            if !self.hold(&from, segment).await? {
                // Whoever plans by what stands here sees that it is not there any more.
                return Err(ReadError::Io(Errno(libc::ESTALE)));
            }
            bytes = from.read_near(file.0, file.1 as usize).await?;
        }
        for part in &memory {
            bytes.extend_from_slice(part.bytes());
        }
        Ok(bytes)
    }

    /// The first record at least as late as `timestamp`: its timestamp and offset. Looks only at
    /// what is visible.
    pub async fn offset_for_time(
        &self,
        timestamp: Timestamp,
    ) -> Result<Option<(Timestamp, Offset)>, ReadError> {
        let mut from = self.standing().log_start;
        loop {
            let (plan, visible, generation) = {
                let state = self.state.borrow();
                self.check_read(&state)?;
                let plan = state.log.plan_time(timestamp, from);
                (plan, state.progress.visible(), state.generation())
            };
            match plan {
                Some(ReadPlan::Index { segment }) => match self.load_index(segment).await {
                    Err(_) if self.exchanged(generation) => {}
                    loaded => loaded?,
                },
                Some(ReadPlan::Search {
                    segment,
                    from: pos,
                    to,
                    target,
                    begins_by,
                }) => {
                    let late = |header: &BatchHeader| {
                        header.last_offset() >= target
                            && header.max_timestamp() >= timestamp
                            && header.record_count() > 0
                    };
                    let searched = self.search(segment, pos..to, begins_by, generation, late);
                    let searched = searched.await;
                    if self.exchanged(generation) {
                        continue;
                    }
                    let Some(found) = searched? else {
                        // This segment's latest was before `from`: go on behind it.
                        match self.segment_behind(segment) {
                            Some(next) => {
                                from = next;
                                continue;
                            }
                            None => return Ok(None),
                        }
                    };
                    if found.base >= visible {
                        return Ok(None);
                    }
                    let record = self.record_in(found, |time, _| time >= timestamp).await;
                    if self.exchanged(generation) {
                        continue;
                    }
                    match record? {
                        Some(hit) if hit.1 >= target => return Ok(Some(hit)),
                        // The header promised more than the records hold.
                        _ => from = Offset(found.base.0 + 1).max(Offset(target.0 + 1)),
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// The record with the latest timestamp (the first of several): its timestamp and offset.
    pub async fn latest_record(&self) -> Result<Option<(Timestamp, Offset)>, ReadError> {
        let latest = self.with_log(|log| log.latest_timestamp());
        let Some(latest) = latest.filter(|latest| latest.timestamp >= Timestamp(0)) else {
            return Ok(None);
        };
        self.offset_for_time(latest.timestamp).await
    }

    async fn record_in(
        &self,
        found: Found,
        wanted: impl Fn(Timestamp, Offset) -> bool,
    ) -> Result<Option<(Timestamp, Offset)>, ReadError> {
        let bytes = self
            .bytes(found.segment, found.pos, found.len as usize)
            .await?;
        let damaged = |_| ReadError::Damaged {
            segment: found.segment.0,
            pos: found.pos,
        };
        let info = validate(&bytes, &Rules::LOG).map_err(damaged)?;
        let mut scratch = Vec::new();
        let batch = OpenBatch::open(&bytes, info, &mut scratch).map_err(damaged)?;
        let log_start = self.standing().log_start;
        for record in batch.records() {
            let record = record.map_err(damaged)?;
            let (time, offset) = (batch.timestamp_of(&record), batch.offset_of(&record));
            if offset >= log_start && wanted(time, offset) {
                return Ok(Some((time, offset)));
            }
        }
        Ok(None)
    }

    /// Copies what is visible from `offset` on, about `bytes_max` bytes, cut at a whole batch or
    /// not. For the node's own topics; clients' reads do not copy.
    pub async fn copy(&self, offset: Offset, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        let read = self.read(offset, bytes_max, true).await?;
        let mut bytes = Vec::with_capacity(read.bytes as usize);
        for piece in read.pieces {
            match piece {
                Piece::File(range) => {
                    bytes.extend(range.file.read(range.pos, range.len as usize).await?);
                }
                Piece::Memory(parts) => {
                    for part in &parts {
                        bytes.extend_from_slice(part.bytes());
                    }
                }
            }
        }
        Ok(bytes)
    }

    /// Everything written so far made visible; a reader that asks where the end is should see
    /// what was acknowledged to it.
    pub async fn settle(&self) {
        let next = self.standing().written;
        // A failure shows itself to whoever asks next.
        let _ = self.wait(Mark::Visible, next).done().await;
    }
}

/// Whether a right index leads to such a batch.
fn leads(header: &BatchHeader, segment: Offset, begins_by: Offset) -> bool {
    let base = header.base_offset();
    (segment..=begins_by).contains(&base) && validate_header(header, &Rules::LOG).is_ok()
}
