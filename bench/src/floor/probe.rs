//! Operations of the server's own, timed by itself: nothing but they lies in the figure.
//!
//! The server runs them from the moment the driver connects. When its warm-up is over it says so
//! with one byte, the driver opens its window, and at the window's end it tells what it measured
//! in one line. The driver sleeps meanwhile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::machine::CpuClock;
use crate::measurement::{Latency, Measurement};
use crate::window::{Baseline, Window};

const OPENED: u8 = b'w';

/// How long the server measures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) warmup: Duration,
    pub(super) window: Duration,
}

/// What the server tells at the end.
#[derive(Serialize, Deserialize)]
struct Told {
    operations: u64,
    latency: Option<Latency>,
}

/// The server's side.
pub(super) struct Probe<'a> {
    driver: &'a TcpStream,
    course: Course,
    started: Instant,
    opened: Option<Instant>,
    took_ns: Histogram<u64>,
}

impl<'a> Probe<'a> {
    /// Begins the warm-up.
    pub(super) fn new(driver: &'a TcpStream, course: Course) -> Result<Self> {
        Ok(Self {
            driver,
            course,
            started: Instant::now(),
            opened: None,
            took_ns: Histogram::new_with_bounds(1, 100_000_000_000, 3).context("a histogram")?,
        })
    }

    /// One operation is over; false when it was the last.
    pub(super) fn took(&mut self, operation: Duration) -> Result<bool> {
        let now = Instant::now();
        match self.opened {
            None if now - self.started < self.course.warmup => {}
            None => {
                self.driver.write_all(&[OPENED])?;
                self.opened = Some(Instant::now());
            }
            Some(opened) => {
                self.took_ns.saturating_record(operation.as_nanos() as u64);
                return Ok(now - opened < self.course.window);
            }
        }
        Ok(true)
    }

    /// Tells the driver.
    pub(super) fn finish(self) -> Result<()> {
        let told = Told {
            operations: self.took_ns.len(),
            latency: Latency::of(&self.took_ns),
        };
        let mut driver = self.driver;
        writeln!(driver, "{}", serde_json::to_string(&told)?)?;
        Ok(())
    }
}

/// The driver's side: each operation moves `bytes`.
pub(super) fn watch(
    server: TcpStream,
    bytes: u64,
    name: &str,
    baseline: Baseline,
    clock: CpuClock,
    course: Course,
) -> Result<Measurement> {
    let patience = course.warmup + course.window + Duration::from_secs(20);
    server.set_read_timeout(Some(patience))?;
    let mut server = BufReader::new(server);
    let mut opened = [0];
    server
        .read_exact(&mut opened)
        .context("the floor's server hung up: see its message")?;
    ensure!(opened == [OPENED], "the floor's server said {opened:?}");
    let window = Window::open(baseline, Some(clock))?;
    let mut line = String::new();
    server.read_line(&mut line)?;
    let cost = window.close()?;
    let told: Told = serde_json::from_str(&line).context("the floor's server ended early")?;
    Ok(Measurement {
        name: name.to_owned(),
        bytes: told.operations * bytes,
        requests: told.operations,
        cost,
        latency: told.latency,
        memory: None,
    })
}
