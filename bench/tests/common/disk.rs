//! A small file system of a test's own, which fills up. Needs root and a loop device.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skip;

/// A mounted ext4; goes with its end.
pub struct SmallDisk {
    point: PathBuf,
    _home: TempDir,
}

impl SmallDisk {
    /// Of `mib` MiB; none, after [`skip`], where it cannot be made.
    pub fn new(mib: u64) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() || !Path::new("/dev/loop-control").exists() {
            skip(
                "a disk of its own needs root and a loop device (/dev/loop-control: modprobe loop)",
            );
            return None;
        }
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (image, point) = (home.path().join("image"), home.path().join("mounted"));
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(mib << 20).expect("its length");
        std::fs::create_dir(&point).expect("a mount point");
        let mut mkfs = Command::new("mkfs.ext4");
        run(mkfs.args(["-q", "-F", "-m", "0"]).arg(&image)).expect("mkfs.ext4");
        let mut mount = Command::new("mount");
        match run(mount.args(["-o", "loop"]).args([&image, &point])) {
            Ok(()) => Some(Self { point, _home: home }),
            Err(why) => {
                skip(&format!(
                    "a disk of its own needs to mount a loop device: {why}"
                ));
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Takes all room but about `left` bytes.
    pub fn fill(&self, left: u64) {
        let found = nix::sys::statvfs::statvfs(&self.point).expect("a file system");
        let free = found.blocks_available() * found.fragment_size();
        let file = std::fs::File::create(self.point.join("filler")).expect("a file");
        let wanted = free.saturating_sub(left) as i64;
        nix::fcntl::posix_fallocate(&file, 0, wanted).expect("room");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that has just been killed may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}
