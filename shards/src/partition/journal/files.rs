//! The journal's files: made when they are needed, gone after a clean stop.
//!
//! A file is written full of zeros before its first frame: over blocks that were written a durable
//! write has no metadata to wait for.

use std::path::Path;
use std::rc::Rc;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Errno, Handle, Io};
use odradek_engine::log::journal::ring::Need;

use super::{Journal, Phase};
use crate::partition::RETRY_NS;

/// Zeros written at once.
const ZEROS_BYTES: usize = 256 << 10;

/// A file's name: whose life, and which file.
pub(super) fn name(life: u64, file: usize) -> String {
    format!("{life:016x}-{file}")
}

/// The life that a file's name stands for.
pub(super) fn parse(name: &str) -> Option<u64> {
    let (life, file) = name.split_once('-')?;
    file.parse::<u32>().ok()?;
    u64::from_str_radix(life, 16).ok()
}

/// Removes a journal for good, once `log_dir` is synced.
pub(super) async fn remove(io: &Io, directory: &Path) -> Result<(), Errno> {
    let names = match io.list(directory).await {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        names => names?,
    };
    for name in names {
        io.remove(&directory.join(name)).await?;
    }
    io.remove_dir(directory).await
}

impl Journal {
    /// Sees to it that there is a file for what comes next.
    pub(super) fn tend(self: &Rc<Self>) {
        let mut desk = self.desk.borrow_mut();
        if desk.tending > 0 || desk.phase != Phase::Open {
            return;
        }
        let now = self.io.now();
        let busy = |file| desk.flights.iter().any(|flight| flight.file == file);
        let need = desk
            .ring
            .need(|file| busy(file) || now < desk.store_at[file]);
        let me = self.clone();
        match need {
            Some(Need::Make(file)) if now >= desk.make_at => {
                desk.tending += 1;
                self.spawner.spawn(me.make_file(file)).detach();
            }
            Some(Need::Store(file)) => {
                desk.tending += 1;
                self.spawner.spawn(me.store_file(file)).detach();
            }
            _ => {}
        }
    }

    async fn make_file(self: Rc<Self>, file: usize) {
        let made = self.make(file).await;
        let mut desk = self.desk.borrow_mut();
        match made {
            Ok(handle) => {
                desk.files[file] = Some(Rc::new(handle));
                desk.ring.made(file);
            }
            Err(error) => {
                if desk.make_at == 0 {
                    tracing::warn!(
                        "cannot make the journal's file {}: {error}; appends are written to their \
                         segments without it",
                        self.directory.join(name(self.life, file)).display()
                    );
                }
                desk.make_at = self.io.now() + RETRY_NS;
            }
        }
        desk.tending -= 1;
        drop(desk);
        self.calm.raise();
        self.work.raise();
    }

    async fn make(&self, file: usize) -> Result<Handle, Errno> {
        let io = &self.io;
        io.make_dir(&self.directory).await?;
        let path = self.directory.join(name(self.life, file));
        let handle = io.open(&path, self.strategy.mode(true)).await?;
        let filled = async {
            self.fill(handle).await?;
            io.sync(handle).await?;
            io.sync_directory(&self.directory).await?;
            let parent = self.directory.parent().expect("inside a log directory");
            io.sync_directory(parent).await
        };
        if let Err(error) = filled.await {
            io.close(handle).await;
            // It would take room for nothing; an empty file of zeros does no harm.
            let _ = io.remove(&path).await;
            return Err(error);
        }
        Ok(handle)
    }

    async fn fill(&self, handle: Handle) -> Result<(), Errno> {
        let io = &self.io;
        io.allocate(handle, 0, self.file_bytes).await?;
        let zeros = io.pool().take(ZEROS_BYTES);
        // SAFETY: the block is new.
        unsafe { zeros.bytes_mut(0, ZEROS_BYTES) }.fill(0);
        let mut at = 0;
        while at < self.file_bytes {
            let len = (self.file_bytes - at).min(ZEROS_BYTES as u64) as usize;
            let parts = Parts::from_iter([Part::block(&zeros, 0, len)]);
            self.strategy.write(io, handle, at, parts, false).await?;
            at += len as u64;
        }
        Ok(())
    }

    /// Takes nothing more, and goes away, unless it holds what a partition could not store.
    pub async fn end(&self) -> Result<(), Errno> {
        loop {
            {
                let mut desk = self.desk.borrow_mut();
                desk.phase = Phase::Over;
                // Writes in flight have a share in their file.
                let mut files = desk.files.iter().flatten();
                let calm = files.all(|file| Rc::strong_count(file) == 1);
                if calm && desk.tending == 0 {
                    break;
                }
            }
            self.calm.raised().await;
        }
        let (files, needed) = {
            let mut desk = self.desk.borrow_mut();
            desk.waiting.clear();
            (std::mem::take(&mut desk.files), desk.needed())
        };
        let mut any = false;
        for file in files.into_iter().flatten() {
            any = true;
            self.io.close(*file).await;
        }
        if needed {
            let directory = self.directory.display();
            tracing::warn!(
                "{directory} holds records that could not be written to their segments; the next \
                 start does that"
            );
            return Ok(());
        }
        if any {
            remove(&self.io, &self.directory).await?;
            let parent = self.directory.parent().expect("inside a log directory");
            self.io.sync_directory(parent).await?;
        }
        Ok(())
    }
}
