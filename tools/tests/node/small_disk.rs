//! A small file system of a test's own: it fills up, turns read-only, or loses its device.
//!
//! Needs root and a loop device.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{skip, wait_until};

/// A mounted ext4; goes with its end.
pub struct SmallDisk {
    image: PathBuf,
    point: PathBuf,
    /// Where the image lies, if that is a file system of its own, too.
    below: Option<PathBuf>,
    _home: TempDir,
}

impl SmallDisk {
    /// Of `mib` MiB; none, after [`skip`], where it cannot be made.
    pub fn new(mib: u64) -> Option<SmallDisk> {
        let home = allowed()?;
        let image = home.path().join("image");
        Self::make(home, image, None, mib)
    }

    /// The same, on a device that only has memory for what is written to it: see
    /// [`break_device`](Self::break_device).
    pub fn on_memory(mib: u64) -> Option<SmallDisk> {
        let home = allowed()?;
        let below = home.path().join("below");
        fs::create_dir(&below).expect("a mount point");
        let size = format!("size={mib}M");
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&below));
        if let Err(why) = mounted {
            skip(&format!("a disk of its own needs to mount a tmpfs: {why}"));
            return None;
        }
        let image = below.join("image");
        Self::make(home, image, Some(below), mib)
    }

    fn make(home: TempDir, image: PathBuf, below: Option<PathBuf>, mib: u64) -> Option<SmallDisk> {
        let point = home.path().join("mounted");
        let file = File::create(&image).expect("an image");
        file.set_len(mib << 20).expect("its length");
        fs::create_dir(&point).expect("a mount point");
        let mkfs = ["-q", "-F", "-m", "0"];
        run(Command::new("mkfs.ext4").args(mkfs).arg(&image)).expect("mkfs.ext4");
        let disk = SmallDisk {
            image,
            point,
            below,
            _home: home,
        };
        match disk.mount() {
            Ok(()) => Some(disk),
            Err(why) => {
                skip(&format!(
                    "a disk of its own needs to mount a loop device: {why}"
                ));
                None
            }
        }
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-o", "loop,errors=remount-ro"])
            .arg(&self.image)
            .arg(&self.point))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Takes room until about `left` bytes are left.
    pub fn fill(&self, left: u64) {
        take_room(&self.point, left);
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.point.join("filler")).expect("the filler goes");
    }

    /// From now on it is read-only, as after an error that the kernel has found: not even root
    /// may change that back.
    pub fn turn_read_only(&self) {
        let mut command = Command::new("findmnt");
        let output = command.args(["-no", "SOURCE"]).arg(&self.point).output();
        let source = String::from_utf8(output.expect("findmnt").stdout).expect("text");
        let device = source.trim().rsplit('/').next().expect("a device");
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(trigger, "for a test\n").expect("an error");
    }

    /// The device takes nothing more that it has not had before: writes fail below the file
    /// system, and flushes too.
    pub fn break_device(&self) {
        let below = self.below.as_ref().expect("a disk on memory");
        take_room(below, 8192);
    }

    /// As an administrator does, once nobody uses it: unmounted, repaired, mounted.
    pub fn repair(&self) {
        wait_until("it is unmounted", || {
            run(Command::new("umount").arg(&self.point)).is_ok()
        });
        if let Some(below) = &self.below {
            let _ = fs::remove_file(below.join("filler"));
        }
        // 1: errors were corrected.
        let checked = Command::new("e2fsck").arg("-fy").arg(&self.image).output();
        let checked = checked.expect("e2fsck");
        let code = checked.status.code();
        assert!(matches!(code, Some(0 | 1)), "e2fsck: {checked:?}");
        self.mount().expect("mounted again");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that a failing test has just killed may still hold it.
        for point in [Some(&self.point), self.below.as_ref()]
            .into_iter()
            .flatten()
        {
            let _ = Command::new("umount").arg("-l").arg(point).status();
        }
    }
}

fn allowed() -> Option<TempDir> {
    // SAFETY: geteuid has no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root || !Path::new("/dev/loop-control").exists() {
        skip("a disk of its own needs root and a loop device (/dev/loop-control: modprobe loop)");
        return None;
    }
    Some(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory"))
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Of a file system, until about `left` bytes are left.
fn take_room(point: &Path, left: u64) {
    let free = free_bytes(point);
    let file = File::create(point.join("filler")).expect("a file");
    let wanted = free.saturating_sub(left) as i64;
    // SAFETY: the descriptor is open; posix_fallocate touches no memory.
    let result = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, wanted) };
    assert_eq!(result, 0, "taking {wanted} of {free} bytes");
}

fn free_bytes(path: &Path) -> u64 {
    let found = nix::sys::statvfs::statvfs(path).expect("a file system");
    found.blocks_available() * found.fragment_size()
}
