use std::collections::BTreeMap;

use proptest::prelude::*;

use super::frame::{Draft, HEAD_BYTES, Head, read};
use super::redo::Redo;
use super::ring::{Need, Ring};
use super::scan::{Scanned, Seen, missing, order, scan};
use super::*;
use crate::bytes::{PAGE, Part, Pool};
use crate::limits::JOURNAL_FRAME_BYTES_MAX;

const SECTOR: usize = 512;
const LIFE: u64 = 77;

fn entry(partition: u8, base: i64, count: i64, position: u64) -> Entry {
    Entry {
        key: [partition; 20],
        epoch: Epoch(3),
        base: Offset(base),
        next: Offset(base + count),
        segment: Offset(0),
        position: Position(position),
    }
}

fn head(sequence: u64) -> Head {
    Head {
        life: LIFE,
        sequence,
        kept: 0,
        done: sequence,
    }
}

/// A frame's bytes, padding included.
fn frame(pool: &Pool, head: Head, entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut draft = Draft::new(pool);
    for (entry, bytes) in entries {
        draft.push(entry, &[Part::Owned(bytes.clone())]);
    }
    let bytes = draft.bytes();
    let parts = draft.seal(head);
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].len() as u64, bytes);
    parts[0].bytes().to_vec()
}

fn sample(pool: &Pool) -> Vec<u8> {
    let entries = [
        (entry(1, 5, 2, 300), vec![1; 3000]),
        (entry(2, 0, 1, 0), vec![2; 2500]),
        (entry(1, 7, 1, 3300), vec![3; 4000]),
    ];
    frame(pool, head(9), &entries)
}

#[test]
fn a_frame_says_what_was_put_in() {
    let pool = Pool::new();
    let bytes = sample(&pool);
    assert_eq!(bytes.len() % PAGE, 0);
    let frame = read(&bytes, LIFE).expect("whole");
    assert_eq!(frame.head, head(9));
    let entries: Vec<_> = frame.entries().collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0], (entry(1, 5, 2, 300), &[1; 3000][..]));
    assert_eq!(entries[2], (entry(1, 7, 1, 3300), &[3; 4000][..]));
}

#[test]
fn a_frame_torn_at_any_sector_is_none() {
    let pool = Pool::new();
    let good = sample(&pool);
    let length = read(&good, LIFE).expect("whole").bytes;
    for old in [0u8, 0xa5] {
        for at in (0..length).step_by(SECTOR) {
            // From there on nothing arrived, or only this sector did not.
            for end in [good.len(), (at + SECTOR).min(good.len())] {
                let mut torn = good.clone();
                torn[at..end].fill(old);
                assert!(read(&torn, LIFE).is_err(), "sector at {at} to {end}");
            }
        }
    }
}

#[test]
fn every_bit_counts_and_nothing_is_read_past_the_end() {
    let pool = Pool::new();
    let good = frame(&pool, head(1), &[(entry(1, 0, 1, 0), vec![9; 70])]);
    let length = read(&good, LIFE).expect("whole").bytes;
    for at in 0..length {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(read(&bad, LIFE).is_err(), "byte {at}, bit {bit}");
        }
        assert!(read(&good[..at], LIFE).is_err(), "cut at {at}");
    }
    assert!(read(&good, LIFE + 1).is_err(), "another life's");
}

#[test]
fn a_draft_takes_what_fits() {
    let pool = Pool::new();
    let mut draft = Draft::new(&pool);
    let most = JOURNAL_FRAME_BYTES_MAX - HEAD_BYTES - frame::ENTRY_HEAD_BYTES;
    assert!(draft.is_empty() && draft.fits(most) && !draft.fits(most + 1));
    draft.push(&entry(1, 0, 1, 0), &[Part::Owned(vec![1; most])]);
    assert!(!draft.is_empty() && !draft.fits(0));
    assert_eq!(draft.bytes(), JOURNAL_FRAME_BYTES_MAX as u64);
}

