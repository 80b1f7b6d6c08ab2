//! The file system of the log directory, tried out on a file without a name.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use odradek_engine::bytes::{PAGE, Pool};
use odradek_shards::config::Settings;

use super::{Finding, State};
use crate::common;

/// Below this much free space a log soon has none.
const FREE_BYTES_LEAST: u64 = 1 << 30;

/// Of every log directory.
pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    let mut dirs = settings.log_dirs.clone();
    if !dirs.contains(&settings.metadata_dir) {
        dirs.push(settings.metadata_dir.clone());
    }
    let each = dirs.iter();
    each.flat_map(|directory| examine_one(settings, directory))
        .collect()
}

fn examine_one(settings: &Settings, directory: &Path) -> Vec<Finding> {
    let existing = existing(directory);
    let file = match nameless(&existing, 0) {
        Ok(file) => file,
        Err(error) => {
            return vec![Finding::new(
                "log directory",
                State::Bad,
                format!("{}: {error}", existing.display()),
                "make it writable, or set log.dirs",
            )];
        }
    };
    let direct = settings.log_write_strategy.name() == "direct";
    let mut findings = vec![place(directory, &existing), space(&existing)];
    findings.push(alignment(&existing, &file, direct));
    findings.push(direct_write(&existing, direct));
    findings.push(allocation(&file));
    findings.push(residency(&file));
    findings
}

/// The directory, or the nearest one above it that is there.
fn existing(directory: &Path) -> PathBuf {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let existing = absolute.ancestors().find(|path| path.exists());
    existing.map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// A file that is gone when it is closed.
fn nameless(directory: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let nameless = options
        .clone()
        .custom_flags(libc::O_TMPFILE | flags)
        .open(directory);
    match nameless {
        // Not every file system has such files: one with a name will do, without it.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            let path = directory.join(format!(".odradek-doctor-{}", std::process::id()));
            let file = options.create_new(true).custom_flags(flags).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        outcome => outcome,
    }
}

fn place(directory: &Path, existing: &Path) -> Finding {
    let kind = file_system(existing);
    let found = format!("{} on {kind}", directory.display());
    let consequence = match kind.as_str() {
        "tmpfs" => "nothing in it survives a restart of the machine",
        "overlay" => "a container's own layer: slow, and gone with it; mount a volume",
        "nfs" => "a network file system: its promises of durability are its server's",
        "ext4" => "logs are written here; buffered writes would go through worker threads",
        _ => "logs are written here",
    };
    let state = match kind.as_str() {
        "tmpfs" | "overlay" | "nfs" => State::Weak,
        _ => State::Good,
    };
    Finding::new("log directory", state, found, consequence)
}

/// Of the mount with the longest path above `path`.
fn file_system(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut best = (0, "an unknown file system".to_owned());
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(at), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        // The kernel writes a space as \040.
        let at = at.replace("\\040", " ");
        if path.starts_with(&at) && at.len() >= best.0 {
            best = (at.len(), kind.to_owned());
        }
    }
    best.1
}

fn space(existing: &Path) -> Finding {
    match statvfs(existing) {
        Ok(about) => {
            let free = about.blocks_available() * about.fragment_size();
            let total = about.blocks() * about.fragment_size();
            let found = format!("{} of {} free", common::bytes(free), common::bytes(total));
            match free {
                FREE_BYTES_LEAST.. => Finding::new(
                    "space",
                    State::Good,
                    found,
                    "when it is full, produce requests are refused until there is some again",
                ),
                _ => Finding::new("space", State::Weak, found, "that will not last long"),
            }
        }
        Err(error) => Finding::new("space", State::Weak, error.to_string(), "cannot be read"),
    }
}

