//! The shards of one process, all on this thread: one step of one task at a time, so that a kill
//! can come at every await.

use std::cell::Cell;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::{Executor, Spawner};

use crate::snare::Snare;

/// Steps after which completions are reaped, though tasks are ready.
const STEPS_PER_PASS: u32 = 64;

/// See the module.
pub struct Machine {
    pub ios: Vec<Io>,
    pub spawners: Vec<Spawner>,
    executors: Vec<Executor>,
    world: SimWorld,
}

impl Machine {
    /// A process of so many shards on the world's machine.
    pub fn new(world: &SimWorld, shards: u32) -> Machine {
        let driver = |_| Io::new(Box::new(SimDriver::new(world)), Pool::new());
        let ios: Vec<Io> = (0..shards).map(driver).collect();
        let executors: Vec<Executor> = ios.iter().map(|io| Executor::new(io.clone())).collect();
        Machine {
            spawners: executors.iter().map(Executor::spawner).collect(),
            ios,
            executors,
            world: world.clone(),
        }
    }

    /// Runs until `over` is set, or so many steps were made, or the snare's moment has come. Gives the
    /// steps that were made before `busy` was set, and whether it was the snare.
    pub fn run(
        &self,
        over: &Cell<bool>,
        busy: &Cell<bool>,
        steps_max: u64,
        snare: Option<&Snare>,
    ) -> (u64, bool) {
        let (mut steps, mut before, mut snared) = (0, 0, None);
        loop {
            let mut ready = false;
            for executor in &self.executors {
                for _ in 0..STEPS_PER_PASS {
                    if over.get() || steps == steps_max || snared == Some(steps) {
                        return (before, snared == Some(steps));
                    }
                    if !executor.run_one() {
                        break;
                    }
                    (ready, steps) = (true, steps + 1);
                    if !busy.get() {
                        before = steps;
                    }
                    if let Some(snare) = snare
                        && snared.is_none()
                        && self.world.touched()
                    {
                        snared = Some(steps + snare.steps);
                    }
                }
            }
            self.reap(ready);
        }
    }

    fn reap(&self, ready: bool) {
        let mut wait = Some(Duration::ZERO);
        if !ready {
            let deadline = self.ios.iter().filter_map(Io::next_deadline).min();
            let now = self.ios[0].clock();
            wait = deadline.map(|at| Duration::from_nanos(at.saturating_sub(now)));
        }
        for io in &self.ios {
            io.reap(wait);
            wait = Some(Duration::ZERO);
        }
    }
}
