//! What lies on disk, and the settings: read at every start, after whatever happened to it.

use odradek_engine::bytes::{PAGE, Part, Pool};
use odradek_engine::log::Aborted;
use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::compaction::OffsetCheckpoint;
use odradek_engine::log::epochs::Epochs;
use odradek_engine::log::index::{OffsetIndex, OffsetPosition, TimeIndex, TimestampOffset};
use odradek_engine::log::journal::Entry;
use odradek_engine::log::journal::frame::{Draft, Head, read as read_frame};
use odradek_engine::log::journal::redo::Redo;
use odradek_engine::log::journal::scan::{order, scan};
use odradek_engine::log::producers::Producers;
use odradek_engine::log::recovery::{EpochBound, Step, step};
use odradek_engine::log::state_file;
use odradek_engine::record::{OpenBatch, Rules, validate};
use odradek_engine::types::{Epoch, Offset, Position, ProducerId, Timestamp};
use odradek_shards::catalog::Image;
use odradek_shards::catalog::records::fold;
use odradek_shards::config::Settings;
use odradek_shards::coordinators::groups::codec::decode_record;

use crate::Target;
use crate::seeds::{batches, golden, reseal};

/// Recovers a segment as a start after a kill does.
fn recover(bytes: &[u8]) {
    let (mut at, mut next, mut least) = (0, Offset(0), Epoch(0));
    loop {
        let epoch = EpochBound { least, told: None };
        let Step::Batch(info) = step(&bytes[at..], next, epoch, None, true) else {
            return;
        };
        assert!(info.size > 0 && at + info.size <= bytes.len());
        assert_eq!(info.base_offset, next);
        at += info.size;
        (next, least) = (info.next_offset(), info.leader_epoch);
    }
}

#[test]
fn segments() {
    let mut whole = batches().concat();
    whole.extend([0; 200]);
    Target {
        name: "segments",
        read: recover,
        seeds: vec![batches().concat(), whole, batches()[..2].concat()],
        reseal: Some(reseal),
        fixed: 4 << 10,
        per_byte: 1,
    }
    .fuzz();
}

/// The kind of file (one byte), its contents.
fn side_file(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 9 {
        0 => drop(Epochs::from_checkpoint(bytes)),
        1 => drop(Producers::from_recent(bytes)),
        2 => drop(state_file::read(bytes)),
        3 => drop(Checkpoint::decode(bytes)),
        4 => drop(OffsetIndex::parse(Offset(5), bytes, Position(1 << 20))),
        5 => drop(Aborted::from_index(bytes)),
        6 => drop(OffsetCheckpoint::parse(bytes, "a-topic", 3)),
        7 => drop(Producers::from_snapshot(bytes)),
        _ => drop(TimeIndex::parse(Offset(5), bytes, Offset(1 << 20))),
    }
}

fn side_files() -> Vec<Vec<u8>> {
    let mut producers = Producers::new();
    for batch in batches() {
        let info = validate(&batch, &Rules::LOG).expect("valid");
        producers.applied(&info, info.max_timestamp);
    }
    let checkpoint = Checkpoint {
        segment: Offset(0),
        end: OffsetPosition {
            offset: Offset(9),
            position: Position(700),
        },
        batch: Position(500),
        epoch: Epoch(2),
        started: Timestamp(1),
        latest: TimestampOffset {
            timestamp: Timestamp(9),
            offset: Offset(3),
        },
        producers: producers.to_snapshot(),
        aborted: vec![Aborted {
            producer_id: ProducerId(1),
            first: Offset(2),
            last: Offset(5),
            stable: Offset(6),
        }],
    };
    let aborted = Aborted::to_index(&checkpoint.aborted);
    let mut encoded = Vec::new();
    checkpoint.encode(&mut encoded);
    let key = [7; 20];
    let (state, _) = state_file::write([(&key, encoded.as_slice())].into_iter());
    let mut offsets = OffsetIndex::new(Offset(5));
    offsets.append(Offset(9), Position(100));
    offsets.append(Offset(20), Position(4000));
    let mut times = TimeIndex::new(Offset(5));
    times.append(Timestamp(100), Offset(9));
    times.append(Timestamp(200), Offset(20));
    let files = [
        b"0\n2\n3 0\n5 4\n".to_vec(),
        producers.to_snapshot(),
        state,
        encoded,
        offsets.as_bytes().to_vec(),
        aborted,
        OffsetCheckpoint::text("a-topic", 3, Offset(1234)).into_bytes(),
        producers.to_snapshot(),
        times.as_bytes().to_vec(),
    ];
    let files = files.into_iter().zip(0u8..);
    files
        .map(|(bytes, kind)| [vec![kind], bytes].concat())
        .collect()
}

