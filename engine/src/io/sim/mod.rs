//! The simulated driver: disk, network and time in memory, every choice from one seed.
//!
//! A [`SimWorld`] is one machine. [`SimDriver`]s are the shards of the process that runs on it;
//! what they are asked for takes effect and completes at virtual times that the seed draws, in
//! any order that the real ones could show. A crash ends the process and leaves the disk: after
//! [`SimWorld::kill_process`] with all that had completed, after [`SimWorld::power_cut`] with
//! what was synced. A new driver in the same world is the next start.
//!
//! Invariants: the same seed and the same code give the same [`SimWorld::trace_hash`]; results
//! and error numbers are Linux's; what Linux would forgive by luck (a closed handle used again,
//! two sends at a time on one socket, waiting for what never comes) panics and names the seed.
//!
//! Absent on purpose: threads; any knowledge of what runs on it; faults beyond [`SimFaults`] and
//! what is done to a world by hand.

mod clock;
mod crash;
mod disk;
mod driver;
mod faults;
mod file;
mod net;
mod perform;
mod rng;
mod sockets;
mod trace;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub use self::driver::SimDriver;
pub use self::faults::SimFaults;
use self::world::World;

/// Lines of the trace that a failure prints.
const LINES_PRINTED: usize = 60;

/// A simulated machine. Cheap to clone; stays on one thread. Dropped by a panic, it prints its
/// seed and the last things that happened.
#[derive(Clone)]
pub struct SimWorld {
    inner: Rc<RefCell<World>>,
}

impl SimWorld {
    /// A machine with an empty disk, on which nothing fails.
    pub fn new(seed: u64) -> Self {
        Self::with_faults(seed, &SimFaults::default())
    }

    /// A machine on which `faults` happen.
    pub fn with_faults(seed: u64, faults: &SimFaults) -> Self {
        SimWorld {
            inner: Rc::new(RefCell::new(World::new(seed, faults))),
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.inner.borrow().seed
    }

    /// Virtual time, nanoseconds.
    pub fn now(&self) -> u64 {
        self.inner.borrow().time
    }

    /// Everything that has happened, folded into a number.
    pub fn trace_hash(&self) -> u64 {
        self.inner.borrow().trace.hash()
    }

    /// The last things that happened, a line each.
    pub fn trace(&self) -> String {
        self.inner.borrow().trace.tail(usize::MAX)
    }

    /// Bytes that were read or sent of each file since the machine was made, by the path under
    /// which the file was last opened.
    pub fn bytes_read(&self) -> BTreeMap<String, u64> {
        self.inner.borrow().read.clone()
    }

    /// Other faults from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut SimFaults)) {
        let mut world = self.inner.borrow_mut();
        change(&mut world.faults.now);
        let bytes_max = world.faults.now.disk_bytes_max;
        world.disk.set_size(bytes_max);
    }

