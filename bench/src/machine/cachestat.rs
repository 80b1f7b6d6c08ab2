//! Page cache that files use.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// cachestat(2), Linux 6.5.
const SYS_CACHESTAT: libc::c_long = 451;

/// Bytes of page cache that hold files below `dir`. None where the kernel does not tell. Files that
/// vanish meanwhile do not count.
pub(crate) fn page_cache_of(dir: &Path) -> Option<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            bytes += page_cache_of(&entry.path())?;
        } else if let Ok(file) = File::open(entry.path()) {
            bytes += of_file(&file)?;
        }
    }
    Some(bytes)
}

fn of_file(file: &File) -> Option<u64> {
    // Offset and length; a length of 0 means up to the end.
    let range = [0u64; 2];
    // Cached, dirty, under writeback, evicted, recently evicted; in pages.
    let mut found = [0u64; 5];
    // SAFETY: both arrays have the sizes of `cachestat_range` and `cachestat` and outlive the
    // call; the descriptor is open.
    let answer = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            found.as_mut_ptr(),
            0,
        )
    };
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    (answer == 0).then_some(found[0] * page as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_just_written_is_cached() {
        let dir = tempfile::tempdir().unwrap();
        let Some(before) = page_cache_of(dir.path()) else {
            return; // an older kernel
        };
        assert_eq!(before, 0);
        std::fs::create_dir(dir.path().join("below")).unwrap();
        let mut file = File::create(dir.path().join("below/file")).unwrap();
        file.write_all(&[1; 1 << 20]).unwrap();
        assert_eq!(page_cache_of(dir.path()), Some(1 << 20));
    }
}