/// Makes the checksum of a state file or a snapshot right.
fn reseal_side(input: &mut [u8]) {
    let Some((kind, bytes)) = input.split_first_mut() else {
        return;
    };
    match *kind % 9 {
        // Version, then the CRC of what follows it.
        1 | 7 if bytes.len() > 6 => {
            let crc = crc32c::crc32c(&bytes[6..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        }
        2 => {
            if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
                *crc = crc32c::crc32c(body).to_be_bytes();
            }
        }
        _ => {}
    }
}

#[test]
fn files_beside_segments() {
    Target {
        name: "side-files",
        read: side_file,
        seeds: side_files(),
        reseal: Some(reseal_side),
        fixed: 16 << 10,
        per_byte: 64,
    }
    .fuzz();
}

const LIFE: u64 = 7;

/// A journal's file after a crash, as it is put back.
fn journal(bytes: &[u8]) {
    let (mut seen, mut redo) = (Vec::new(), Redo::default());
    scan(&mut seen, 0, 0, bytes, LIFE, true);
    let (mut entries, mut kept) = (0, 0);
    for one in order(seen) {
        let frame = &bytes[one.pos as usize..one.pos as usize + one.bytes];
        let frame = read_frame(frame, LIFE).expect("it was whole a moment ago");
        for (entry, own) in frame.entries() {
            entries += own.len();
            kept += usize::from(redo.add(&entry, own).is_ok()) * own.len();
        }
    }
    assert!(entries <= bytes.len() && redo.bytes() == kept);
    let runs = redo.take().into_values().flatten();
    assert_eq!(runs.map(|run| run.bytes.len()).sum::<usize>(), kept);
}

/// Frames one after the other, each of some entries.
fn journal_file(frames: u64, epoch: i32) -> Vec<u8> {
    let pool = Pool::new();
    let (mut file, mut at) = (Vec::new(), 0);
    for sequence in 0..frames {
        let mut draft = Draft::new(&pool);
        for index in 0..3u8 {
            let own = vec![index; 700 * (1 + usize::from(index))];
            let entry = Entry {
                key: [index; 20],
                epoch: Epoch(epoch),
                base: Offset(at),
                next: Offset(at + 1),
                segment: Offset(0),
                position: Position(at as u64 * own.len() as u64),
            };
            draft.push(&entry, &[Part::Owned(own)]);
        }
        at += 1;
        let head = Head {
            life: LIFE,
            sequence,
            kept: sequence / 2,
            done: sequence,
        };
        let parts = draft.seal(head);
        parts
            .iter()
            .for_each(|part| file.extend_from_slice(part.bytes()));
    }
    file
}

/// Makes the checksums of all frames right that have a length.
fn reseal_journal(input: &mut [u8]) {
    for page in (0..input.len()).step_by(PAGE) {
        let frame = &mut input[page..];
        let length = frame.get(12..16).map(|length| {
            let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
            length as usize
        });
        if let Some(length) = length.filter(|length| (16..=frame.len()).contains(length))
            && frame.starts_with(b"ODJF")
        {
            let crc = crc32c::crc32c(&frame[..8]);
            let crc = crc32c::crc32c_append(crc, &frame[12..length]);
            frame[8..12].copy_from_slice(&crc.to_be_bytes());
        }
    }
}

#[test]
fn journals() {
    Target {
        name: "journals",
        read: journal,
        seeds: vec![journal_file(1, 0), journal_file(5, 0), journal_file(3, 9)],
        reseal: Some(reseal_journal),
        fixed: 64 << 10,
        per_byte: 8,
    }
    .fuzz();
}

/// Metadata records, each behind its length (two bytes), in one batch.
fn metadata(input: &[u8]) {
    let mut builder = odradek_engine::record::BatchBuilder::new();
    let mut rest = input;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (value, after) = after.split_at(length);
        let appended = builder.append(Timestamp(1), None, Some(value), &[]);
        appended.expect("a record of a few bytes");
        rest = after;
    }
    if let Ok(batch) = builder.build() {
        let _ = fold(&mut Image::default(), &batch);
    }
}

