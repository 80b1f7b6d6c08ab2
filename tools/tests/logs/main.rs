//! `log verify` on logs made for it: what is right is called right, what is wrong is found where
//! it is.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod flips;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use odradek_engine::record::{BatchBuilder, BatchHeader, Compression};
use odradek_engine::types::{Epoch, Offset, Timestamp};
use odradek_tools::log::{Checks, Report, partitions, verify_partition};
use tempfile::TempDir;

const RECORDS: i64 = 10;

fn batch(base: i64, epoch: i32, time: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(base))
        .leader_epoch(Epoch(epoch))
        .compression(Compression::Lz4);
    for record in 0..RECORDS {
        let value = format!("value {}", base + record);
        builder
            .append(Timestamp(time), None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.build().unwrap()
}

/// A partition's directory with segments as they are named in `bytes`.
struct Log {
    root: TempDir,
    name: &'static str,
}

impl Log {
    fn new(name: &'static str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(name)).unwrap();
        Self { root, name }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join(self.name)
    }

    fn file(&self, base: i64, extension: &str) -> PathBuf {
        self.directory().join(format!("{base:020}.{extension}"))
    }

    /// Writes a segment, and gives the batches' positions.
    fn segment(&self, base: i64, batches: &[Vec<u8>]) -> Vec<u64> {
        let mut bytes = Vec::new();
        let mut positions = Vec::new();
        for batch in batches {
            positions.push(bytes.len() as u64);
            bytes.extend(batch);
        }
        fs::write(self.file(base, "log"), bytes).unwrap();
        positions
    }

    fn index(&self, base: i64, entries: &[(u32, u64)]) {
        let mut bytes = Vec::new();
        for (offset, position) in entries {
            bytes.extend(offset.to_be_bytes());
            bytes.extend((*position as u32).to_be_bytes());
        }
        fs::write(self.file(base, "index"), bytes).unwrap();
    }

    fn time_index(&self, base: i64, entries: &[(i64, u32)]) {
        let mut bytes = Vec::new();
        for (time, offset) in entries {
            bytes.extend(time.to_be_bytes());
            bytes.extend(offset.to_be_bytes());
        }
        fs::write(self.file(base, "timeindex"), bytes).unwrap();
    }

    fn change(&self, base: i64, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.file(base, "log");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    fn verify(&self) -> Report {
        self.verify_with(Checks {
            records: true,
            gaps_allowed: false,
        })
    }

    fn verify_with(&self, checks: Checks) -> Report {
        verify_partition(&self.directory(), checks).unwrap()
    }
}

/// The file's name, the position and the reason of the only fault.
fn fault(report: &Report) -> (String, u64, &str) {
    let [fault] = &report.faults[..] else {
        panic!("not one fault: {report:?}");
    };
    let name = fault.path.file_name().unwrap().to_string_lossy();
    let extension = name.rsplit_once('.').unwrap().1.to_owned();
    (extension, fault.position, &fault.reason)
}

fn assert_fault(report: &Report, extension: &str, position: u64, reason: &str) {
    let found = fault(report);
    assert_eq!(
        (found.0.as_str(), found.1),
        (extension, position),
        "{found:?}"
    );
    assert!(
        found.2.contains(reason),
        "{found:?} says nothing of {reason}"
    );
}

/// Two segments with indexes, as a node leaves them.
fn sound() -> (Log, Vec<u64>) {
    let log = Log::new("orders-0");
    let first = [batch(0, 0, 1000), batch(10, 0, 1500), batch(20, 1, 1200)];
    let positions = log.segment(0, &first);
    log.index(0, &[(19, positions[1]), (29, positions[2]), (0, 0), (0, 0)]);
    log.time_index(0, &[(1000, 9), (1500, 19), (0, 0)]);
    log.segment(30, &[batch(30, 1, 2000), batch(40, 3, 2100)]);
    log.index(30, &[]);
    (log, positions)
}

#[test]
fn a_sound_log_has_no_faults() {
    let (log, _) = sound();
    let report = log.verify();
    assert_eq!(report.faults, []);
    assert_eq!(
        (report.segments, report.batches, report.records),
        (2, 5, 50)
    );
    assert_eq!(report.offsets, Some((Offset(0), Offset(50))));
    assert_eq!(report.index_entries, 4, "without the zeros");
    assert_eq!((report.padding, report.padded.len()), (0, 0));
}

#[test]
fn zeros_behind_the_tail_are_no_fault() {
    for zeros in [1, 60, 61, 100_000] {
        let (log, _) = sound();
        log.change(30, |bytes| bytes.resize(bytes.len() + zeros, 0));
        let report = log.verify();
        assert_eq!(report.faults, [], "{zeros} zeros");
        assert_eq!(report.padding, zeros as u64);
    }
    let (log, _) = sound();
    log.change(0, |bytes| bytes.resize(bytes.len() + 4096, 0));
    let report = log.verify();
    assert_eq!(report.faults, []);
    assert_eq!(report.padded, [log.file(0, "log")], "not the last segment");
}

#[test]
fn zeros_with_something_behind_them_are_a_fault() {
    let (log, _) = sound();
    let mut end = 0;
    log.change(30, |bytes| {
        end = bytes.len() as u64;
        bytes.resize(bytes.len() + 4096, 0);
        bytes.push(1);
    });
    assert_fault(&log.verify(), "log", end, "zeros, but not");
}

#[test]
fn every_truncation_is_found_where_the_batch_begins() {
    let (log, _) = sound();
    let whole = fs::read(log.file(30, "log")).unwrap();
    let second = batch(30, 1, 2000).len();
    for length in 0..whole.len() {
        fs::write(log.file(30, "log"), &whole[..length]).unwrap();
        let report = log.verify();
        let start = if length < second { 0 } else { second };
        // A base offset of 30 or 40 begins with seven zeros.
        if length - start <= 7 {
            assert_eq!(report.faults, [], "{length}");
            assert_eq!(report.padding, (length - start) as u64);
            continue;
        }
        assert_fault(&report, "log", start as u64, "cut off");
    }
}

#[test]
fn a_flipped_bit_is_found_and_the_rest_is_looked_at() {
    let (log, positions) = sound();
    log.change(0, |bytes| bytes[positions[1] as usize + 100] ^= 4);
    let report = log.verify();
    assert_fault(&report, "log", positions[1], "CRC");
    assert_eq!(report.batches, 4, "all but the damaged one");
}

#[test]
fn offsets_that_do_not_follow_are_found() {
    let log = Log::new("orders-0");
    let positions = log.segment(0, &[batch(0, 0, 1), batch(15, 0, 1)]);
    assert_fault(&log.verify(), "log", positions[1], "is 15, but 10 is next");
    let compacted = Checks {
        records: true,
        gaps_allowed: true,
    };
    assert_eq!(log.verify_with(compacted).faults, []);
    let positions = log.segment(0, &[batch(0, 0, 1), batch(5, 0, 1)]);
    assert_fault(
        &log.verify_with(compacted),
        "log",
        positions[1],
        "is 5, but 10",
    );

    let log = Log::new("__consumer_offsets-7");
    log.segment(0, &[batch(0, 0, 1), batch(15, 0, 1)]);
    assert_eq!(log.verify().faults, [], "always compacted");
}

#[test]
fn segments_that_do_not_follow_are_found() {
    let (log, _) = sound();
    fs::rename(log.file(30, "log"), log.file(29, "log")).unwrap();
    let report = log.verify();
    assert_eq!(report.faults.len(), 2, "{report:?}");
    assert!(
        report.faults[0]
            .reason
            .contains("begins at offset 29, but 30")
    );
    assert!(report.faults[1].reason.contains("is 30, but 29 is next"));
}

#[test]
fn epochs_that_fall_are_found() {
    let log = Log::new("orders-0");
    let positions = log.segment(0, &[batch(0, 4, 1), batch(10, 3, 1), batch(20, 4, 1)]);
    assert_fault(&log.verify(), "log", positions[1], "falls from 4 to 3");
}

#[test]
fn records_are_opened_only_if_asked_to() {
    let log = Log::new("orders-0");
    log.segment(0, &[batch(0, 0, 1)]);
    // A count that the records do not have, under a CRC that says so.
    log.change(0, |bytes| {
        bytes[57..61].copy_from_slice(&9i32.to_be_bytes());
        let header = BatchHeader::view(bytes).unwrap();
        let crc = crc32c::crc32c_append(header.crc_start(), &bytes[61..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    });
    assert_eq!(log.verify_with(Checks::default()).faults, []);
    assert_fault(&log.verify(), "log", 0, "left over");
}

#[test]
fn index_entries_that_lead_astray_are_found() {
    let (log, positions) = sound();
    log.index(0, &[(19, positions[1]), (29, positions[2] + 1)]);
    assert_fault(&log.verify(), "index", 8, "inside a batch");
    log.index(0, &[(9, positions[1])]);
    assert_fault(&log.verify(), "index", 0, "begins at 10");
    log.index(0, &[(29, 1 << 20)]);
    assert_fault(&log.verify(), "index", 0, "the segment ends");
    fs::write(log.file(0, "index"), [0; 9]).unwrap();
    assert_fault(&log.verify(), "index", 0, "9 bytes");
}

#[test]
fn time_index_entries_that_lead_astray_are_found() {
    let (log, _) = sound();
    log.time_index(0, &[(1000, 9), (1100, 29)]);
    assert_fault(&log.verify(), "timeindex", 12, "time 1500");
    log.time_index(0, &[(1500, 30)]);
    assert_fault(&log.verify(), "timeindex", 0, "offset 30");
}

#[test]
fn partitions_are_found_from_above_and_as_themselves() {
    let (log, _) = sound();
    let root = log.root.path();
    for name in ["empty-0", "gone-0.0123-delete"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::write(root.join("gone-0.0123-delete/00000000000000000000.log"), []).unwrap();
    fs::write(root.join("meta.properties"), "").unwrap();
    assert_eq!(partitions(root).unwrap(), [log.directory()]);
    assert_eq!(partitions(&log.directory()).unwrap(), [log.directory()]);
    assert!(partitions(&root.join("nowhere")).is_err());
}

fn odradek(arguments: &[&str], path: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_odradek"))
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_program_says_where_and_exits_with_one() {
    let (log, positions) = sound();
    let (code, out, err) = odradek(&["log", "verify", "--records"], log.root.path());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.starts_with("orders-0: ok: offsets 0 to 49, 50 records,"),
        "{out}"
    );

    let (code, out, _) = odradek(&["log", "dump", "--records"], &log.directory());
    assert_eq!(code, Some(0));
    assert!(
        out.contains("  49 1970-01-01T00:00:02.100Z null \"value 49\""),
        "{out}"
    );

    log.change(0, |bytes| bytes[positions[2] as usize + 70] ^= 1);
    let (code, out, _) = odradek(&["log", "verify"], log.root.path());
    assert_eq!(code, Some(1));
    let place = format!("00000000000000000000.log at byte {}:", positions[2]);
    let line = out.lines().next().unwrap();
    assert!(
        line.starts_with("orders-0: FAULT: ") && line.contains(&place),
        "{out}"
    );

    let (code, out, _) = odradek(&["log", "dump"], &log.directory());
    assert_eq!(code, Some(1));
    assert!(
        out.contains(&format!("FAULT at byte {}", positions[2])),
        "{out}"
    );

    let (code, _, err) = odradek(&["log", "verify"], Path::new("/nowhere"));
    assert_eq!(code, Some(1));
    assert!(err.contains("/nowhere"), "{err}");
}