/// STATX_DIOALIGN, Linux 6.1.
fn alignment(existing: &Path, file: &File, direct: bool) -> Finding {
    let finding = |state, found: &str, consequence: &str| {
        Finding::new("direct I/O", state, found, consequence)
    };
    let refused = match direct {
        true => State::Bad,
        false => State::Weak,
    };
    match direct_alignment(file) {
        Ok(Some((0, _) | (_, 0))) => finding(
            refused,
            &format!("{} has none", file_system(existing)),
            "set log.write.strategy=buffered, or another log.dirs",
        ),
        Ok(Some((memory, offset))) if memory.max(offset) as usize <= PAGE => finding(
            State::Good,
            &format!("aligned to {memory} bytes in memory, {offset} in the file"),
            &format!("writes are aligned to {PAGE} bytes, which satisfies that"),
        ),
        Ok(Some((memory, offset))) => finding(
            refused,
            &format!("aligned to {memory} bytes in memory, {offset} in the file"),
            &format!("writes are aligned to {PAGE} bytes: set log.write.strategy=buffered"),
        ),
        Ok(None) => finding(
            State::Good,
            "its alignment is not told",
            &format!("writes are aligned to {PAGE} bytes"),
        ),
        Err(error) => finding(
            State::Weak,
            &format!("its alignment cannot be asked for: {error}"),
            &format!("writes are aligned to {PAGE} bytes"),
        ),
    }
}

/// Alignment in memory and in the file, bytes; zeros where there is no direct I/O, none where the
/// kernel does not say.
fn direct_alignment(file: &File) -> io::Result<Option<(u32, u32)>> {
    let empty = CString::default();
    // SAFETY: all zeros is a value of this plain structure.
    let mut about: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string, `about` is a statx; both outlive the call.
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            empty.as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            &mut about,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let told = about.stx_mask & libc::STATX_DIOALIGN != 0;
    Ok(told.then_some((about.stx_dio_mem_align, about.stx_dio_offset_align)))
}

fn direct_write(existing: &Path, direct: bool) -> Finding {
    let flags = match direct {
        true => libc::O_DIRECT,
        false => 0,
    };
    let name = match direct {
        true => "O_DIRECT",
        false => "buffered",
    };
    let write = |file: File, sync: bool| write_page(&file, sync);
    let plain = nameless(existing, flags).and_then(|file| write(file, false));
    if let Err(error) = plain {
        return Finding::new(
            "writes",
            State::Bad,
            format!("{name}: {error}"),
            match direct {
                true => "set log.write.strategy=buffered, or another log.dirs",
                false => "set another log.dirs",
            },
        );
    }
    match nameless(existing, flags).and_then(|file| write(file, true)) {
        Ok(()) => Finding::new(
            "writes",
            State::Good,
            format!("{name}, with and without RWF_DSYNC"),
            "a durable acknowledgement waits for one such write, not for a flush of the file",
        ),
        Err(error) => Finding::new(
            "writes",
            State::Bad,
            format!("{name}, but not with RWF_DSYNC: {error}"),
            "acks=all needs durable writes: set another log.dirs",
        ),
    }
}

fn write_page(file: &File, sync: bool) -> io::Result<()> {
    let block = Pool::new().take(PAGE);
    let page = libc::iovec {
        iov_base: block.ptr(0).cast(),
        iov_len: PAGE,
    };
    let flags = match sync {
        true => libc::RWF_DSYNC,
        false => 0,
    };
    // SAFETY: the vector has one element, a page of the block, which outlives the call.
    let written = unsafe { libc::pwritev2(file.as_raw_fd(), &page, 1, 0, flags) };
    match usize::try_from(written) {
        Ok(PAGE) => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

fn allocation(file: &File) -> Finding {
    match fallocate(file, FallocateFlags::empty(), 0, 1 << 20) {
        Ok(()) => Finding::new(
            "fallocate",
            State::Good,
            "works",
            "segments grow by steps ahead of the writes",
        ),
        Err(error) => Finding::new(
            "fallocate",
            State::Bad,
            error.desc(),
            "segments cannot be allocated ahead of the writes: set another log.dirs",
        ),
    }
}

/// cachestat(2), Linux 6.5.
fn residency(file: &File) -> Finding {
    const CACHESTAT: libc::c_long = 451;
    let range = [0u64, PAGE as u64];
    let mut counts = [0u64; 5];
    // SAFETY: the arrays have the layouts of `cachestat_range` and `cachestat`, and outlive the
    // call.
    let result = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            counts.as_mut_ptr(),
            0 as libc::c_uint,
        )
    };
    if result == 0 {
        return Finding::new(
            "cachestat",
            State::Good,
            "works",
            "sendfile serves what is in page cache, and only that",
        );
    }
    Finding::new(
        "cachestat",
        State::Weak,
        io::Error::last_os_error().to_string(),
        "what is in page cache cannot be asked: it is read as if nothing were",
    )
}
