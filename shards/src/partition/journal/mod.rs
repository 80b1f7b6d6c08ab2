//! A shard's journal: small appends that somebody waits for, of all its partitions in one log
//! directory, in one durable stream there; see [`odradek_engine::log::journal`] for its format.
//!
//! Partitions with something to write queue up. One task takes what waits into a frame (so what came
//! in one pass, and while the frames before were in flight, goes together), writes the frame durably,
//! and tells the partitions. Their segments get the same bytes later; see [`take`] for which append
//! goes this way, and [`store`] for when.
//!
//! The journal is never needed: while it has no room, or is broken, appends go to their segments
//! directly, as without it. So nothing waits for it but frames in flight.
//!
//! Invariants: frames are reported in order of sequence, and none behind one that failed; a file is
//! used again only when every partition with an entry in it has stored what was taken by then.
//!
//! Absent on purpose: what becomes of it after a crash; that is [`mod@replay`]'s.

mod files;
mod replay;
mod store;
mod take;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use odradek_engine::bytes::Parts;
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::io::{Errno, Handle, Io};
use odradek_engine::limits::{JOURNAL_FRAME_BYTES_MAX, JOURNAL_FRAMES_IN_FLIGHT_MAX};
use odradek_engine::log::journal::frame::{Draft, Head};
use odradek_engine::log::journal::ring::Ring;
use odradek_engine::task::Spawner;
use odradek_engine::types::Offset;

pub use self::replay::{ReplayError, replay};
pub(super) use self::take::Journaled;
use self::take::Taken;
use super::Partition;
use crate::runtime::Notice;

/// Files of one journal.
const FILES: usize = 4;

/// See the module.
pub struct Journal {
    io: Io,
    spawner: Spawner,
    strategy: WriteStrategy,
    directory: PathBuf,
    /// Another one at each start: frames of earlier ones are not taken for this one's.
    life: u64,
    file_bytes: u64,
    desk: RefCell<Desk>,
    /// There is something to take, or room for it.
    work: Notice,
    /// Something has ended that the end waits for.
    calm: Notice,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What an earlier life has left may still be there.
    Before,
    Open,
    /// It takes nothing more.
    Over,
}

struct Desk {
    phase: Phase,
    ring: Ring,
    files: [Option<Rc<Handle>>; FILES],
    /// Not counted, here and below: partitions hold the journal.
    waiting: VecDeque<Weak<Partition>>,
    /// In order of sequence.
    flights: VecDeque<Flight>,
    /// Partitions with entries in each file, each once.
    enlisted: [Vec<Weak<Partition>>; FILES],
    /// Names the current file's use.
    round: u64,
    /// How much is under way: files being made, or stored.
    tending: usize,
    /// No file can be made before this time, nanoseconds.
    make_at: u64,
    /// Nor this one stored.
    store_at: [u64; FILES],
}

/// A frame in flight.
struct Flight {
    sequence: u64,
    file: usize,
    /// Who has what in it: up to where it makes them durable.
    ends: Vec<(Weak<Partition>, Offset)>,
    done: bool,
}

/// Where a shard's journal for the partitions of a log directory lies. (No topic's directory: those end in a dash and a number.)
pub fn directory(log_dir: &Path, shard: u32) -> PathBuf {
    log_dir.join(format!("{NAME}{shard}"))
}

const NAME: &str = "journal.";

impl Journal {
    /// A shard's journal of about `bytes` bytes; nothing of it is on disk before it is needed.
    pub fn new(
        io: Io,
        spawner: Spawner,
        strategy: WriteStrategy,
        directory: PathBuf,
        bytes: u64,
    ) -> Rc<Journal> {
        let frame = JOURNAL_FRAME_BYTES_MAX as u64;
        let file_bytes = (bytes / FILES as u64).next_multiple_of(frame).max(frame);
        Rc::new(Journal {
            life: io.random(),
            io,
            spawner,
            strategy,
            directory,
            file_bytes,
            desk: RefCell::new(Desk {
                phase: Phase::Before,
                ring: Ring::new(FILES, file_bytes),
                files: Default::default(),
                waiting: VecDeque::new(),
                flights: VecDeque::new(),
                enlisted: Default::default(),
                round: 0,
                tending: 0,
                make_at: 0,
                store_at: [0; FILES],
            }),
            work: Notice::default(),
            calm: Notice::default(),
        })
    }

    /// It may be used from now on: what earlier lives have left is [replayed](replay()) and gone.
    pub fn begin(self: &Rc<Self>) {
        self.desk.borrow_mut().phase = Phase::Open;
        let me = self.clone();
        let task = async move {
            loop {
                me.work.raised().await;
                me.gather();
            }
        };
        self.spawner.spawn(task).detach();
    }

