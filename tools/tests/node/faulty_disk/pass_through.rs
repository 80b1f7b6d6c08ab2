//! What the file system's calls do: passed through to a directory unless a rule has it otherwise.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::UNIX_EPOCH;

use fuser::{Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, ReplyDirectory};

use super::faults::{Call, Fault, Faults};
use super::nodes::{Nodes, Open};

/// See the module.
pub struct PassThrough {
    nodes: Mutex<Nodes>,
    faults: Arc<Faults>,
    pub(super) flags: FopenFlags,
}

pub(super) type Outcome<T> = Result<T, Errno>;

impl PassThrough {
    pub fn new(below: &Path, faults: Arc<Faults>, uncached: bool) -> PassThrough {
        PassThrough {
            nodes: Mutex::new(Nodes::new(below)),
            faults,
            flags: match uncached {
                true => FopenFlags::FOPEN_DIRECT_IO,
                false => FopenFlags::empty(),
            },
        }
    }

    pub(super) fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().expect("nobody panics with it")
    }

    pub(super) fn opened(&self, handle: FileHandle) -> Outcome<Arc<Open>> {
        self.nodes().open(handle.0).ok_or(Errno::EBADF)
    }

    /// The error of a call that has one, once it may go on.
    pub(super) fn strike(&self, call: Call, path: &Path) -> Outcome<()> {
        self.strike_bytes(call, path, 0..u64::MAX)
    }

    pub(super) fn strike_bytes(&self, call: Call, path: &Path, bytes: Range<u64>) -> Outcome<()> {
        match self.faults.strike(call, path, bytes) {
            Some(Fault::Error(code) | Fault::Torn(code)) => Err(Errno::from_i32(code)),
            Some(Fault::Held) | None => Ok(()),
        }
    }

    pub(super) fn entry(&self, path: &Path) -> Outcome<FileAttr> {
        let found = fs::symlink_metadata(path)?;
        Ok(attributes(self.nodes().number(path), &found))
    }

    pub(super) fn begin(&self, path: &Path, create: bool) -> Outcome<(FileAttr, FileHandle)> {
        self.strike(Call::Open, path)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(path)?;
        let entry = self.entry(path)?;
        let handle = self.nodes().opened(entry.ino.0, file);
        Ok((entry, FileHandle(handle)))
    }

    pub(super) fn store(
        &self,
        handle: FileHandle,
        pos: u64,
        data: &[u8],
        durable: bool,
    ) -> Outcome<u32> {
        let open = self.opened(handle)?;
        let path = self.nodes().path(open.number);
        let call = match durable {
            true => Call::DurableWrite,
            false => Call::Write,
        };
        let (data, outcome) = match self
            .faults
            .strike(call, &path, pos..pos + data.len() as u64)
        {
            None | Some(Fault::Held) => (data, Ok(data.len() as u32)),
            Some(Fault::Error(code)) => (&data[..0], Err(Errno::from_i32(code))),
            Some(Fault::Torn(code)) => (&data[..data.len() / 2], Err(Errno::from_i32(code))),
        };
        let mut unflushed = self.faults.unflushed();
        unflushed.changing(&path, &open.file, pos, data.len() as u64);
        open.file.write_all_at(data, pos)?;
        if durable && outcome.is_ok() {
            unflushed.flushed_range(&path, pos, data.len() as u64);
        }
        outcome
    }

    pub(super) fn flush(&self, handle: FileHandle) -> Outcome<()> {
        let open = self.opened(handle)?;
        let path = self.nodes().path(open.number);
        let struck = self.strike(Call::Flush, &path);
        let mut unflushed = self.faults.unflushed();
        match struck {
            Ok(()) => unflushed.flushed(&path),
            Err(_) => _ = unflushed.forget(&path),
        }
        struck
    }

    pub(super) fn resize(&self, path: &Path, size: u64) -> Outcome<()> {
        self.strike(Call::Truncate, path)?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let gone = file.metadata()?.len().saturating_sub(size);
        let mut unflushed = self.faults.unflushed();
        unflushed.changing(path, &file, size, gone);
        Ok(file.set_len(size)?)
    }

    pub(super) fn allocate(
        &self,
        handle: FileHandle,
        pos: u64,
        len: u64,
        mode: i32,
    ) -> Outcome<()> {
        let open = self.opened(handle)?;
        let path = self.nodes().path(open.number);
        self.strike(Call::Allocate, &path)?;
        self.faults.unflushed().changing(&path, &open.file, pos, 0);
        let (pos, len) = (pos as i64, len as i64);
        // SAFETY: the descriptor is open; fallocate touches no memory.
        match unsafe { libc::fallocate(open.file.as_raw_fd(), mode, pos, len) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error().into()),
        }
    }

    pub(super) fn names(
        &self,
        number: INodeNo,
        from: u64,
        reply: &mut ReplyDirectory,
    ) -> Outcome<()> {
        let path = self.nodes().path(number.0);
        let mut names: Vec<_> = fs::read_dir(&path)?.collect::<Result<_, _>>()?;
        names.sort_by_key(fs::DirEntry::file_name);
        for (at, entry) in names.iter().enumerate().skip(from as usize) {
            let number = self.nodes().number(&entry.path());
            let kind = kind(&entry.metadata()?);
            if reply.add(INodeNo(number), at as u64 + 1, kind, entry.file_name()) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Outcome<()> {
        self.strike(Call::Rename, to)?;
        fs::rename(from, to)?;
        self.faults.unflushed().renamed(from, to);
        self.nodes().renamed(from, to);
        Ok(())
    }

    /// A file or directory by its number, or by a handle of it.
    pub(super) fn stat(&self, number: INodeNo, by: Option<FileHandle>) -> Outcome<FileAttr> {
        let open = by.and_then(|handle| self.nodes().open(handle.0));
        let found = match open {
            Some(open) => open.file.metadata(),
            None => fs::symlink_metadata(self.path(number)),
        };
        Ok(attributes(number.0, &found?))
    }

    pub(super) fn path(&self, number: INodeNo) -> PathBuf {
        self.nodes().path(number.0)
    }

    pub(super) fn within(&self, parent: INodeNo, name: &OsStr) -> PathBuf {
        self.nodes().within(parent.0, name)
    }

    pub(super) fn make_directory(&self, path: &Path) -> Outcome<FileAttr> {
        fs::create_dir(path)?;
        self.entry(path)
    }

    pub(super) fn remove(&self, path: &Path, directory: bool) -> Outcome<()> {
        match directory {
            true => fs::remove_dir(path)?,
            false => fs::remove_file(path)?,
        }
        self.nodes().removed(path);
        self.faults.unflushed().removed(path);
        Ok(())
    }

    pub(super) fn load(&self, handle: FileHandle, pos: u64, size: u32) -> Outcome<Vec<u8>> {
        let open = self.opened(handle)?;
        let path = self.nodes().path(open.number);
        self.strike_bytes(Call::Read, &path, pos..pos + u64::from(size))?;
        let mut data = vec![0; size as usize];
        let read = read_up_to(&open.file, &mut data, pos)?;
        data.truncate(read);
        Ok(data)
    }

    pub(super) fn close(&self, handle: FileHandle) {
        self.nodes().closed(handle.0);
    }
}

/// Fewer bytes only at the file's end.
fn read_up_to(file: &File, into: &mut [u8], pos: u64) -> Outcome<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], pos + read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    Ok(read)
}

fn kind(found: &Metadata) -> FileType {
    match found.is_dir() {
        true => FileType::Directory,
        false => FileType::RegularFile,
    }
}

fn attributes(number: u64, found: &Metadata) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size: found.len(),
        blocks: found.blocks(),
        atime: UNIX_EPOCH,
        mtime: found.modified().unwrap_or(UNIX_EPOCH),
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(found),
        perm: (found.mode() & 0o7777) as u16,
        nlink: found.nlink() as u32,
        uid: found.uid(),
        gid: found.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