#[test]
fn metadata_records() {
    let kinds = odradek_wire_records();
    Target {
        name: "metadata",
        read: metadata,
        seeds: kinds,
        reseal: None,
        fixed: 64 << 10,
        per_byte: 1024,
    }
    .fuzz();
}

/// Each metadata record that Kafka's classes wrote, in its frame, alone.
fn odradek_wire_records() -> Vec<Vec<u8>> {
    // By name: the numbers of the record types stand in their frames only.
    let types = [
        ("RegisterBrokerRecord", 0u8),
        ("TopicRecord", 2),
        ("PartitionRecord", 3),
        ("ConfigRecord", 4),
        ("PartitionChangeRecord", 5),
        ("RemoveTopicRecord", 9),
        ("FeatureLevelRecord", 12),
        ("ProducerIdsRecord", 15),
        ("BrokerRegistrationChangeRecord", 17),
        ("NoOpRecord", 20),
        ("RegisterControllerRecord", 27),
    ];
    let mut seeds = Vec::new();
    for golden in golden() {
        let Some((_, kind)) = types.iter().find(|(name, _)| *name == golden.name) else {
            continue;
        };
        // Frame version 1, then type and version; all below 128, so one byte each.
        let mut value = vec![1, *kind, golden.version as u8];
        value.extend(golden.bytes);
        let mut input = (value.len() as u16).to_be_bytes().to_vec();
        input.extend(value);
        seeds.push(input);
    }
    assert!(seeds.len() > 20, "{} records", seeds.len());
    let all = seeds.concat();
    seeds.push(all);
    seeds
}

/// A record of `__consumer_offsets`: the key behind its length (one byte), then the value.
fn group_record(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else {
        return;
    };
    let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
    let _ = decode_record(key, Some(value));
    let _ = decode_record(key, None);
}

#[test]
fn group_records() {
    let values = ["OffsetCommitValue", "GroupMetadataValue"];
    // Keys are of version 0, 1 (offset commits) and 2 (groups).
    let mut seeds = Vec::new();
    for golden in golden() {
        let Some(kind) = values.iter().position(|name| *name == golden.name) else {
            continue;
        };
        let key: &[u8] = match kind {
            0 => b"\0\x01\0\x01g\0\x01t\0\0\0\0",
            _ => b"\0\x02\0\x01g",
        };
        let mut input = vec![key.len() as u8];
        input.extend(key);
        input.extend(golden.version.to_be_bytes());
        input.extend(golden.bytes);
        seeds.push(input);
    }
    assert!(seeds.len() > 4, "{} records", seeds.len());
    Target {
        name: "group-records",
        read: group_record,
        seeds,
        reseal: None,
        fixed: 16 << 10,
        per_byte: 512,
    }
    .fuzz();
}

#[test]
fn settings() {
    let file = include_str!("../../../config/server.properties");
    let all: String = file
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.contains('='))
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    let few = "node.id=3\nlisteners=PLAINTEXT://:9092\nshards=2\nlog.dirs=/tmp/x\n";
    Target {
        name: "settings",
        read: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Err(error) = Settings::load(Some(&text), &[]) {
                assert!(!error.to_string().is_empty());
            }
        },
        seeds: vec![few.into(), all.into_bytes(), file.as_bytes().to_vec()],
        reseal: None,
        fixed: 1 << 20,
        per_byte: 256,
    }
    .fuzz();
}

/// Records of a batch from the log, as a search for a time opens it.
#[test]
fn batches_of_the_log() {
    Target {
        name: "log-batches",
        read: |bytes| {
            let mut scratch = Vec::new();
            if let Ok(info) = validate(bytes, &Rules::LOG)
                && let Ok(open) = OpenBatch::open(bytes, info, &mut scratch)
            {
                for record in open.records() {
                    let Ok(record) = record else { break };
                    std::hint::black_box((open.offset_of(&record), open.timestamp_of(&record)));
                }
            }
        },
        seeds: batches(),
        reseal: Some(reseal),
        fixed: 3 * odradek_engine::limits::RECORDS_OPENED_BYTES_MAX,
        per_byte: 0,
    }
    .fuzz();
}
