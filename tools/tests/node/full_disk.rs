//! A disk that fills up: what was acknowledged stays, what is there is served, and when there is
//! room again the node goes on without a restart.
//!
//! Needs a small file system of its own: root and a loop device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use odradek_wire::ErrorCode;
use tempfile::TempDir;

use crate::common::{Client, LATEST, TestNode, batch, wait_until};

/// A mounted file system; goes with its end.
struct SmallDisk {
    point: PathBuf,
    _home: TempDir,
}

impl SmallDisk {
    /// Of `mib` MiB; none, saying so, where it cannot be made.
    fn new(mib: u64) -> Option<SmallDisk> {
        // SAFETY: geteuid has no preconditions.
        let root = unsafe { libc::geteuid() } == 0;
        if !root || !Path::new("/dev/loop-control").exists() {
            println!("SKIPPED: a disk that fills up needs root and a loop device");
            return None;
        }
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (image, point) = (home.path().join("image"), home.path().join("mounted"));
        let file = File::create(&image).expect("an image");
        file.set_len(mib << 20).expect("its length");
        fs::create_dir(&point).expect("a mount point");
        let run = |command: &mut Command| {
            let output = command.output();
            match output {
                Ok(output) if output.status.success() => Ok(()),
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image))
        .expect("mkfs.ext4");
        let mounted = run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&point));
        match mounted {
            Ok(()) => Some(SmallDisk { point, _home: home }),
            Err(why) if std::env::var_os("CI").is_some() => panic!("mount: {why}"),
            Err(why) => {
                println!("SKIPPED: no loop device can be mounted: {why}");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.point.join("filler")
    }

    /// Takes room until about `left` bytes are left.
    fn fill(&self, left: u64) {
        let free = nix_free(&self.point);
        let file = File::create(self.filler()).expect("a file");
        let wanted = free.saturating_sub(left) as i64;
        // SAFETY: the descriptor is open; posix_fallocate touches no memory.
        let result =
            unsafe { libc::posix_fallocate(std::os::fd::AsRawFd::as_raw_fd(&file), 0, wanted) };
        assert_eq!(result, 0, "taking {wanted} of {free} bytes");
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("the filler goes");
    }
}

fn nix_free(path: &Path) -> u64 {
    let path = std::ffi::CString::new(path.to_str().expect("text")).expect("no zero");
    // SAFETY: all zeros is a valid statvfs, and the path ends in a zero byte.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let result = unsafe { libc::statvfs(path.as_ptr(), &mut found) };
    assert_eq!(result, 0);
    found.f_bavail * found.f_frsize
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that a failing test has just killed may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
    }
}

fn value(number: i64) -> Vec<u8> {
    let mut value = vec![7; 50_000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Everything acknowledged is there, in order, at its offset.
fn check(client: &mut Client, topic: &str, stored: &[(i64, i64)]) {
    let found = client.consume(topic, 0, 0);
    for (offset, number) in stored {
        let record = &found[*offset as usize];
        assert_eq!((record.offset, &record.value), (*offset, &value(*number)));
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(disk) = SmallDisk::new(64) else {
        return;
    };
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.set_data(&disk.point.join("data"));
    node.run();
    for topic in ["busy", "calm"] {
        node.create(topic);
    }
    let mut client = node.client();
    let calm: Vec<(i64, i64)> = (0..20).map(|n| (n, n)).collect();
    for (offset, number) in &calm {
        assert_eq!(client.store("calm", 0, &batch(&[&value(*number)])), *offset);
    }
    let mut stored = Vec::new();
    let mut number = 0;
    for round in 0..3 {
        disk.fill(3 << 20);
        let error = loop {
            // Alternately with acks=1 and acks=all.
            let acks = if number % 2 == 0 { 1 } else { -1 };
            let produced = client.produce("busy", 0, acks, &batch(&[&value(number)]));
            match produced.error {
                ErrorCode::None => stored.push((produced.offset, number)),
                error => break error,
            }
            number += 1;
            assert!(stored.len() < 2000, "the disk does not fill up");
        };
        assert_eq!(error, ErrorCode::KafkaStorageError);
        node.logged("free space");
        // While it is full: all that is there is read, and other clients are served.
        check(&mut client, "busy", &stored);
        check(&mut node.client(), "calm", &calm);
        assert_eq!(client.metadata("calm", false).0, ErrorCode::None);
        if round == 1 {
            // Over a kill with the disk full.
            node.kill();
            node.run();
            client = node.client();
            check(&mut client, "busy", &stored);
        }
        disk.free();
        wait_until("records are taken again", || {
            number += 1;
            let produced = client.produce("busy", 0, -1, &batch(&[&value(number)]));
            if produced.error == ErrorCode::None {
                stored.push((produced.offset, number));
            }
            produced.error == ErrorCode::None
        });
        check(&mut client, "busy", &stored);
        number += 1;
    }
    node.create("late");
    assert_eq!(client.store("late", 0, &batch(&[b"new"])), 0);
    let end = client.list_offsets("busy", 0, LATEST).offset;
    node.stop();
    node.run();
    let mut client = node.client();
    assert_eq!(client.list_offsets("busy", 0, LATEST).offset, end);
    check(&mut client, "busy", &stored);
    check(&mut client, "calm", &calm);
}
