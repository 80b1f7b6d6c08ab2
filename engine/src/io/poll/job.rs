//! What the pool's threads do: calls that may wait for a disk.

use std::ffi::{CStr, c_char};

use crate::io::calls::check;
use crate::io::calls::files::{list, open_flags, space, splice_in, sync_file_system, truncate};
use crate::io::driver::Token;
use crate::io::op::{Cache, Op};

/// One call, on memory that the operation table keeps in place until its completion is reaped.
pub(super) struct Job {
    /// Of the operation; none for a close that nobody waits for.
    pub(super) token: Option<Token>,
    call: Call,
    /// A write's parts. Comes back with what was done, to be used again.
    pub(super) vectors: Vec<libc::iovec>,
}

// SAFETY: the pointers name memory of an operation in flight, which stays at its address, with
// nobody else touching it, until its completion has been reaped; that is after the job has come
// back from its thread.
unsafe impl Send for Job {}

/// What a call found beside a number.
pub(super) enum Found {
    Nothing,
    Names(Vec<String>),
    Space(u64, u64),
}

/// A job that is done.
pub(super) struct Finished {
    pub(super) job: Job,
    pub(super) result: i32,
    pub(super) found: Found,
}

enum Call {
    Write {
        file: i32,
        pos: u64,
        flags: i32,
    },
    Read {
        file: i32,
        pos: u64,
        into: *mut u8,
        len: usize,
    },
    Sync {
        file: i32,
        data_only: bool,
    },
    Allocate {
        file: i32,
        pos: u64,
        len: u64,
    },
    Truncate {
        file: i32,
        len: u64,
    },
    Open {
        path: *const c_char,
        flags: i32,
    },
    Close {
        handle: i32,
    },
    Rename {
        from: *const c_char,
        to: *const c_char,
    },
    Unlink {
        path: *const c_char,
        flags: i32,
    },
    MakeDir {
        path: *const c_char,
    },
    List {
        path: *const c_char,
    },
    Space {
        path: *const c_char,
    },
    SyncFileSystem {
        path: *const c_char,
    },
    SpliceIn {
        file: i32,
        pos: u64,
        pipe: i32,
        len: u32,
    },
}

impl Job {
    /// The job of an operation on files. `vectors` holds a write's parts already.
    pub(super) fn new(token: Token, op: &mut Op, vectors: Vec<libc::iovec>) -> Job {
        let call = match op {
            Op::Write {
                file,
                pos,
                dsync,
                cache,
                ..
            } => {
                let mut flags = if *dsync { libc::RWF_DSYNC } else { 0 };
                if *cache == (Cache::Through { uncached: true }) {
                    flags |= libc::RWF_DONTCACHE;
                }
                let (file, pos) = (file.0, *pos);
                Call::Write { file, pos, flags }
            }
            Op::Read {
                file,
                pos,
                block,
                start,
                len,
                ..
            } => Call::Read {
                file: file.0,
                pos: *pos,
                into: block.ptr(*start as usize),
                len: *len as usize,
            },
            Op::DataSync { file } => Call::Sync {
                file: file.0,
                data_only: true,
            },
            Op::Sync { file } => Call::Sync {
                file: file.0,
                data_only: false,
            },
            Op::Allocate { file, pos, len } => Call::Allocate {
                file: file.0,
                pos: *pos,
                len: *len,
            },
            Op::Truncate { file, len } => Call::Truncate {
                file: file.0,
                len: *len,
            },
            Op::Open { path, mode } => Call::Open {
                path: path.as_ptr(),
                flags: open_flags(*mode),
            },
            Op::Close { handle } => Call::Close { handle: handle.0 },
            Op::Rename { from, to } => Call::Rename {
                from: from.as_ptr(),
                to: to.as_ptr(),
            },
            Op::Remove { path } => Call::Unlink {
                path: path.as_ptr(),
                flags: 0,
            },
            Op::RemoveDir { path } => Call::Unlink {
                path: path.as_ptr(),
                flags: libc::AT_REMOVEDIR,
            },
            Op::MakeDir { path } => Call::MakeDir {
                path: path.as_ptr(),
            },
            Op::List { path, .. } => Call::List {
                path: path.as_ptr(),
            },
            Op::Space { path, .. } => Call::Space {
                path: path.as_ptr(),
            },
            Op::SyncFileSystem { path } => Call::SyncFileSystem {
                path: path.as_ptr(),
            },
            Op::SpliceIn {
                file,
                pos,
                pipe,
                len,
                ..
            } => Call::SpliceIn {
                file: file.0,
                pos: *pos,
                pipe: pipe.0,
                len: *len,
            },
            other => unreachable!("{other:?} is not for the pool"),
        };
        Job {
            token: Some(token),
            call,
            vectors,
        }
    }

