//! Floors: the cheapest loop that moves the same bytes.
//!
//! A floor does nothing that a log node could leave out, and nothing else: no protocol but the
//! frame's length, no replies to streams, one thread, one bare ring.

mod child;
mod echo;
mod send;
mod server;
mod store;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

pub(crate) use child::Server;
pub(crate) use server::{ServerArgs, serve};

use crate::drive::{Frames, Plan, saturate};
use crate::machine::CpuClock;
use crate::measurement::{Latency, Measurement};
use crate::window::{Baseline, Window};

/// Which bytes go where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// recv
    Receive,
    /// recv, crc32c
    Check,
    /// recv, crc32c, O_DIRECT write (1 MiB, depth 8)
    Store,
    /// recv, crc32c, O_DIRECT write with RWF_DSYNC
    StoreDurable,
    /// recv, crc32c, one copy, O_DIRECT write
    StoreCopy,
    /// send of 1 MiB from memory
    Send,
    /// sendfile of a resident file in calls of 256 KiB
    Sendfile,
    /// small frames answered with small frames
    Echo,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Receive => "floor: recv",
            Kind::Check => "floor: recv + crc",
            Kind::Store => "floor: recv + crc + direct write",
            Kind::StoreDurable => "floor: recv + crc + direct write, DSYNC",
            Kind::StoreCopy => "floor: recv + crc + copy + direct write",
            Kind::Send => "floor: send from memory",
            Kind::Sendfile => "floor: sendfile, resident",
            Kind::Echo => "floor: echo of small frames",
        }
    }
}

/// How a floor is run.
#[derive(Clone, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) plan: Plan,
    pub(crate) server_core: usize,
    pub(crate) driver_core: usize,
    /// Where files are written.
    pub(crate) dir: &'a Path,
}

/// Runs one floor. `frames` are what an echo is asked with; its reply has their reply's size.
pub(crate) fn run(kind: Kind, run: &Run, frames: &Frames) -> Result<Measurement> {
    let plan = run.plan;
    let connections = match kind {
        Kind::Echo => plan.connections,
        _ => 1,
    };
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["bench", "floor-server"])
        .args(["--kind", &value_name(kind)])
        .args(["--connections", &connections.to_string()])
        .args(["--reply-bytes", &frames.reply_bytes.to_string()])
        .args([
            "--seconds-max",
            &(plan.time_max().as_secs() + 10).to_string(),
        ])
        .arg("--dir")
        .arg(run.dir);
    let mut server = Server::start(command, run.server_core, run.driver_core)?;
    let port: u16 = server.ready("port", Duration::from_secs(30))?.parse()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let clock = CpuClock::of(server.pid())?;
    let mut measured = match kind {
        Kind::Echo => {
            let mut work = frames.clone();
            let addresses = vec![address; connections];
            let baseline = Baseline::watch(plan.baseline)?;
            let outcome = saturate(&addresses, &mut work, plan, baseline, Some(server.pid()))?;
            outcome.measurement(kind.name())
        }
        _ => {
            let baseline = Baseline::watch(plan.baseline)?;
            stream(kind, address, plan, baseline, clock)?
        }
    };
    measured.latency = measured.latency.filter(|_| kind == Kind::Echo);
    server
        .finish(Duration::from_secs(20))
        .context(kind.name())?;
    Ok(measured)
}

/// The name by which the command line knows the kind.
fn value_name(kind: Kind) -> String {
    use clap::ValueEnum;
    kind.to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// One connection, bytes in one direction.
fn stream(
    kind: Kind,
    address: SocketAddr,
    plan: Plan,
    baseline: Baseline,
    clock: CpuClock,
) -> Result<Measurement> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)?;
    let mut chunk = vec![0x6f; store::CHUNK];
    let inwards = !matches!(kind, Kind::Send | Kind::Sendfile);
    let mut step = || -> Result<u64> {
        let moved = if inwards {
            stream.write_all(&chunk)?;
            chunk.len()
        } else {
            stream.read(&mut chunk)?
        };
        ensure!(moved > 0, "the floor's server hung up: see its message");
        Ok(moved as u64)
    };
    let warm = Instant::now() + plan.warmup;
    while Instant::now() < warm {
        step()?;
    }
    let window = Window::open(baseline, Some(clock))?;
    let mut bytes = 0;
    while window.elapsed() < plan.time {
        bytes += step()?;
    }
    let cost = window.close()?;
    Ok(Measurement {
        name: kind.name().to_owned(),
        bytes,
        requests: 0,
        cost,
        latency: None::<Latency>,
        memory: None,
    })
}