#[test]
fn a_ring_asks_for_files_and_uses_none_again_before_it_is_stored() {
    let never = |_| false;
    let mut ring = Ring::new(2, 3 * PAGE as u64);
    assert_eq!(ring.need(never), Some(Need::Make(0)));
    assert!(ring.take(PAGE as u64).is_none());
    ring.made(0);
    assert_eq!(ring.need(never), None);
    let pages = |ring: &mut Ring, pages: u64| ring.take(pages * PAGE as u64);
    let places: Vec<_> = (0..3)
        .map(|_| pages(&mut ring, 1).expect("a place"))
        .collect();
    assert!(
        places
            .iter()
            .all(|place| place.file == 0 && place.kept == 0)
    );
    assert_eq!(places[2].pos, 2 * PAGE as u64);
    assert_eq!(ring.need(never), Some(Need::Make(1)));
    assert!(pages(&mut ring, 1).is_none(), "it is full");
    ring.made(1);
    let place = pages(&mut ring, 2).expect("a place");
    assert_eq!(
        (place.file, place.pos, place.sequence, place.kept),
        (1, 0, 3, 0)
    );
    // Two pages do not fit any more, and there is nowhere else.
    assert!(!ring.ready(2 * PAGE as u64) && ring.ready(PAGE as u64));
    assert_eq!(ring.need(never), Some(Need::Store(0)));
    assert_eq!(ring.need(|file| file == 0), None);
    ring.stored(0);
    let place = pages(&mut ring, 2).expect("a place");
    assert_eq!(
        (place.file, place.pos, place.sequence, place.kept),
        (0, 0, 4, 3)
    );
    assert!(!ring.ready(4 * PAGE as u64), "longer than a file");
}

#[test]
fn a_ring_asks_for_the_next_file_when_half_of_one_is_full() {
    let frame = JOURNAL_FRAME_BYTES_MAX as u64;
    let mut ring = Ring::new(2, 64 * frame);
    ring.made(0);
    for number in 1..64 {
        ring.take(frame).expect("a place");
        let asked = ring.need(|_| false) == Some(Need::Make(1));
        assert_eq!(asked, number >= 32, "after {number} frames");
    }
}

#[test]
fn a_frame_that_is_damaged_is_missed_and_those_behind_it_are_not() {
    let pool = Pool::new();
    let sizes = [3000, 9000, 100, 5000];
    let mut file = Vec::new();
    let mut places = Vec::new();
    for (sequence, size) in (0..).zip(sizes) {
        let entries = [(entry(1, sequence, 1, 0), vec![1; size])];
        places.push(file.len());
        file.extend(frame(&pool, head(sequence as u64), &entries));
    }
    file.resize(file.len() + 3 * PAGE, 0);
    let look = |file: &[u8]| {
        let mut seen = Vec::new();
        let end = scan(&mut seen, 0, 0, file, LIFE, true);
        assert!(matches!(end, Scanned::End(_)));
        let sequences: Vec<u64> = seen.iter().map(|one| one.head.sequence).collect();
        (sequences, missing(&seen))
    };
    assert_eq!(look(&file), (vec![0, 1, 2, 3], None));
    for (damaged, place) in places.into_iter().enumerate() {
        let mut file = file.clone();
        file[place..place + PAGE].fill(0);
        let (sequences, missing) = look(&file);
        let others: Vec<u64> = (0..4).filter(|other| *other != damaged as u64).collect();
        assert_eq!(sequences, others);
        // Of the last one nothing says that it was whole.
        let told = (damaged < 3).then_some((damaged as u64, 1));
        assert_eq!(missing, told);
    }
}

#[test]
fn frames_that_may_have_been_in_flight_count_up_to_the_first_that_is_missing() {
    let seen = |sequence, kept, done| Seen {
        file: 0,
        pos: 0,
        bytes: 1,
        head: Head {
            life: LIFE,
            sequence,
            kept,
            done,
        },
    };
    let sequences =
        |seen: Vec<Seen>| -> Vec<u64> { order(seen).iter().map(|one| one.head.sequence).collect() };
    // 6 and 7 were in flight beside 8; 7 is torn.
    let all = vec![seen(8, 0, 6), seen(5, 0, 4), seen(4, 0, 4), seen(6, 0, 5)];
    assert_eq!(sequences(all), [4, 5, 6]);
    // What is not needed is left out; a file that was used again leaves a hole before *done*.
    let all = vec![seen(1, 0, 1), seen(3, 2, 3), seen(9, 3, 9), seen(10, 3, 9)];
    assert_eq!(sequences(all), [3, 9, 10]);
    assert_eq!(sequences(vec![]), [0; 0]);
}

