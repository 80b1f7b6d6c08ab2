//! The file system as the kernel calls it.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, FileHandle, Filesystem, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::faults::Call;
use super::pass_through::{Outcome, PassThrough};

/// The kernel asks again every time.
const TTL: Duration = Duration::ZERO;

impl Filesystem for PassThrough {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Without, the kernel makes writes past the page cache wait where they are submitted, which
        // no disk does.
        let missing = |_| std::io::Error::other("the kernel has no asynchronous direct I/O here");
        config
            .add_capabilities(InitFlags::FUSE_ASYNC_DIO)
            .map_err(missing)
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.entry(&self.within(parent, name)) {
            Ok(entry) => reply.entry(&TTL, &entry, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, by: Option<FileHandle>, reply: ReplyAttr) {
        match self.stat(number, by) {
            Ok(entry) => reply.attr(&TTL, &entry),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let path = self.path(number);
        let changed = match size {
            Some(size) => self.resize(&path, size),
            None => Ok(()),
        };
        match changed.and_then(|()| self.entry(&path)) {
            Ok(entry) => reply.attr(&TTL, &entry),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        match self.make_directory(&self.within(parent, name)) {
            Ok(entry) => reply.entry(&TTL, &entry, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.remove(&self.within(parent, name), false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.remove(&self.within(parent, name), true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let from = self.within(parent, name);
        let to = self.within(new_parent, new_name);
        answer(self.rename(&from, &to), reply);
    }

    fn open(&self, _: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let path = self.path(number);
        match self.begin(&path, false) {
            Ok((_, handle)) => reply.opened(handle, self.flags),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let path = self.within(parent, name);
        match self.begin(&path, true) {
            Ok((entry, handle)) => {
                reply.created(&TTL, &entry, Generation(0), handle, self.flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        pos: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.load(handle, pos, size) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        pos: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // RWF_DSYNC of the one write comes as its flag.
        let durable = flags.0 & libc::O_DSYNC != 0;
        match self.store(handle, pos, data, durable) {
            Ok(size) => reply.written(size),
            Err(error) => reply.error(error),
        }
    }

    fn flush(
        &self,
        _: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // Of close(2); nothing to do with durability.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.close(handle);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _data: bool, reply: ReplyEmpty) {
        answer(PassThrough::flush(self, handle), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        from: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.names(number, from, &mut reply) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn fsyncdir(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _data: bool,
        reply: ReplyEmpty,
    ) {
        let path = self.path(number);
        answer(self.strike(Call::FlushDirectory, &path), reply);
    }

    fn statfs(&self, _: &Request, _number: INodeNo, reply: ReplyStatfs) {
        // Plenty.
        let blocks = 1 << 28;
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn fallocate(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        pos: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        answer(self.allocate(handle, pos, len, mode), reply);
    }
}

fn answer(outcome: Outcome<()>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