    /// Closes what was closed while operations on it were in flight.
    pub(super) fn close(handle: i32) -> Job {
        Job {
            token: None,
            call: Call::Close { handle },
            vectors: Vec::new(),
        }
    }

    /// Makes the call, and waits for whatever it waits for.
    pub(super) fn run(self) -> Finished {
        let mut found = Found::Nothing;
        let result = match self.call {
            Call::List { path } => {
                // SAFETY: see `Send`: the operation's path, which ends with a zero.
                match list(unsafe { CStr::from_ptr(path) }) {
                    Ok(names) => {
                        found = Found::Names(names);
                        0
                    }
                    Err(errno) => -errno,
                }
            }
            Call::Space { path } => {
                // SAFETY: as above.
                match space(unsafe { CStr::from_ptr(path) }) {
                    Ok((total, usable)) => {
                        found = Found::Space(total, usable);
                        0
                    }
                    Err(errno) => -errno,
                }
            }
            _ => self.number(),
        };
        Finished {
            job: self,
            result,
            found,
        }
    }

    fn number(&self) -> i32 {
        let here = libc::AT_FDCWD;
        // SAFETY (of every call below): paths, vectors and the block's memory belong to the
        // operation in flight (see `Send`) and outlive the call; the rest are numbers.
        match self.call {
            Call::Write { file, pos, flags } => {
                let (vectors, count) = (self.vectors.as_ptr(), self.vectors.len() as i32);
                // SAFETY: above.
                check(unsafe { libc::pwritev2(file, vectors, count, pos as i64, flags) } as i64)
            }
            Call::Read {
                file,
                pos,
                into,
                len,
            } => {
                // SAFETY: above; nobody else looks at what a read in flight fills.
                check(unsafe { libc::pread(file, into.cast(), len, pos as i64) } as i64)
            }
            Call::Sync { file, data_only } => {
                // SAFETY: above.
                check(i64::from(unsafe {
                    match data_only {
                        true => libc::fdatasync(file),
                        false => libc::fsync(file),
                    }
                }))
            }
            Call::Allocate { file, pos, len } => {
                // SAFETY: above.
                let made = unsafe { libc::fallocate(file, 0, pos as i64, len as i64) };
                check(i64::from(made))
            }
            Call::Truncate { file, len } => truncate(file, len),
            Call::Open { path, flags } => {
                // SAFETY: above.
                check(i64::from(unsafe { libc::open(path, flags, 0o644) }))
            }
            Call::Close { handle } => {
                // SAFETY: above; operations on the handle have ended.
                check(i64::from(unsafe { libc::close(handle) }))
            }
            Call::Rename { from, to } => {
                // SAFETY: above.
                check(i64::from(unsafe { libc::rename(from, to) }))
            }
            Call::Unlink { path, flags } => {
                // SAFETY: above.
                check(i64::from(unsafe { libc::unlinkat(here, path, flags) }))
            }
            Call::MakeDir { path } => {
                // SAFETY: above.
                check(i64::from(unsafe { libc::mkdir(path, 0o755) }))
            }
            Call::SpliceIn {
                file,
                pos,
                pipe,
                len,
            } => splice_in(file, pos, pipe, len),
            // SAFETY: above.
            Call::SyncFileSystem { path } => sync_file_system(unsafe { CStr::from_ptr(path) }),
            Call::List { .. } | Call::Space { .. } => unreachable!("they find more than a number"),
        }
    }
}