#[test]
fn runs_that_meet_are_one_and_falling_epochs_are_refused() {
    let mut redo = Redo::default();
    redo.add(&entry(1, 0, 1, 100), &[1; 10]).expect("taken");
    redo.add(&entry(2, 0, 1, 0), &[2; 10]).expect("taken");
    redo.add(&entry(1, 1, 1, 110), &[3; 5]).expect("taken");
    redo.add(&entry(1, 9, 1, 200), &[4; 5]).expect("taken");
    let stale = Entry {
        epoch: Epoch(2),
        ..entry(1, 10, 1, 205)
    };
    assert!(redo.add(&stale, &[5; 5]).is_err());
    assert_eq!(redo.bytes(), 30);
    let ends: Vec<_> = redo.ends().map(|(key, end)| (key[0], end.0)).collect();
    assert_eq!(ends, [(1, 10), (2, 1)]);
    let runs = redo.take();
    assert_eq!(redo.bytes(), 0);
    let of_1: Vec<_> = runs[&[1; 20]]
        .iter()
        .map(|run| (run.pos, run.bytes.len()))
        .collect();
    assert_eq!(of_1, [(100, 15), (200, 5)]);
}

/// Place, frame, and the partitions' ends by it.
type InFlight = (ring::Place, Vec<u8>, Vec<(usize, usize)>);

/// Files in memory, and what a journal that writes to them promises.
struct Model {
    pool: Pool,
    ring: Ring,
    files: Vec<Vec<u8>>,
    /// Bytes of each partition's log, as appended.
    logs: Vec<Vec<u8>>,
    /// Up to where each is durable in its segment.
    stored: Vec<usize>,
    /// The same by the journal.
    journaled: Vec<usize>,
    flying: Vec<InFlight>,
}

const FILES: usize = 3;
const FILE_BYTES: usize = 4 * PAGE;
const PARTITIONS: usize = 3;

#[derive(Clone, Debug)]
enum Event {
    /// A frame of so many bytes for each partition.
    Frame([usize; PARTITIONS]),
    /// The oldest in flight completes, or the one after it.
    Land(bool),
    Store(usize),
}

impl Model {
    fn new() -> Self {
        Model {
            pool: Pool::new(),
            ring: Ring::new(FILES, FILE_BYTES as u64),
            files: vec![vec![0; FILE_BYTES]; FILES],
            logs: vec![Vec::new(); PARTITIONS],
            stored: vec![0; PARTITIONS],
            journaled: vec![0; PARTITIONS],
            flying: Vec::new(),
        }
    }

    /// Makes room as a shard would: all is stored.
    fn tend(&mut self) {
        match self.ring.need(|_| false) {
            Some(Need::Make(file)) => self.ring.made(file),
            Some(Need::Store(file)) if !self.flying.iter().any(|one| one.0.file == file) => {
                self.stored.clone_from(&self.journaled);
                self.ring.stored(file);
            }
            _ => {}
        }
    }

    fn step(&mut self, event: &Event, number: u8) {
        match event {
            Event::Frame(lengths) => {
                self.tend();
                let room = self.ring.ready(2 * PAGE as u64);
                if !room || self.flying.len() == 2 || lengths.iter().all(|len| *len == 0) {
                    return;
                }
                let mut draft = Draft::new(&self.pool);
                let mut ends = Vec::new();
                for (partition, len) in lengths.iter().enumerate().filter(|(_, len)| **len > 0) {
                    let log = &mut self.logs[partition];
                    let from = log.len();
                    // An offset per byte.
                    let entry = entry(partition as u8, from as i64, *len as i64, from as u64);
                    log.extend(std::iter::repeat_n(number, *len));
                    draft.push(&entry, &[Part::Owned(log[from..].to_vec())]);
                    ends.push((partition, log.len()));
                }
                let done = self.flying.first().map(|one| one.0.sequence);
                let done = done.unwrap_or(self.ring.sequence());
                let place = self.ring.take(draft.bytes()).expect("there was room");
                let head = Head {
                    life: LIFE,
                    sequence: place.sequence,
                    kept: place.kept,
                    done,
                };
                let frame = draft.seal(head)[0].bytes().to_vec();
                self.flying.push((place, frame, ends));
            }
            // Out of order: it is on disk, and nobody is told before the first is.
            Event::Land(true) if self.flying.len() > 1 => {
                let (place, frame, _) = self.flying[1].clone();
                self.put(place, &frame);
            }
            Event::Land(_) if !self.flying.is_empty() => {
                let (place, frame, ends) = self.flying.remove(0);
                self.put(place, &frame);
                for (partition, end) in ends {
                    self.journaled[partition] = end;
                }
            }
            Event::Store(partition) => {
                self.stored[*partition] = self.journaled[*partition];
            }
            Event::Land(_) => {}
        }
    }

