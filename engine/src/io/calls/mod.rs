//! System calls that the drivers for Linux have in common. Results are as a driver reports them:
//! non-negative, or a negated error number.

use crate::bytes::Part;

pub(super) mod clock;
pub(super) mod files;
mod perform;
pub(super) mod sockets;

pub(super) use perform::perform;

pub(super) fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

pub(super) fn check(result: i64) -> i32 {
    if result < 0 {
        -errno()
    } else {
        result.min(i64::from(i32::MAX)) as i32
    }
}

/// A gather list as the kernel reads it, without its first `skip` bytes.
pub(super) fn gather(vectors: &mut Vec<libc::iovec>, parts: &[Part], skip: usize) {
    vectors.clear();
    let mut skip = skip;
    for part in parts {
        let bytes = &part.bytes()[skip.min(part.len())..];
        skip -= part.len() - bytes.len();
        if !bytes.is_empty() {
            vectors.push(libc::iovec {
                iov_base: bytes.as_ptr() as *mut _,
                iov_len: bytes.len(),
            });
        }
    }
}
