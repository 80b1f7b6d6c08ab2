//! The driver's side of a floor.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::child::Server;
use super::files::{BLOCK, CHUNK};
use super::kind::Shape;
use super::ping::{self, Ping};
use super::probe::{self, Course};
use super::{Kind, Runtime};
use crate::drive::{Frames, Plan, saturate};
use crate::machine::CpuClock;
use crate::measurement::Measurement;
use crate::window::{Baseline, Window};

/// How a floor is run.
#[derive(Clone, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) plan: Plan,
    pub(crate) server_core: usize,
    pub(crate) driver_core: usize,
    /// Where files are written.
    pub(crate) dir: &'a Path,
}

/// Runs one floor on the bare ring. `frames` are what an echo is asked with; its reply has their
/// reply's size.
pub(crate) fn run(kind: Kind, run: &Run, frames: &Frames) -> Result<Measurement> {
    run_on(Runtime::Ring, kind, run, frames)
}

/// The same on a runtime.
///
/// # Errors
/// Also where the runtime lacks what the floor needs: the error says what.
pub(crate) fn run_on(
    runtime: Runtime,
    kind: Kind,
    run: &Run,
    frames: &Frames,
) -> Result<Measurement> {
    if let Some(lack) = runtime.lacks(kind) {
        bail!("{} on {}: {lack}", kind.name(), runtime.name());
    }
    let plan = run.plan;
    let (connections, reply_bytes) = match kind {
        Kind::Echo => (plan.connections, frames.reply_bytes),
        _ => (1, ping::BYTES),
    };
    let mut command = Command::new(std::env::current_exe()?);
    let numbers = [
        ("--connections", connections as u128),
        ("--reply-bytes", reply_bytes as u128),
        ("--warmup-ms", plan.warmup.as_millis()),
        ("--window-ms", plan.time.as_millis()),
        ("--seconds-max", u128::from(plan.time_max().as_secs() + 10)),
    ];
    command
        .args(["bench", "floor-server"])
        .args(["--kind", &kind.value_name()])
        .args(["--runtime", runtime.name()])
        .arg("--dir")
        .arg(run.dir);
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    let mut server = Server::start(command, run.server_core, run.driver_core)?;
    let measured = drive(&mut server, kind, plan, connections, frames);
    let named = || format!("{} on {}", kind.name(), runtime.name());
    let mut measured = measured.with_context(named)?;
    if runtime != Runtime::Ring {
        measured.name = format!("{}, {}", kind.name(), runtime.name());
    }
    server.finish(Duration::from_secs(20)).with_context(named)?;
    Ok(measured)
}

fn drive(
    server: &mut Server,
    kind: Kind,
    plan: Plan,
    connections: usize,
    frames: &Frames,
) -> Result<Measurement> {
    let port: u16 = server.ready("port", Duration::from_secs(30))?.parse()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let clock = CpuClock::of(server.pid())?;
    let baseline = Baseline::watch(plan.baseline)?;
    let addresses = vec![address; connections];
    let pid = Some(server.pid());
    match (kind.shape(), kind) {
        (Shape::Replies, Kind::PingPong) => {
            let plan = Plan {
                in_flight: 1,
                ..plan
            };
            let outcome = saturate(&addresses, &mut Ping, plan, baseline, pid)?;
            Ok(outcome.measurement(kind.name()))
        }
        (Shape::Replies, _) => {
            let mut work = frames.clone();
            let outcome = saturate(&addresses, &mut work, plan, baseline, pid)?;
            Ok(outcome.measurement(kind.name()))
        }
        (Shape::Local, _) => {
            let course = Course {
                warmup: plan.warmup,
                window: plan.time,
            };
            let server = TcpStream::connect(address)?;
            probe::watch(server, BLOCK as u64, kind.name(), baseline, clock, course)
        }
        (Shape::Inwards | Shape::Outwards, _) => stream(kind, address, plan, baseline, clock),
    }
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
    let mut chunk = vec![0x6f; CHUNK];
    let inwards = kind.shape() == Shape::Inwards;
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
        latency: None,
        memory: None,
    })
}
