//! Calls on files and pipes, and what is asked about them.
#![allow(clippy::disallowed_methods)] // for the drivers

use super::{check, errno};
use crate::io::op::{Handle, OpenMode};

pub(in crate::io) fn splice_in(file: i32, pos: u64, pipe: i32, len: u32) -> i32 {
    let mut pos = pos as i64;
    let none = std::ptr::null_mut();
    // SAFETY: `pos` outlives the call; the rest are numbers. The pipe is empty: it does not wait.
    check(unsafe { libc::splice(file, &mut pos, pipe, none, len as usize, 0) } as i64)
}

pub(super) fn pipe(len: u32, ends: &mut [Handle; 2]) -> i32 {
    let mut fds = [0; 2];
    // SAFETY: two descriptors are written into an array of two.
    let made = check(i64::from(unsafe {
        libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC)
    }));
    if made >= 0 {
        // Where it may not be as large, it holds less at a time.
        // SAFETY: numbers only.
        unsafe { libc::fcntl(fds[1], libc::F_SETPIPE_SZ, len as i32) };
        *ends = fds.map(Handle);
    }
    made
}

/// cachestat(2), Linux 6.5.
pub(super) fn resident(file: i32, pos: u64, len: u64) -> i32 {
    const CACHESTAT: libc::c_long = 451;
    let range = [pos, len];
    let mut stat = [0u64; 5];
    // SAFETY: both arrays have the sizes of `cachestat_range` and `cachestat` and outlive the
    // call.
    let result = unsafe {
        libc::syscall(
            CACHESTAT,
            file,
            range.as_ptr(),
            stat.as_mut_ptr(),
            0 as libc::c_uint,
        )
    };
    if result < 0 {
        return -errno();
    }
    // Whole pages, the first and the last perhaps partly outside the range.
    let first = crate::bytes::page_floor(pos);
    let pages = (crate::bytes::page_ceil(pos + len) - first) / crate::bytes::PAGE as u64;
    if stat[0] >= pages {
        len.min(i32::MAX as u64) as i32
    } else {
        (stat[0] * crate::bytes::PAGE as u64).min(len.saturating_sub(1)) as i32
    }
}

/// fstat(2)'s size, left in `len`.
pub(super) fn size(file: i32, len: &mut u64) -> i32 {
    // SAFETY: all-zero is a valid stat to be filled in, and it outlives the call.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        let result = check(i64::from(libc::fstat(file, &mut stat)));
        *len = stat.st_size as u64;
        result
    }
}

/// lseek(2), SEEK_DATA. Positions of handles are not used otherwise.
pub(super) fn data_after(file: i32, pos: u64, found: &mut Option<u64>) -> i32 {
    // SAFETY: numbers only.
    let at = unsafe { libc::lseek(file, pos as i64, libc::SEEK_DATA) };
    *found = u64::try_from(at).ok();
    match found {
        Some(_) => 0,
        None if errno() == libc::ENXIO => 0,
        None => -errno(),
    }
}

/// syncfs(2), for file systems that write everything with it and flush the disk, if they have
/// anything to write. (FUSE does neither, and says that all is well.)
pub(in crate::io) fn sync_file_system(path: &std::ffi::CStr) -> i32 {
    const KNOWN: [libc::c_long; 3] = [
        libc::EXT4_SUPER_MAGIC,
        libc::XFS_SUPER_MAGIC,
        libc::BTRFS_SUPER_MAGIC,
    ];
    let flags = libc::O_CLOEXEC | libc::O_RDONLY | libc::O_DIRECTORY;
    // SAFETY: of all calls: the path ends with a zero and outlives the call; an all-zero statfs is
    // valid, to be filled in; the descriptor is this function's own, and closed once.
    unsafe {
        let directory = check(i64::from(libc::open(path.as_ptr(), flags)));
        if directory < 0 {
            return directory;
        }
        let mut stat: libc::statfs = std::mem::zeroed();
        let mut result = check(i64::from(libc::fstatfs(directory, &mut stat)));
        if result >= 0 {
            result = match KNOWN.contains(&stat.f_type) {
                true => check(i64::from(libc::syncfs(directory))),
                false => -libc::EOPNOTSUPP,
            };
        }
        libc::close(directory);
        result
    }
}

pub(in crate::io) fn truncate(file: i32, len: u64) -> i32 {
    // SAFETY: numbers only.
    check(i64::from(unsafe { libc::ftruncate(file, len as i64) }))
}

/// Size of the file system, and what an ordinary process may still use; bytes.
pub(in crate::io) fn space(path: &std::ffi::CStr) -> Result<(u64, u64), i32> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(|errno| errno as i32)?;
    let bytes = |blocks| stat.fragment_size().saturating_mul(blocks);
    Ok((bytes(stat.blocks()), bytes(stat.blocks_available())))
}

pub(in crate::io) fn list(path: &std::ffi::CStr) -> Result<Vec<String>, i32> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let names = std::fs::read_dir(path).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    });
    names.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// open(2)'s flags.
pub(in crate::io) fn open_flags(mode: OpenMode) -> i32 {
    let mut flags = libc::O_CLOEXEC;
    flags |= if mode.write {
        libc::O_RDWR
    } else {
        libc::O_RDONLY
    };
    for (wanted, flag) in [
        (mode.create, libc::O_CREAT),
        (mode.direct, libc::O_DIRECT),
        (mode.directory, libc::O_DIRECTORY),
        (mode.truncate, libc::O_TRUNC),
    ] {
        if wanted {
            flags |= flag;
        }
    }
    flags
}

/// preadv2(2) with RWF_NOWAIT: -EAGAIN where it would wait for the disk.
pub(in crate::io) fn read_cached(file: i32, pos: u64, into: *mut u8, len: usize) -> i32 {
    let vector = libc::iovec {
        iov_base: into.cast(),
        iov_len: len,
    };
    // SAFETY: one vector, over memory that the caller's operation owns for `len` bytes.
    let got = unsafe { libc::preadv2(file, &vector, 1, pos as i64, libc::RWF_NOWAIT) };
    check(got as i64)
}