    /// How many faults there were of each kind.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.inner.borrow().faults.counts.clone()
    }

    /// Bytes that files take now.
    pub fn disk_used(&self) -> u64 {
        self.inner.borrow().disk.used() * crate::bytes::PAGE as u64
    }

    /// The wall clock jumps to so many milliseconds from where it would be; monotonic time does not.
    pub fn set_clock(&self, offset_ms: i64) {
        let mut world = self.inner.borrow_mut();
        world.clock_offset = offset_ms;
        world.faults.count("clock jump");
    }

    /// All files by path, as a process that reads them sees them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files_below("/", false)
    }

    /// Those below a directory. `direct`: past page cache, which after a failed flush may show what the
    /// disk does not have.
    pub fn files_below(&self, directory: &str, direct: bool) -> BTreeMap<String, Vec<u8>> {
        self.inner.borrow_mut().disk.contents(directory, direct)
    }

    /// Another machine of this seed at the same time, on which nothing fails, with the same files and
    /// directories, all of them durable. Nothing may run on this one.
    pub fn copy(&self, seed: u64) -> SimWorld {
        let copy = SimWorld::new(seed);
        let mut world = self.inner.borrow_mut();
        assert!(world.shards.is_empty(), "nothing runs on it");
        let mut other = copy.inner.borrow_mut();
        world.disk.copy_to(&mut other.disk);
        (other.time, other.clock_offset) = (world.time, world.clock_offset);
        other.reported = world.reported;
        drop(other);
        copy
    }

    /// Puts other bytes in a file's place at rest: on the disk and in page cache, beyond the
    /// knowledge of whoever wrote it. Panics if the file does not reach so far.
    pub fn corrupt(&self, path: &str, pos: u64, bytes: &[u8]) {
        let mut world = self.inner.borrow_mut();
        let time = world.time;
        world
            .trace
            .note(time, "bytes on the disk are not what was written");
        world.faults.count("corruption");
        let inode = world.disk.find(path).expect("a file");
        world.disk.file(inode).corrupt(pos, bytes);
    }

    /// What a file would hold around `pos` if the write that was made durable last there had never
    /// reached the disk, though it was acknowledged: whole pages, and from where on. `None`: nothing
    /// was written there. Panics if there is no such file.
    pub fn before(&self, path: &str, pos: u64) -> Option<(u64, Vec<u8>)> {
        let mut world = self.inner.borrow_mut();
        let inode = world.disk.find(path).expect("a file");
        world.disk.file(inode).before(pos)
    }

    /// From now on says by [`touched`](Self::touched) whether a file or directory with such a path was
    /// asked to be made, renamed or removed. `part`: of the path.
    pub fn watch(&self, part: &str) {
        self.inner.borrow_mut().watched = Some((part.to_owned(), false));
    }

    /// Whether what is [watched](Self::watch) has come, which is not watched any longer then.
    pub fn touched(&self) -> bool {
        let mut world = self.inner.borrow_mut();
        let touched = world.watched.take_if(|(_, touched)| *touched);
        touched.is_some()
    }

    /// Nothing is watched any longer.
    pub fn look_away(&self) {
        self.inner.borrow_mut().watched = None;
    }

    /// A failure prints nothing: for whoever looks at failures by the dozen.
    pub fn hush(&self) {
        self.inner.borrow_mut().reported = true;
    }

    /// Makes a directory, durably, before anything runs. Panics where that cannot be.
    pub fn make_dir(&self, path: &str) {
        let mut world = self.inner.borrow_mut();
        world.disk.make_dir(path).expect("a directory can be made");
        world.disk.keep_all();
    }

    /// Ends the process: its drivers, sockets and handles are gone. Writes that had completed
    /// stay; each of those in flight is lost, done, or done in some of its sectors; each other
    /// change in flight is done or not.
    ///
    /// Call it before the executor and its [`Io`](crate::io::Io) are dropped, also after an
    /// orderly stop: tasks that wait for operations keep their `Io`, and its driver, alive.
    pub fn kill_process(&self) {
        let mut world = self.inner.borrow_mut();
        let time = world.time;
        world.trace.note(time, "the process is killed");
        world.abandon(None);
    }

    /// Cuts the power: as [`SimWorld::kill_process`], and only what was synced is sure to
    /// stay. Data is, once a write with DSYNC or a sync submitted after the write's completion
    /// has completed, with the file's length; a name is, once a sync of its directory has.
    /// Anything else is kept or lost, writes sector by sector.
    pub fn power_cut(&self) {
        let mut world = self.inner.borrow_mut();
        let time = world.time;
        world.trace.note(time, "the power is cut");
        world.abandon(None);
        let World { disk, rng, .. } = &mut *world;
        crash::power_cut(disk, rng);
    }
}

impl Drop for SimWorld {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut world) = self.inner.try_borrow_mut()
            && !std::mem::replace(&mut world.reported, true)
        {
            eprintln!(
                "simulated world, seed {}, hash {:016x}; the last of what happened:\n{}",
                world.seed,
                world.trace.hash(),
                world.trace.tail(LINES_PRINTED)
            );
        }
    }
}