    fn put(&mut self, place: ring::Place, frame: &[u8]) {
        let at = place.pos as usize;
        self.files[place.file][at..at + frame.len()].copy_from_slice(frame);
    }

    /// The power is cut: of what is in flight any sectors arrive.
    fn crash(&mut self, mut luck: u64) {
        for (place, frame, _) in std::mem::take(&mut self.flying) {
            for (number, sector) in frame.chunks(SECTOR).enumerate() {
                luck = luck
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                if luck >> 62 != 0 {
                    let at = place.pos as usize + number * SECTOR;
                    self.files[place.file][at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }

    /// Each partition's segment after a replay.
    fn replay(&self, chunk: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            let mut pos = 0;
            loop {
                let end = (pos + chunk).min(file.len());
                let last = end == file.len();
                match scan(&mut seen, number, pos as u64, &file[pos..end], LIFE, last) {
                    Scanned::On(next) => pos = next as usize,
                    Scanned::End(_) => break,
                }
            }
        }
        let mut redo = Redo::default();
        for one in order(seen) {
            let bytes = &self.files[one.file][one.pos as usize..];
            for (entry, bytes) in read(bytes, LIFE).expect("it was seen").entries() {
                redo.add(&entry, bytes).expect("one epoch");
            }
        }
        let mut runs: BTreeMap<_, _> = redo.take();
        let segment = |partition: usize| {
            let mut segment = self.logs[partition][..self.stored[partition]].to_vec();
            for run in runs.remove(&[partition as u8; 20]).unwrap_or_default() {
                let end = run.pos as usize + run.bytes.len();
                assert!(run.pos as usize <= segment.len(), "a gap");
                segment.resize(segment.len().max(end), 0);
                segment[run.pos as usize..end].copy_from_slice(&run.bytes);
            }
            segment
        };
        (0..PARTITIONS).map(segment).collect()
    }
}

fn event() -> impl Strategy<Value = Event> {
    let len = prop_oneof![Just(0usize), 1usize..200, 1000usize..2000];
    prop_oneof![
        4 => prop::array::uniform3(len).prop_map(Event::Frame),
        3 => any::<bool>().prop_map(Event::Land),
        1 => (0..PARTITIONS).prop_map(Event::Store),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Many times around the ring, torn at any sector: what was promised is there, and nothing is
    /// there that was not appended.
    #[test]
    fn what_was_durable_is_put_in_place(
        events in prop::collection::vec(event(), 1..120),
        luck: u64,
    ) {
        let mut model = Model::new();
        for (number, event) in events.iter().enumerate() {
            model.step(event, number as u8);
        }
        model.crash(luck);
        for (partition, segment) in model.replay(JOURNAL_FRAME_BYTES_MAX).iter().enumerate() {
            let promised = model.journaled[partition].max(model.stored[partition]);
            prop_assert!(segment.len() >= promised, "partition {}", partition);
            prop_assert_eq!(&segment[..], &model.logs[partition][..segment.len()]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut body: Vec<u8>, claimed in 0u32..300) {
        let pool = Pool::new();
        let mut bytes = frame(&pool, head(0), &[]);
        body.truncate(PAGE - HEAD_BYTES);
        bytes[HEAD_BYTES..HEAD_BYTES + body.len()].copy_from_slice(&body);
        bytes[12..16].copy_from_slice(&claimed.to_be_bytes());
        if let Some(frame) = bytes.get(..claimed as usize).filter(|frame| frame.len() >= HEAD_BYTES) {
            let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..8]), &frame[12..]);
            bytes[8..12].copy_from_slice(&crc.to_be_bytes());
        }
        if let Ok(frame) = read(&bytes, LIFE) {
            let entries = frame.entries().map(|(_, own)| own.len() + frame::ENTRY_HEAD_BYTES);
            prop_assert_eq!(entries.sum::<usize>() + HEAD_BYTES, claimed as usize);
        }
    }
}
