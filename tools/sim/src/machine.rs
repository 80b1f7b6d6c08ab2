//! The shards of one process, all on this thread: one step of one task at a time, so that a kill
//! can come at every await.

use std::cell::Cell;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::task::{Executor, Spawner};

/// Steps after which completions are reaped, though tasks are ready.
const STEPS_PER_PASS: u32 = 64;

/// See the module.
pub struct Machine {
    pub ios: Vec<Io>,
    pub spawners: Vec<Spawner>,
    executors: Vec<Executor>,
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
        }
    }

    /// Runs until `over` is set, or so many steps were made. Gives the steps made.
    pub fn run(&self, over: &Cell<bool>, steps_max: u64) -> u64 {
        let mut steps = 0;
        loop {
            let mut ready = false;
            for executor in &self.executors {
                for _ in 0..STEPS_PER_PASS {
                    if over.get() || steps == steps_max {
                        return steps;
                    }
                    if !executor.run_one() {
                        break;
                    }
                    (ready, steps) = (true, steps + 1);
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