    /// A partition has something to write.
    pub(super) fn queue(&self, partition: Weak<Partition>) {
        self.desk.borrow_mut().waiting.push_back(partition);
        self.work.raise();
    }

    /// Sends off what waits, as far as it may go.
    fn gather(self: &Rc<Self>) {
        loop {
            self.tend();
            let open = {
                let desk = self.desk.borrow();
                if desk.waiting.is_empty() {
                    return;
                }
                let open =
                    desk.phase == Phase::Open && desk.ring.ready(JOURNAL_FRAME_BYTES_MAX as u64);
                if open && desk.flights.len() >= JOURNAL_FRAMES_IN_FLIGHT_MAX {
                    return;
                }
                open
            };
            if !open {
                let waiting = std::mem::take(&mut self.desk.borrow_mut().waiting);
                let waiting = waiting.iter().filter_map(Weak::upgrade);
                waiting.for_each(|partition| partition.pass_by());
                return;
            }
            let mut draft = Draft::new(self.io.pool());
            let mut ends = Vec::new();
            while let Some(one) = self.next() {
                let Some(partition) = one.upgrade() else {
                    continue;
                };
                match partition.take(&mut draft) {
                    Taken::Entry(end) => ends.push((one, end)),
                    Taken::Nothing => {}
                    Taken::Full => {
                        self.desk.borrow_mut().waiting.push_front(one);
                        break;
                    }
                }
            }
            if !draft.is_empty() {
                self.send(draft, ends);
            }
        }
    }

    fn next(&self) -> Option<Weak<Partition>> {
        self.desk.borrow_mut().waiting.pop_front()
    }

    /// Writes a frame.
    fn send(self: &Rc<Self>, draft: Draft, ends: Vec<(Weak<Partition>, Offset)>) {
        let mut desk = self.desk.borrow_mut();
        let desk = &mut *desk;
        let place = desk.ring.take(draft.bytes()).expect("room for the longest");
        if place.pos == 0 {
            desk.round += 1;
        }
        for (one, _) in &ends {
            let first = one
                .upgrade()
                .is_some_and(|partition| partition.enlist(desk.round));
            if first {
                desk.enlisted[place.file].push(one.clone());
            }
        }
        let first = desk.flights.front();
        let done = first.map_or(place.sequence, |first| first.sequence);
        let parts = draft.seal(Head {
            life: self.life,
            sequence: place.sequence,
            kept: place.kept,
            done,
        });
        desk.flights.push_back(Flight {
            sequence: place.sequence,
            file: place.file,
            ends,
            done: false,
        });
        let file = desk.files[place.file].clone().expect("it was made");
        let me = self.clone();
        let task = async move { me.write(file, place.sequence, place.pos, parts).await };
        self.spawner.spawn(task).detach();
    }

    async fn write(self: Rc<Self>, file: Rc<Handle>, sequence: u64, pos: u64, parts: Parts) {
        let written = self.strategy.write(&self.io, *file, pos, parts, true).await;
        match written {
            Ok(()) => self.landed(sequence),
            Err(error) => self.fail(sequence, error),
        }
        self.calm.raise();
        self.work.raise();
    }

    /// A frame is durable: tells the partitions, once all before it are.
    fn landed(&self, sequence: u64) {
        {
            let mut desk = self.desk.borrow_mut();
            let mut flights = desk.flights.iter_mut();
            // It is not among them if one before it has failed.
            if let Some(flight) = flights.find(|flight| flight.sequence == sequence) {
                flight.done = true;
            }
        }
        loop {
            let flight = {
                let mut desk = self.desk.borrow_mut();
                if !desk.flights.front().is_some_and(|flight| flight.done) {
                    return;
                }
                desk.flights.pop_front().expect("just seen")
            };
            for (one, end) in flight.ends {
                if let Some(partition) = one.upgrade() {
                    partition.journaled(end);
                }
            }
        }
    }

    /// What became of a frame is unknown: nothing behind it counts, and nothing more is taken. What
    /// was in flight goes to the segments, and so does what the journal holds.
    fn fail(self: &Rc<Self>, sequence: u64, error: Errno) {
        let lost = {
            let mut desk = self.desk.borrow_mut();
            let at = desk
                .flights
                .iter()
                .position(|flight| flight.sequence == sequence);
            let Some(at) = at else {
                return;
            };
            desk.phase = Phase::Over;
            desk.tending += 1;
            desk.flights.split_off(at)
        };
        tracing::error!(
            "writing the journal in {} failed: {error}; appends are written to their segments \
             without it until the node is started again",
            self.directory.display()
        );
        for (one, _) in lost.iter().flat_map(|flight| &flight.ends) {
            if let Some(partition) = one.upgrade() {
                partition.pass_by();
            }
        }
        let me = self.clone();
        self.spawner
            .spawn(async move { me.store_everything().await })
            .detach();
    }
}
